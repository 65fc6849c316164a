"""Every user app that differs, made as its document says, once: what `apply` does after somebody said yes.

Answers for one failing app not stopping the others. What to do is decided again for each, just before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from reconciler.apply import StepFailed
from reconciler.core.desired import DesiredApp
from reconciler.core.plan import AppPlan
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from reconciler.gate import Gate
from reconciler.intent import Intent
from reconciler.reconcile import converge
from reconciler.survey import Survey, each


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """One app that was not finished, and why in one line."""

    name: str
    message: str


class Watcher(Protocol):
    """Hears how a rollout goes on, one app at a time."""

    def begun(self, name: str) -> None: ...

    def ended(self, name: str, failure: str | None, held: str = "") -> None:
        """Done; given up, with one line that says why; or as far as it may, with what holds it."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """How a rollout ended for those who are not done, sorted by name."""

    failures: tuple[Failure, ...]
    held: tuple[str, ...]  # something of theirs may not be done now


async def rollout(
    fly: FlyClient,
    intent: Intent,
    found: Survey,
    *,
    describe: str,
    workers: int,
    watcher: Watcher,
    gate: Gate,
    choose: Callable[[DesiredApp, AppPlan], AppPlan] = lambda _, plan: plan,
) -> Rolled:
    """Work on the apps that have actions in `found`.

    `choose` takes out of an app's plan, made again just before, what must not be done, and `gate` of the rest
    what may not begin. Raises LedgerError when the record cannot be written any more.
    """
    failures: list[Failure] = []
    held: list[str] = []
    gate.look(
        limits=intent.fleet.budget,
        users=found.users,
        size=found.size,
        foreseen=found.judgement.wanted,
        settled=(),
    )

    async def do(desired: DesiredApp) -> None:
        watcher.begun(desired.name)
        try:
            last = await converge(
                fly,
                desired,
                values=intent.values(desired),
                describe=describe,
                choose=lambda plan: gate.admit(choose(desired, plan)),
                approved=gate.may_be_lost(desired.name),
                heard=partial(gate.heard, desired.name),
                is_unproven=gate.is_unproven,
            )
        except (FlyError, StepFailed) as error:
            failures.append(Failure(desired.name, str(error)))
            watcher.ended(desired.name, str(error))
        else:
            reasons = sorted({hold.reason for hold in last.plan.holds})
            held.extend([desired.name] if reasons else [])
            watcher.ended(desired.name, None, ", ".join(reasons))

    await each(
        [intent.apps[app.name] for app in found.plan.apps if app.actions and app.name in intent.apps],
        do,
        workers=workers,
    )
    return Rolled(tuple(sorted(failures)), tuple(sorted(held)))
