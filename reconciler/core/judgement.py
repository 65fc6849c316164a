"""All plans of one look at the fleet, judged together: what of them may be done, and what waits for whom.

Answers for `plan` showing what `apply` would do. Each decision is `guard`'s, each plan without what is held
`withhold`'s.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.core.guard import Record, Standing, decide
from reconciler.core.item import Batch, Item, items_of
from reconciler.core.plan import AppPlan
from reconciler.core.withhold import guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What came of it."""

    plans: tuple[AppPlan, ...] = ()  # sorted by name
    batches: tuple[Batch, ...] = ()  # what waits for approval
    wanted: Mapping[str, tuple[Item, ...]] = field(default_factory=dict)  # by document name
    agreed: tuple[Batch, ...] = ()  # what was approved by its name

    @property
    def approved(self) -> frozenset[Item]:
        """What is in the batches that were approved by name."""
        return frozenset(item for batch in self.agreed for item in batch.items)


def judge(
    plans: Iterable[AppPlan],
    standing: Standing,
    *,
    removed: Collection[str] = (),
    approvals: Collection[str] = (),
) -> Judgement:
    """`removed`: names whose plan takes their app away; `approvals`: batches that are approved with this."""
    every = sorted(plans, key=lambda plan: plan.name)
    wanted = {plan.name: items_of(plan, is_removal=plan.name in removed) for plan in every}
    items = [item for each in wanted.values() for item in each]
    verdict = decide(items, standing)
    agreed = tuple(batch for batch in verdict.batches if batch.id in approvals)
    approved = frozenset(item for batch in agreed for item in batch.items)
    if agreed:
        verdict = decide(items, replace(standing, record=_with(standing.record, approved)))
    return Judgement(
        plans=tuple(guarded(plan, verdict, is_removal=plan.name in removed) for plan in every),
        batches=verdict.batches,
        wanted={name: each for name, each in wanted.items() if each},
        agreed=agreed,
    )


def _with(record: Record, approved: frozenset[Item]) -> Record:
    return replace(record, approved=record.approved | approved)
