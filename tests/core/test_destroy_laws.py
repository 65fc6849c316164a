"""What holds of everything that a plan destroys, whatever the world is like."""

from dataclasses import replace

from hypothesis import event, given
from hypothesis import strategies as st

from reconciler.core import label, mark
from reconciler.core.action import Class, CreateMachine, DestroyMachine, DestroyVolume, SnapshotVolume
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import Claim, ObservedApp, Snapshot
from reconciler.core.slot import first_name
from tests.core.alice import NOW, plan_app
from tests.core.model import Model
from tests.core.worlds import WORLDS, calm_worlds, worlds

World = tuple[DesiredApp, ObservedApp]

LOSSY = (Class.REPLACE, Class.DELETE, Class.DATA_LOSS)
EITHER = st.one_of(calm_worlds(), worlds())
SNAPSHOTS = st.sampled_from(
    [
        (),
        (Snapshot("vs_old", "created", NOW - 7200.0),),
        (Snapshot("vs_now", "created", NOW - 10.0),),
        (Snapshot("vs_run", "running", NOW - 10.0),),
    ]
)


@st.composite
def given_up(draw: st.DrawFn) -> tuple[DesiredApp, ObservedApp, frozenset[str]]:
    """A world, some of whose volumes somebody approved to lose, with one snapshot or another."""
    desired, observed = draw(EITHER)
    ids = sorted(volume.id for volume in observed.volumes)
    approved = frozenset(each for each in ids if draw(st.integers(0, 3)))
    snapshots = {each: draw(SNAPSHOTS) for each in ids}
    return desired, replace(observed, snapshots=snapshots), approved


@given(EITHER)
@WORLDS
def test_only_a_machine_that_carries_our_mark_is_destroyed(world: World) -> None:
    desired, observed = world
    owners = {machine.id: machine.metadata.get(mark.OWNER) for machine in observed.machines}
    for step in plan_app(desired, observed).actions:
        if isinstance(step, DestroyMachine):
            event(f"destroyed: {step.klass}")
            assert owners[step.machine_id] == desired.owner


@given(EITHER)
@WORLDS
def test_a_machine_that_is_wanted_goes_only_for_another_in_its_slot(world: World) -> None:
    desired, observed = world
    plan = plan_app(desired, observed)
    made = {step.slot for step in plan.actions if isinstance(step, CreateMachine)}
    slots = {machine.slot for machine in desired.machines}
    gone = {step.machine_id for step in plan.actions if isinstance(step, DestroyMachine)}
    for step in plan.actions:
        if isinstance(step, DestroyMachine) and step.slot in slots:
            others = [
                one
                for one in observed.machines
                if first_name(one.name) == step.slot or one.metadata.get(mark.SLOT) == step.slot
                if one.id not in gone
            ]
            assert step.slot in made or others


@given(EITHER)
@WORLDS
def test_without_an_approval_no_volume_is_lost_that_was_ever_mounted(world: World) -> None:
    desired, observed = world
    mounted = {machine.volume_id for machine in (*observed.machines, *observed.gone)}
    attached = {volume.id for volume in observed.volumes if volume.attached_machine_id}
    for step in plan_app(desired, observed).actions:
        if isinstance(step, DestroyVolume):
            event("a twin")
            assert step.klass is Class.DELETE
            assert step.volume_id not in mounted | attached


@given(given_up())
@WORLDS
def test_a_volume_is_lost_only_after_its_approval_and_a_finished_fresh_snapshot(
    world: tuple[DesiredApp, ObservedApp, frozenset[str]],
) -> None:
    desired, observed, approved = world
    for step in plan_app(desired, observed, approved=approved).actions:
        if isinstance(step, DestroyVolume) and step.klass is Class.DATA_LOSS:
            event("lost")
            assert step.volume_id in approved
            assert any(
                one.status == "created" and one.created_at > NOW - 3600.0
                for one in observed.snapshots[step.volume_id]
            )


@given(given_up())
@WORLDS
def test_every_volume_that_would_be_lost_has_a_line_of_its_own(
    world: tuple[DesiredApp, ObservedApp, frozenset[str]],
) -> None:
    desired, observed, approved = world
    plan = plan_app(desired, observed, approved=approved)
    told = {loss.volume_id for loss in plan.losses}
    for step in plan.actions:
        if isinstance(step, SnapshotVolume) or step.klass is Class.DATA_LOSS:
            assert getattr(step, "volume_id", None) in told
    assert {loss.volume_id for loss in plan.losses if loss.approved} == told & approved


@given(given_up())
@WORLDS
def test_a_machine_is_gone_before_its_volume(world: tuple[DesiredApp, ObservedApp, frozenset[str]]) -> None:
    desired, observed, approved = world
    steps = plan_app(desired, observed, approved=approved).actions
    holder = {one.volume_id: one.id for one in observed.machines if one.volume_id}
    keys = [step.key for step in steps]
    for step in steps:
        if isinstance(step, DestroyVolume) and step.volume_id in holder:
            event("with its machine")
            assert keys.index(f"destroy:{holder[step.volume_id]}") < keys.index(step.key)
            assert f"destroy:{holder[step.volume_id]}" in step.after


@given(given_up())
@WORLDS
def test_step_by_step_nothing_is_left_to_do(world: tuple[DesiredApp, ObservedApp, frozenset[str]]) -> None:
    """Approved losses take a reading each: a snapshot, the loss, and what comes instead."""
    desired, observed, approved = world
    for readings in range(6):
        plan = plan_app(desired, observed, approved=approved)
        if not plan.actions:
            event(f"after {readings} readings")
            return
        observed = Model(observed).do(plan.actions)
    raise AssertionError(f"still to do: {[step.key for step in plan.actions]}")


@given(given_up(), st.booleans())
@WORLDS
def test_a_protected_app_loses_nothing(
    world: tuple[DesiredApp, ObservedApp, frozenset[str]], by_document: bool
) -> None:
    desired, observed, approved = world
    if by_document:
        desired = replace(desired, protect=True)
    else:
        observed = replace(observed, secret_names=observed.secret_names | {label.PROTECTED})
    plan = plan_app(desired, observed, approved=approved)
    assert not [step for step in plan.actions if step.klass in LOSSY]


@given(given_up(), st.booleans())
@WORLDS
def test_a_paused_app_gets_no_action_and_says_until_when(
    world: tuple[DesiredApp, ObservedApp, frozenset[str]], by_document: bool
) -> None:
    desired, observed, approved = world
    if by_document:
        desired = replace(desired, paused_until=NOW + 60, pause_reason="a migration")
    else:
        observed = replace(observed, secret_names=observed.secret_names | {label.paused(NOW + 60)})
    plan = plan_app(desired, observed, approved=approved)
    assert plan.actions == ()
    if observed.claim not in (Claim.TAKEN, Claim.FOREIGN):
        assert any(hold.reason == "Paused" and "14:14:20" in hold.message for hold in plan.holds)


@given(given_up())
@WORLDS
def test_the_same_inputs_give_the_same_plan(world: tuple[DesiredApp, ObservedApp, frozenset[str]]) -> None:
    desired, observed, approved = world
    turned = replace(observed, machines=observed.machines[::-1], volumes=observed.volumes[::-1])
    mirrored = replace(desired, machines=desired.machines[::-1])
    plan = plan_app(desired, observed, approved=approved)
    assert repr(plan_app(mirrored, turned, approved=approved)) == repr(plan)
