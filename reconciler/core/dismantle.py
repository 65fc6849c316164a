"""How an app is taken apart for which every proof is there: route, snapshots, machines, volumes, app.

Answers for the next step alone. Nothing is remembered between readings: each one shows how far it came, and a
document that comes back before the end finds its app as `plan` can heal it.
"""

from typing import NamedTuple

from reconciler.core import data_loss, mark
from reconciler.core.action import Action, DeleteApp, DestroyMachine, SnapshotVolume, WithdrawRoute
from reconciler.core.hold import Hold
from reconciler.core.observed import ObservedApp, ObservedMachine, ObservedVolume
from reconciler.core.slot import DYING, first_name, marked_slot

SKEW_S = 60.0  # by which Fly's clock may be behind ours


class Step(NamedTuple):
    """What to do now, or what keeps it waiting."""

    actions: tuple[Action, ...] = ()
    holds: tuple[Hold, ...] = ()
    waiting: tuple[str, ...] = ()


def next_step(
    observed: ObservedApp,
    volumes: list[ObservedVolume],
    *,
    heard_for_s: float | None,
    withdraw_s: float,
    now: float,
) -> Step:
    """Each step only in a reading that shows the one before it done. `volumes`: those that are not going yet.

    `heard_for_s`: how long routers could know that the route is withdrawn; None: not at all.
    """
    if still_in_service(observed):
        return Step((_withdraw(observed),))
    if heard_for_s is None or heard_for_s < withdraw_s:
        return Step(waiting=(f"its route is withdrawn; routers may use it for {withdraw_s:.0f} s",))
    needs = [data_loss.missing(observed, one, since=now - heard_for_s - SKEW_S) for one in volumes]
    if not any(needs):
        return _taken_apart(observed, volumes)
    held = tuple(need for need in needs if isinstance(need, Hold))
    snapshots = tuple(need for need in needs if isinstance(need, SnapshotVolume) and not held)
    return Step(snapshots, held, tuple(need for need in needs if isinstance(need, str)))


def still_in_service(observed: ObservedApp) -> list[ObservedMachine]:
    """The machines that routers may send somebody to."""
    return [machine for machine in living(observed) if mark.WITHDRAWN not in machine.metadata]


def living(observed: ObservedApp) -> list[ObservedMachine]:
    """The machines that are not on their way out, sorted by name."""
    return sorted(
        (machine for machine in observed.machines if machine.state not in DYING),
        key=lambda machine: (machine.name, machine.id),
    )


def _taken_apart(observed: ObservedApp, volumes: list[ObservedVolume]) -> Step:
    there = living(observed)
    dying = tuple(f"{one.name} is {one.state}" for one in observed.machines if one.state in DYING)
    if there:
        return Step(tuple(_destroy(observed, machine) for machine in there), waiting=dying)
    if dying:
        return Step(waiting=dying)
    if volumes:
        because = "its app's document is gone, its loss was approved, and it has a finished snapshot"
        return Step(tuple(data_loss.destroy(observed, volume, because=because) for volume in volumes))
    return Step((_delete(observed),))


def _withdraw(observed: ObservedApp) -> WithdrawRoute:
    return WithdrawRoute(
        app_name=observed.app_name,
        because="its document is gone",
        key="withdraw",
        machines=tuple((machine.id, machine.version) for machine in still_in_service(observed)),
    )


def _destroy(observed: ObservedApp, machine: ObservedMachine) -> DestroyMachine:
    return DestroyMachine(
        app_name=observed.app_name,
        because="its app's document is gone and nobody is sent to it any more",
        key=f"destroy:{machine.id}",
        machine_id=machine.id,
        slot=marked_slot(machine) or first_name(machine.name),
        name=machine.name,
        expected_version=machine.version,
    )


def _delete(observed: ObservedApp) -> DeleteApp:
    return DeleteApp(
        app_name=observed.app_name,
        because="its document is gone, and nothing is left in it",
        key="delete-app",
        network=observed.network,
    )
