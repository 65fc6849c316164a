"""What holds of every plan, whatever the world is like. What is destroyed has laws of its own."""

import ast
import inspect
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import get_args

from hypothesis import event, given

from reconciler.core import action
from reconciler.core.action import (
    Action,
    Class,
    CreateMachine,
    CreateVolume,
    DestroyMachine,
    MarkMachine,
    SetSecrets,
    StartMachine,
    UpdateMachine,
)
from reconciler.core.desired import DesiredApp, DesiredMachine
from reconciler.core.fleet import from_reading, from_rows
from reconciler.core.fleet_plan import FleetPlan
from reconciler.core.observed import Claim, ObservedApp
from reconciler.core.plan import in_sync
from reconciler.core.plan_json import to_json
from tests.core.alice import LABEL, MOUNT, alice, listed, plan_app, rows, slot
from tests.core.model import Model
from tests.core.worlds import PRIVATE, WORLDS, worlds


def wanted(desired: DesiredApp) -> dict[str, DesiredMachine]:
    return {machine.slot: machine for machine in desired.machines}


@given(worlds())
@WORLDS
def test_planning_against_the_result_of_a_plan_gives_an_empty_plan(
    world: tuple[DesiredApp, ObservedApp],
) -> None:
    desired, observed = world
    plan = plan_app(desired, observed)
    for step in plan.actions:
        event(step.kind)
    after = Model(observed).do(plan.actions)
    assert plan_app(desired, after).actions == ()


@given(worlds())
@WORLDS
def test_the_same_world_in_another_order_gives_the_same_plan(world: tuple[DesiredApp, ObservedApp]) -> None:
    desired, observed = world
    turned = replace(observed, machines=observed.machines[::-1], volumes=observed.volumes[::-1])
    mirrored = replace(desired, machines=desired.machines[::-1])
    assert plan_app(mirrored, turned) == plan_app(desired, observed)


@given(worlds())
@WORLDS
def test_what_is_not_proven_ours_gets_no_action_and_no_route(world: tuple[DesiredApp, ObservedApp]) -> None:
    desired, observed = world
    for claim in (Claim.FOREIGN, Claim.TAKEN):
        theirs = replace(observed, claim=claim)
        plan = plan_app(desired, theirs)
        assert plan.actions == ()
        assert plan.holds
        assert not from_reading(desired, theirs, plan).serving


@given(worlds())
@WORLDS
def test_a_slot_gets_at_most_one_machine_and_a_volume_at_most_one_holder(
    world: tuple[DesiredApp, ObservedApp],
) -> None:
    desired, observed = world
    plan = plan_app(desired, observed)
    slots = Counter(step.slot for step in plan.actions if isinstance(step, CreateMachine))
    mounts = Counter(
        step.mount.get("volume") or step.volume_name
        for step in plan.actions
        if isinstance(step, CreateMachine) and step.mount
    )
    made = Counter(step.name for step in plan.actions if isinstance(step, CreateVolume))
    assert all(count == 1 for counts in (slots, mounts, made) for count in counts.values())
    assert slots.keys() <= wanted(desired).keys()


@given(worlds())
@WORLDS
def test_actions_come_in_an_order_that_a_crash_cannot_spoil(world: tuple[DesiredApp, ObservedApp]) -> None:
    desired, observed = world
    steps = plan_app(desired, observed).actions
    before = all_before(steps)
    for step in steps:
        if isinstance(step, CreateMachine | UpdateMachine):
            assert {one.key for one in steps if one.kind in ("create-app", "set-secrets")} <= before[step.key]
        if isinstance(step, CreateMachine) and step.volume_name:
            assert f"volume:{step.volume_name}" in before[step.key]
        if isinstance(step, MarkMachine):
            mine = {one.key for one in steps if one.key == f"machine:{step.slot}"}
            assert mine <= before[step.key]
        if isinstance(step, DestroyMachine) and step.klass is Class.REPLACE:
            assert f"destroy:{step.machine_id}" in before[f"machine:{step.slot}"]


def all_before(steps: Iterable[Action]) -> dict[str, set[str]]:
    """Of each action all that must be done first; each waits only for those ahead of it in the list."""
    found: dict[str, set[str]] = {}
    for step in steps:
        assert step.key
        assert step.key not in found
        assert found.keys() >= set(step.after)
        found[step.key] = set(step.after).union(*(found[key] for key in step.after))
    return found


@given(worlds())
@WORLDS
def test_with_known_values_everything_is_set_once_before_any_launch(
    world: tuple[DesiredApp, ObservedApp],
) -> None:
    desired, observed = world
    steps = plan_app(desired, observed).actions
    sets = [step for step in steps if isinstance(step, SetSecrets)]
    assert len(sets) <= 1
    if desired.secrets_digest and any(isinstance(step, CreateMachine | UpdateMachine) for step in steps):
        assert sets[0].names == tuple(sorted({LABEL, *desired.key_names, *desired.secret_names}))


@given(worlds())
@WORLDS
def test_no_empty_volume_is_made_for_a_slot_whose_volume_is_known(
    world: tuple[DesiredApp, ObservedApp],
) -> None:
    desired, observed = world
    names = {volume.name for volume in observed.volumes}
    for step in plan_app(desired, observed).actions:
        if isinstance(step, CreateVolume):
            assert step.name not in names


@given(worlds())
@WORLDS
def test_a_machine_that_sleeps_and_may_is_never_woken(world: tuple[DesiredApp, ObservedApp]) -> None:
    desired, observed = world
    asleep = {one.id for one in observed.machines if one.state in ("stopped", "suspended")}
    may_sleep = any(machine.may_sleep for machine in desired.machines)
    for step in plan_app(desired, observed).actions:
        assert not (isinstance(step, StartMachine) and may_sleep and step.machine_id in asleep)
        if isinstance(step, UpdateMachine) and may_sleep and step.machine_id in asleep:
            assert step.skip_launch


@given(worlds())
@WORLDS
def test_nothing_that_people_read_holds_a_value_of_an_environment(
    world: tuple[DesiredApp, ObservedApp],
) -> None:
    desired, observed = world
    plan = plan_app(desired, observed)
    told = json.dumps(to_json(FleetPlan(apps=(plan,))))
    told += repr(from_reading(desired, observed, plan))
    assert PRIVATE not in told


@given(worlds())
@WORLDS
def test_rows_are_called_in_sync_only_when_a_reading_finds_nothing_to_do(
    world: tuple[DesiredApp, ObservedApp],
) -> None:
    desired, observed = world
    after = Model(observed).do(plan_app(desired, observed).actions)
    # What rows cannot show is left out here: it is read by a slower pass.
    visible = replace(
        after, secret_names=after.secret_names | {*desired.secret_names, *desired.key_names, LABEL}
    )
    shown = rows(after.machines)
    if after.claim is Claim.OURS and in_sync(desired, listed(desired), shown):
        event("in sync")
        hidden = {machine.id for machine in after.machines if machine.host_status != "ok"}
        mounts = {hold.reason for hold in plan_app(desired, visible).holds}
        assert hidden or mounts <= {"NeedsReplacement", "VolumeSize", "DataLossNotApproved"}
        assert plan_app(desired, visible).actions == ()
        assert from_rows(desired, listed(desired), shown).conditions[0].status == "True"


def test_a_whole_app_made_from_nothing_is_in_sync_by_its_rows() -> None:
    desired = alice(slot("web-0"), slot("web-1", mount=replace(MOUNT, volume_name="web_data_1")))
    nothing = ObservedApp(desired.app_name, Claim.ABSENT)
    after = Model(nothing).do(plan_app(desired, nothing).actions)
    assert plan_app(desired, after).converged
    assert in_sync(desired, listed(desired), rows(after.machines))


def test_the_list_of_actions_is_closed_and_what_destroys_says_so() -> None:
    kinds = get_args(Action)
    classes = [
        node for node in ast.walk(ast.parse(inspect.getsource(action))) if isinstance(node, ast.ClassDef)
    ]
    assert {node.name for node in classes} - {"_Step", "Class"} == {kind.__name__ for kind in kinds}
    lossy = [kind.kind for kind in kinds if _default_class(kind) in (Class.DELETE, Class.DATA_LOSS)]
    assert lossy == ["withdraw-route", "destroy-machine", "destroy-volume", "delete-app"]


def _default_class(kind: type[Action]) -> Class:
    (default,) = [field.default for field in fields(kind) if field.name == "klass"]
    assert isinstance(default, Class)
    return default
