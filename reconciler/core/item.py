"""What a plan would cost users, as exactly as it is counted, approved and written down.

Answers for two runs of the same plan naming the same items. What is done about them is `guard`'s.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.core.action import Class, DestroyVolume
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import ListedApp, Row
from reconciler.core.plan import AppPlan, is_proven
from reconciler.core.slot import DYING, slot_of

BATCH_DIGITS = 12
WHOLE = "app"  # what an item is about that makes or removes a user app as a whole; also CreateApp's key

NOT_APPROVED = "DataLossNotApproved"  # the reason of a hold for each volume whose loss nobody approved

_ITEM = {  # what an action costs → as what it is counted and approved
    Class.CREATE: Class.CREATE,
    Class.RESTART: Class.RESTART,
    Class.REPLACE: Class.RESTART,
    Class.DELETE: Class.DELETE,
    Class.DATA_LOSS: Class.DATA_LOSS,
}


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """Something that a plan would cost one user, as exactly as somebody approves it."""

    user: str  # document name
    app_name: str
    klass: Class  # create, restart, delete or data-loss
    what: str  # keys of the actions, `WHOLE`, or a volume's id


@dataclass(frozen=True, slots=True)
class Batch:
    """What is held together and may be approved together."""

    reason: str  # OverBudget, FirstApply, EveryUser, DataLoss
    because: str  # one line
    items: tuple[Item, ...]  # sorted
    id: str  # a short hash of exactly these items


def batch(reason: str, because: str, items: Iterable[Item]) -> Batch:
    """Its id is the same for the same items in any order."""
    every = tuple(sorted(items))
    told = [[item.user, item.app_name, item.klass, item.what] for item in every]
    return Batch(reason, because, every, hashlib.sha256(json.dumps(told).encode()).hexdigest()[:BATCH_DIGITS])


def items_of(plan: AppPlan, *, is_removal: bool = False) -> tuple[Item, ...]:
    """What a plan would cost its user, sorted; volumes that it would lose once that is approved, too.

    `is_removal`: the plan takes away an app whose document is gone; then each of its steps is the deletion.
    """
    found = {Item(plan.name, plan.app_name, Class.DATA_LOSS, loss.volume_id) for loss in plan.losses}
    found |= {item for item in by_action(plan, is_removal=is_removal).values() if item}
    if is_removal and not plan.converged and {hold.reason for hold in plan.holds} <= {NOT_APPROVED}:
        found.add(Item(plan.name, plan.app_name, Class.DELETE, WHOLE))
    return tuple(sorted(found))


def foreseen(desired: DesiredApp, listed: ListedApp | None, rows: Iterable[Row]) -> tuple[Item, ...]:
    """What the organisation's lists alone show to be missing; what a reading shows counts before it."""
    if listed is None:
        return (Item(desired.name, desired.app_name, Class.CREATE, WHOLE),)
    living = [row for row in rows if row.state not in DYING]
    if not is_proven(desired, listed, living):
        return ()
    missing = {machine.slot for machine in desired.machines} - {slot_of(desired, row) for row in living}
    what = _created(f"machine:{slot}" for slot in missing)
    return (Item(desired.name, desired.app_name, Class.CREATE, what),) if missing else ()


def may_be_lost(approved: Iterable[Item], user: str) -> frozenset[str]:
    """The ids of that user's volumes whose loss is approved."""
    return frozenset(item.what for item in approved if item.user == user and item.klass is Class.DATA_LOSS)


def by_action(plan: AppPlan, *, is_removal: bool) -> dict[str, Item | None]:
    """The item that each action of a plan belongs to, by its key; None: it costs the user nothing."""

    def item(klass: Class, what: str) -> Item:
        return Item(plan.name, plan.app_name, klass, what)

    keys: dict[Class, list[str]] = {}
    for action in plan.actions:
        if action.klass in _ITEM:
            keys.setdefault(_ITEM[action.klass], []).append(action.key)
    found: dict[str, Item | None] = {}
    for action in plan.actions:
        klass = _ITEM.get(action.klass)
        if isinstance(action, DestroyVolume):
            found[action.key] = item(Class.DATA_LOSS, action.volume_id)
        elif is_removal:
            found[action.key] = item(Class.DELETE, WHOLE)
        elif klass is None:
            found[action.key] = None
        elif klass is Class.CREATE:
            found[action.key] = item(klass, _created(keys[klass]))
        else:
            found[action.key] = item(klass, ",".join(sorted(keys[klass])))
    return found


def _created(keys: Iterable[str]) -> str:
    """A new app is one thing, and so is a machine with its volume."""
    made = set(keys)
    machines = {key for key in made if key.startswith("machine:")}
    return WHOLE if WHOLE in made else ",".join(sorted(machines or made))
