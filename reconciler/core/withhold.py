"""A plan without what must not be done now: held, paced or stalled, and whatever would come after that.

Answers for the app's own order, and for each thing left out having its reason. The deciding is `guard`'s and
`breaker`'s.
"""

from collections.abc import Collection
from dataclasses import replace

from reconciler.core.action import Action, Class, MarkMachine
from reconciler.core.breaker import Breaker, change_key
from reconciler.core.guard import PACED, Verdict
from reconciler.core.hold import Hold
from reconciler.core.item import NOT_APPROVED, Batch, Item, by_action
from reconciler.core.plan import AppPlan

PREPARES = frozenset({"set-secrets"})  # worth nothing without what comes after it


def guarded(
    plan: AppPlan, verdict: Verdict, *, breaker: Breaker | None = None, is_removal: bool = False
) -> AppPlan:
    """The plan without what was not admitted and what would come after that, and with the reasons why."""
    stalled = _stalled(plan, breaker or Breaker())
    holds: list[Hold] = [_with_batch(hold, plan, verdict) for hold in plan.holds]
    holds += stalled.values()
    paced, dropped = dict[str, None](), set(stalled)
    for key, item in by_action(plan, is_removal=is_removal).items():
        if item is None or item in verdict.admitted or key in dropped:
            continue
        dropped.add(key)
        if item in verdict.paced:
            paced[verdict.paced[item]] = None
        elif (batch := verdict.held.get(item)) is not None:
            holds.append(Hold("", batch.reason, _told(batch.because, batch)))
        else:
            holds.append(Hold("", "NotDecided", "this came up after the fleet was looked at; it is next"))
    return replace(
        plan,
        actions=without(plan.actions, dropped),
        holds=tuple(sorted(set(holds))),
        waiting=(*plan.waiting, *paced),
    )


def is_under_way(plan: AppPlan) -> bool:
    """Whether Fly is at work on the app, so that it is worth looking again soon."""
    return any(not line.startswith(PACED) for line in plan.waiting)


def without(actions: tuple[Action, ...], dropped: Collection[str]) -> tuple[Action, ...]:
    """The actions that are left when these keys are not done: nothing whose prerequisite is missing.

    Nor is a machine destroyed to make room for one that does not come: better the old one than none.
    """
    gone = set(dropped)
    while more := (_waiting_for(actions, gone) | _making_room_for(actions, gone)) - gone:
        gone |= more
    needed = {key for each in actions if each.key not in gone for key in each.after}
    idle = {
        each.key
        for each in actions
        if each.kind in PREPARES
        and each.key not in needed
        and any(each.key in other.after for other in actions if other.key in gone)
    }
    return tuple(each for each in actions if each.key not in gone | idle)


def _waiting_for(actions: tuple[Action, ...], gone: set[str]) -> set[str]:
    return {each.key for each in actions if gone.intersection(each.after)}


def _making_room_for(actions: tuple[Action, ...], gone: set[str]) -> set[str]:
    """The destroyed machines that a machine among `gone` waits for, itself or through others."""
    ahead = [each for each in actions if each.key in gone and each.kind == "create-machine"]
    by_key = {each.key: each for each in actions}
    found: set[str] = set()
    while ahead:
        for key in ahead.pop().after:
            if key in by_key and key not in found:
                found.add(key)
                ahead.append(by_key[key])
    return {key for key in found if by_key[key].kind == "destroy-machine"}


def _stalled(plan: AppPlan, breaker: Breaker) -> dict[str, Hold]:
    holds = {}
    for action in plan.actions if breaker.streaks else ():
        if isinstance(action, MarkMachine):
            continue  # a look harms nobody, holds the next change back, and has to see when all is well again
        streak = breaker.stalled(change_key(action), plan.name)
        if streak is not None:
            holds[action.key] = Hold(
                getattr(action, "slot", ""),
                "Stalled",
                f"{action.kind} failed {streak.count} times in a row ({streak.reason}: {streak.message}); "
                "change the document, or mend the cause and start again",
            )
    return holds


def _with_batch(hold: Hold, plan: AppPlan, verdict: Verdict) -> Hold:
    """A hold for want of an approval says how it is given."""
    if hold.reason != NOT_APPROVED:
        return hold
    ids = [loss.volume_id for loss in plan.losses if loss.volume_id in hold.message]
    batches = [verdict.held.get(Item(plan.name, plan.app_name, Class.DATA_LOSS, each)) for each in ids]
    return next((replace(hold, message=_told(hold.message, each)) for each in batches if each), hold)


def _told(because: str, batch: Batch) -> str:
    more = ", or start with --yes" if batch.reason == "FirstApply" else ""
    return f"{because}; reconciler approve {batch.id}{more}"
