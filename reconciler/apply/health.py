"""Whether a machine that was changed serves: it stays up, and its checks pass.

Answers for waiting and judging. A machine that sleeps is neither woken nor judged. That its version is the
right one is looked at by whoever asks.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.apply.bench import now
from reconciler.core.action import CreateMachine, MarkMachine, UpdateMachine
from reconciler.core.outcome import StepFailed
from reconciler.core.scalar import seconds
from reconciler.fly.client import FlyClient
from reconciler.fly.models import Check, Machine, MachineEvent

Json = Any
Changing = CreateMachine | UpdateMachine | MarkMachine

UP_FOR_S = 10.0  # so long without a crash counts as running
LOOK_EVERY_S = 2.0
CHECK_EVERY_S = 15.0  # interval of a check that names none
AT_LEAST_S, AT_MOST_S = 30.0, 300.0  # for checks to pass, besides their grace period
CRASHES = 2  # in one version, and nobody waits to see a third
RECENT_S = 600.0  # a version that was launched long ago may have crashed and been well ever since
COMING_UP = frozenset({"starting", "restarting"})
INJECTED = "bg_deployments_compat"  # checks that Fly adds and nobody asked for


async def judge(fly: FlyClient, action: MarkMachine, found: Machine) -> None:
    """Return once a machine that was launched some time ago serves, or sleeps; raises as `wait` does.

    Only what it did lately counts, and one that has crashed lately must stay up for a while.
    """
    since_ms = (fly.now() - RECENT_S) * 1000
    await wait(fly, action, found, is_watched=bool(_crashes(found, since_ms)), since_ms=since_ms)


async def wait(
    fly: FlyClient, action: Changing, found: Machine, *, is_watched: bool = True, since_ms: float = 0.0
) -> Machine:
    """The machine as it is once it serves, or sleeps; at once when no check is asked for and none watches.

    `is_watched`: others are changed next if it does well, so it must stay up for ten seconds. `since_ms`:
    unix milliseconds, crashes before do not count. Raises `StepFailed`: Crashing, ChecksFailing, NotRunning.
    One that ends between two looks sleeps, or has crashed.
    """
    up_at = now() + (UP_FOR_S if is_watched else 0.0)
    passing_at = now() + _patience_s(found.config or {})
    version = found.instance_id
    while found.state in {"started", *COMING_UP} and found.instance_id == version:
        _check_is_up(action, found, since_ms)
        is_serving = found.state == "started" and _passes(found)
        if is_serving and now() >= up_at:
            break
        if not is_serving and now() >= passing_at:
            raise _failing(action, found)
        await asyncio.sleep(LOOK_EVERY_S)
        found = await fly.get_machine(action.app_name, found.id)
    if found.instance_id == version:
        _check_is_up(action, found, since_ms)
    return found


def _check_is_up(action: Changing, found: Machine, since_ms: float) -> None:
    crashes = _crashes(found, since_ms)
    count = len(crashes)
    if not since_ms:
        count = max((count, *(event.restart_count for event in crashes)))
    if count < CRASHES:
        return
    code = crashes[0].exit_code
    when = f"within {RECENT_S / 60:.0f} minutes" if since_ms else "since the change"
    raise StepFailed(
        "Crashing",
        f"machine {found.name} ({found.id}) of {action.app_name} ended {count} times {when}, last "
        f"with exit code {code}; its own log says more",
        is_transient=True,
        machine_id=found.id,
    )


def _crashes(found: Machine, since_ms: float) -> list[MachineEvent]:
    """Of its present version, newest first."""
    return [
        event
        for event in found.events
        if event.is_crash and event.timestamp >= since_ms and event.instance_id in ("", found.instance_id)
    ]


def _failing(action: Changing, found: Machine) -> StepFailed:
    if found.state != "started":
        return StepFailed(
            "NotRunning",
            f"machine {found.name} ({found.id}) of {action.app_name} is still {found.state}; "
            "its own log says more",
            is_transient=True,
            machine_id=found.id,
        )
    bad = [
        f"{check.name} is {check.status}: {check.output}" for check in _results(found) if not _is_ok(check)
    ]
    what = "; ".join(bad)[:200] or "no check has a result yet"
    return StepFailed(
        "ChecksFailing",
        f"machine {found.name} ({found.id}) of {action.app_name} runs, and its checks do not pass: {what}",
        is_transient=True,
        machine_id=found.id,
    )


def _passes(found: Machine) -> bool:
    """Every check asked for, with at least one result: none yet says nothing."""
    if not any(_checks(found.config or {})):
        return True
    results = _results(found)
    return bool(results) and all(map(_is_ok, results))


def _results(found: Machine) -> list[Check]:
    return [check for check in found.checks if not check.name.startswith(INJECTED)]


def _is_ok(check: Check) -> bool:
    return check.status == "passing"


def _checks(config: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    yield from (config.get("checks") or {}).values()
    for service in config.get("services") or ():
        yield from service.get("checks") or ()


def _patience_s(config: Mapping[str, Json]) -> float:
    """Until the slowest check has been asked twice."""
    return max(
        (
            _s(check, "grace_period", 0.0)
            + min(max(2 * _s(check, "interval", CHECK_EVERY_S), AT_LEAST_S), AT_MOST_S)
            for check in _checks(config)
        ),
        default=AT_LEAST_S,  # to come up, where that is all there is to wait for
    )


def _s(check: Mapping[str, Json], field: str, default: float) -> float:
    value = check.get(field)
    return default if value is None else seconds(value)
