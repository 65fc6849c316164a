"""In which order the actions of one app happen: what is in the list first, and what each waits for.

App, secrets, volume, machine; machines that are not wanted go first, new ones come next, those that are there
take turns (contract §17). The list is one order that holds; `after` says what could happen at the same time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil

from reconciler.core.action import Action, MarkMachine
from reconciler.core.leftover import Leftovers
from reconciler.core.policy import DeploySpec
from reconciler.core.slot_plan import SlotPlan

COLD_AT_ONCE = 30  # machines that sleep: nobody waits for them

Keys = tuple[str, ...]


def in_order(
    first: Sequence[Action],
    leftovers: Leftovers,
    plans: Sequence[tuple[str, SlotPlan]],
    deploy: DeploySpec,
) -> tuple[Action, ...]:
    """`first`: the app's own steps. `plans`: slot and plan, sorted by slot."""
    base: Keys = tuple(action.key for action in first[-1:])
    is_rolling = deploy.strategy == "rolling"
    steps: list[Action] = [*first, *leftovers.machines]
    taking_turns = [(slot, plan) for slot, plan in plans if plan.takes_turns]
    new = [plan for _, plan in plans if plan.launches and not plan.takes_turns]
    rest = [plan for _, plan in plans if not plan.launches and not plan.takes_turns]

    gone: Keys = tuple(action.key for action in leftovers.machines) if is_rolling else ()
    for plan in new:
        steps += _beginning_after(plan, (*base, *gone))
    made: Keys = tuple(key for plan in new for key in _ends(plan)) if is_rolling else ()
    before: Keys = (*base, *(made or gone))
    for wave, previous in _waves(taking_turns, deploy):
        for plan in wave:
            steps += _beginning_after(plan, (*before, *(key for one in previous for key in _ends(one))))
    for plan in rest:
        steps += _beginning_after(plan, base)
    return (*steps, *_volumes(leftovers, steps))


def _waves(
    plans: Iterable[tuple[str, SlotPlan]], deploy: DeploySpec
) -> Iterable[tuple[list[SlotPlan], list[SlotPlan]]]:
    """(a wave, the wave before it): of each process group the cold and the warm, the first of each alone."""
    if deploy.strategy != "rolling":
        yield [plan for _, plan in plans], []
        return
    sets: dict[tuple[str, bool], list[tuple[str, SlotPlan]]] = {}
    for slot, plan in plans:
        group = slot.rpartition("-")[0]
        sets.setdefault((group, plan.is_warm), []).append((slot, plan))
    for (_, is_warm), members in sorted(sets.items(), key=lambda item: item[0]):
        ahead = [plan for _, plan in sorted(members, key=lambda one: (len(one[0]), one[0]))]
        at_once = _at_once(len(ahead), deploy) if is_warm else COLD_AT_ONCE
        previous: list[SlotPlan] = []
        start, end = 0, 1
        while start < len(ahead):
            yield ahead[start:end], previous
            previous = ahead[start:end]
            start, end = end, end + at_once


def _at_once(count: int, deploy: DeploySpec) -> int:
    limit = deploy.max_unavailable
    return max(1, ceil(round(count * limit, 6)) if limit < 1 else int(limit))


def _beginning_after(plan: SlotPlan, keys: Keys) -> list[Action]:
    return [replace(action, after=action.after or keys) for action in plan.actions]


def _ends(plan: SlotPlan) -> Keys:
    """What has to be done before the next one's turn: everything but marks."""
    steps = [action for action in plan.actions if not isinstance(action, MarkMachine)]
    waited_for = {key for action in steps for key in action.after}
    return tuple(action.key for action in steps if action.key not in waited_for)


def _volumes(leftovers: Leftovers, steps: Iterable[Action]) -> list[Action]:
    """The volumes on their way out, after what came in: one made twice goes when its slot is filled."""
    machines = tuple(action.key for action in steps if action.kind == "create-machine")
    return [
        replace(action, after=machines) if action.kind == "destroy-volume" else action
        for action in leftovers.volumes
    ]
