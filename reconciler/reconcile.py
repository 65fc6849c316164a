"""One user app's pass: read it whole, decide, act, and read it again.

Answers for that order: nothing is changed that was not read just before, and what is reported was seen.
When a pass comes is the loop's, and so is what follows from it.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from reconciler.apply import Failure, apply
from reconciler.core.action import (
    Action,
    CreateApp,
    CreateMachine,
    DestroyMachine,
    SetSecrets,
    UpdateMachine,
)
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import ObservedApp
from reconciler.core.outcome import StepFailed
from reconciler.core.plan import AppPlan, plan_app
from reconciler.core.secret import SecretText
from reconciler.core.withhold import is_under_way
from reconciler.fly.client import FlyClient
from reconciler.observe import observe_app, observe_snapshots

CHANGES = 2  # a third would only restart again what does not become as wanted
LOOKS = 30
NEEDS_VALUES = (CreateApp, SetSecrets, CreateMachine, UpdateMachine)
LOOK_AGAIN_S = 2.0  # Fly is at work on it


@dataclass(frozen=True, slots=True)
class Seen:
    """One reading of an app and what was decided from it."""

    desired: DesiredApp
    observed: ObservedApp
    plan: AppPlan


async def look(
    fly: FlyClient,
    desired: DesiredApp,
    *,
    approved: Collection[str] = (),
    stuck: Mapping[str, str] = MappingProxyType({}),
) -> Seen:
    """Read one app whole and plan it; changes nothing.

    `approved`: volumes that may be lost; `stuck`: machines that cannot change where they are, and why. Raises
    FlyError.
    """
    observed = await observe_app(
        fly,
        org=desired.org,
        app_name=desired.app_name,
        network=desired.network,
        owner_label=desired.owner_label,
    )
    if approved:
        observed = await observe_snapshots(fly, observed, approved)
    return Seen(desired, observed, plan_app(desired, observed, now=fly.now(), approved=approved, stuck=stuck))


async def reconcile(
    fly: FlyClient,
    desired: DesiredApp,
    *,
    values: Mapping[str, SecretText],
    describe: str,
    seen: Callable[[Seen], None],
    choose: Callable[[AppPlan], AppPlan] = lambda plan: plan,
    approved: Collection[str] = (),
    heard: Callable[[Action, Failure | None], None] = lambda _action, _failure: None,
    is_unproven: Callable[[Action], bool] = lambda _action: False,
) -> Seen:
    """One pass; `seen` hears each reading, so that routes follow before and after the change.

    `values`: every secret the app may be given, by name; `choose` takes out of each plan what must not be
    done now; `approved`: volumes that may be lost; `heard` is told how each action ended; `is_unproven` is as
    in `apply`. The last reading is returned: its plan says what is left. Raises FlyError and StepFailed, and
    what `choose` raises.
    """
    before = _chosen(await look(fly, desired, approved=approved), choose)
    seen(before)
    actions = before.plan.actions
    if not actions:
        return before
    _check_values(desired, actions, values)
    try:
        await apply(actions, fly=fly, values=values, describe=describe, heard=heard, is_unproven=is_unproven)
    except StepFailed as failed:
        elsewhere = await _elsewhere(fly, desired, failed, choose=choose, approved=approved)
        if not elsewhere:
            raise
        await apply(
            elsewhere, fly=fly, values=values, describe=describe, heard=heard, is_unproven=is_unproven
        )
    after = _chosen(await look(fly, desired, approved=approved), choose)
    seen(after)
    return after


async def _elsewhere(
    fly: FlyClient,
    desired: DesiredApp,
    failed: StepFailed,
    *,
    choose: Callable[[AppPlan], AppPlan],
    approved: Collection[str],
) -> Sequence[Action]:
    """What replaces a machine whose host has no room for its change; nothing where that may not be."""
    if failed.reason != "HostFull" or not failed.machine_id:
        return ()
    again = await look(fly, desired, approved=approved, stuck={failed.machine_id: str(failed)})
    actions = choose(again.plan).actions
    is_replaced = any(
        isinstance(action, DestroyMachine) and action.machine_id == failed.machine_id for action in actions
    )
    return actions if is_replaced else ()


def _chosen(seen: Seen, choose: Callable[[AppPlan], AppPlan]) -> Seen:
    return replace(seen, plan=choose(seen.plan))


def _check_values(desired: DesiredApp, actions: Sequence[Action], values: Mapping[str, SecretText]) -> None:
    """Raises StepFailed before anything is changed, when the app cannot be given all that it should carry."""
    needed = {*desired.secret_names, *desired.key_names} - {each.name for each in desired.generated}
    missing = sorted(needed - values.keys())
    if missing and any(isinstance(action, NEEDS_VALUES) for action in actions):
        raise StepFailed(
            "SecretMissing",
            f"{desired.app_name} is left as it is: there is no value here for {', '.join(missing)}; "
            "offer it where its Secret document says that it comes from",
            is_transient=False,
        )


async def converge(
    fly: FlyClient,
    desired: DesiredApp,
    *,
    values: Mapping[str, SecretText],
    describe: str,
    choose: Callable[[AppPlan], AppPlan] = lambda plan: plan,
    approved: Collection[str] = (),
    heard: Callable[[Action, Failure | None], None] = lambda _action, _failure: None,
    is_unproven: Callable[[Action], bool] = lambda _action: False,
) -> Seen:
    """Passes until nothing is left to do or to wait for, within limits; the last reading tells.

    The rest is as in `reconcile`. Raises FlyError and StepFailed, and what `choose` raises.
    """
    for changes_left in reversed(range(CHANGES)):
        last = await reconcile(
            fly,
            desired,
            values=values,
            describe=describe,
            seen=lambda _: None,
            choose=choose,
            approved=approved,
            heard=heard,
            is_unproven=is_unproven,
        )
        for _ in range(LOOKS):
            if last.plan.actions or not is_under_way(last.plan):
                break
            await asyncio.sleep(LOOK_AGAIN_S)
            last = _chosen(await look(fly, desired, approved=approved), choose)
        if not last.plan.actions or not changes_left:
            break
    return last
