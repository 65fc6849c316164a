"""`apply` without its command: the same look, gate and rollout, against a laptop's Fly in virtual time."""

from dataclasses import dataclass, field
from pathlib import Path

from reconciler.core.keys import RootKey
from reconciler.core.saved_plan import SavedPlan
from reconciler.gate import Gate
from reconciler.ledger import Ledger, in_memory
from reconciler.resumption import Resumption, saved
from reconciler.rollout import rollout
from reconciler.survey import Survey, survey
from tests.stage import ROOT_KEY, Stage

KEY = RootKey(ROOT_KEY)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What of a saved plan was not done, and what went wrong."""

    refused: dict[str, set[str]]  # keys by user
    already: int
    failures: tuple[str, ...]
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applier:
    """Somebody who plans and applies again and again, with one record of budgets."""

    scene: Stage
    ledger: Ledger = field(default_factory=in_memory)

    async def plan(self) -> Survey:
        """What `plan` shows."""
        async with self.scene.client() as fly:
            return await survey(fly, self.scene.intent(), record=self.ledger.record(fly.now()))

    async def save(self) -> SavedPlan:
        """What `plan --out` writes."""
        return saved(await self.plan(), self.scene.intent(), KEY, Path("specs"))

    async def apply(self, plan: SavedPlan | None = None) -> Outcome:
        """What `apply --yes`, or `apply FILE`, does."""
        resumption = Resumption(plan or await self.save(), KEY)
        async with self.scene.client() as fly:
            intent = self.scene.intent()
            found = await survey(fly, intent, record=self.ledger.record(fly.now()))
            rolled = await rollout(
                fly,
                intent,
                resumption.begin(found, intent.apps),
                describe="teststage/test",
                workers=4,
                watcher=_Unwatched(),
                gate=Gate(self.ledger, wall=fly.now, is_first_approved=True),
                choose=resumption.choose,
            )
        refused: dict[str, set[str]] = {}
        for one in resumption.refused:
            refused.setdefault(one.name, set()).add(one.key)
        return Outcome(
            refused, resumption.already, tuple(str(failure) for failure in rolled.failures), rolled.held
        )


class _Unwatched:
    def begun(self, name: str) -> None: ...

    def ended(self, name: str, failure: str | None, held: str = "") -> None: ...
