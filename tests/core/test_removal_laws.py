"""What holds of every removal, whatever the world and however much of the proofs is there."""

from dataclasses import replace
from typing import TypeVar

from hypothesis import event, given
from hypothesis import strategies as st

from reconciler.core import label, mark
from reconciler.core.action import Class, DeleteApp, DestroyMachine, DestroyVolume
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import Claim, ObservedApp, ObservedMachine, Snapshot
from reconciler.core.removal import Removal, is_withdrawn, plan_removal
from reconciler.core.volume import GOING
from tests.core.alice import LABEL, NOW, plan_app
from tests.core.model import Model
from tests.core.removal_scenes import ASKED
from tests.core.worlds import WORLDS, calm_worlds, worlds

T = TypeVar("T")

READINGS = 7
SILENT: tuple[str, ...] = ("syd",)


def mostly(good: T, bad: T) -> st.SearchStrategy[T]:
    return st.sampled_from([*[good] * 9, bad])


@st.composite
def removals(draw: st.DrawFn, *, whole: bool = False) -> tuple[DesiredApp, Removal, ObservedApp]:
    """An app whose document is gone; `whole`: with every proof, and nothing in it that is not ours."""
    desired, observed = draw(calm_worlds() if whole else st.one_of(calm_worlds(), worlds()))
    if whole:
        ours = tuple(volume for volume in observed.volumes if volume.name != "stuff")
        observed = replace(observed, volumes=ours)
    if draw(st.booleans()):
        observed = replace(observed, machines=tuple(withdrawn(one) for one in observed.machines))
    ids = [volume.id for volume in observed.volumes]
    shots = st.sampled_from(
        [
            (Snapshot("vs_1", "created", NOW - 5.0),),
            (Snapshot("vs_1", "created", NOW - 7200.0),),
            *([] if whole else [(Snapshot("vs_1", "running", NOW - 5.0),)]),
            (),
        ]
    )
    observed = replace(observed, snapshots={each: draw(shots) for each in ids})
    asked = replace(ASKED, approved=frozenset(ids))
    if whole:
        return desired, asked, observed
    extra = draw(mostly("", label.PROTECTED))
    observed = replace(
        observed,
        secret_names=observed.secret_names | ({extra} if extra else set()),
        network=draw(mostly("inst01-alice", "default")),
    )
    asked = replace(
        asked,
        absent_for_s=draw(mostly(600.0, 599.0)),
        source_complete=draw(mostly(True, False)),
        error_regions=draw(mostly((), SILENT)),
        withdrawn_for_s=draw(mostly(10.0, 9.0)),
        approved=frozenset(each for each in ids if draw(mostly(True, False))),
    )
    return desired, asked, observed


def withdrawn(machine: ObservedMachine) -> ObservedMachine:
    metadata = {**machine.metadata, mark.WITHDRAWN: "true"}
    return replace(machine, config={**machine.config, "metadata": metadata} if machine.config else {})


def is_proven(asked: Removal, observed: ObservedApp) -> bool:
    """Everything that must be true before anything is done, said once more and apart from the code."""
    dying = ("destroying", "destroyed", "launch_failed")
    living = [machine for machine in observed.machines if machine.state not in dying]
    return (
        asked.absent_for_s >= asked.grace_s
        and asked.source_complete
        and not asked.error_regions
        and observed.claim is Claim.OURS
        and (observed.network == "inst01-alice" or LABEL in observed.secret_names)
        and label.PROTECTED not in observed.secret_names
        and all(one.host_status == "ok" and one.config for one in living)
        and all(one.metadata.get(mark.OWNER) == "inst01.alice" for one in living)
        and all(one.id in asked.approved for one in observed.volumes if one.state not in GOING)
    )


@given(removals())
@WORLDS
def test_nothing_is_done_unless_every_proof_is_there(world: tuple[DesiredApp, Removal, ObservedApp]) -> None:
    _, asked, observed = world
    plan = plan_removal(asked, observed, now=NOW)
    if plan.actions:
        event(plan.actions[0].kind)
        assert is_proven(asked, observed)
    elif observed.claim is not Claim.ABSENT and not is_proven(asked, observed):
        assert plan.holds


@given(removals())
@WORLDS
def test_each_step_waits_for_the_one_before(world: tuple[DesiredApp, Removal, ObservedApp]) -> None:
    _, asked, observed = world
    living = [volume for volume in observed.volumes if volume.state not in GOING]
    for step in plan_removal(asked, observed, now=NOW).actions:
        if isinstance(step, DestroyMachine | DestroyVolume | DeleteApp):
            assert is_withdrawn(observed)
            assert asked.withdrawn_for_s is not None
            assert asked.withdrawn_for_s >= asked.withdraw_s
            for volume in living:
                shots = observed.snapshots[volume.id]
                assert any(one.status == "created" and one.created_at > NOW - 100.0 for one in shots)
        if isinstance(step, DestroyVolume | DeleteApp):
            assert not observed.machines
        if isinstance(step, DeleteApp):
            assert not living


@given(removals(whole=True))
@WORLDS
def test_with_every_proof_the_app_goes_and_takes_nothing_unseen_along(
    world: tuple[DesiredApp, Removal, ObservedApp],
) -> None:
    """The model of Fly refuses to delete an app that still holds a machine or a volume."""
    _, asked, observed = world
    for _ in range(READINGS):
        plan = plan_removal(asked, observed, now=NOW)
        assert not plan.holds
        observed = Model(observed).do(plan.actions)
    assert observed.claim is Claim.ABSENT


@given(removals(whole=True), st.integers(0, READINGS))
@WORLDS
def test_a_document_that_comes_back_finds_every_volume_that_was_not_destroyed(
    world: tuple[DesiredApp, Removal, ObservedApp], readings: int
) -> None:
    desired, asked, observed = world
    for _ in range(readings):
        observed = Model(observed).do(plan_removal(asked, observed, now=NOW).actions)
    left = {volume.id for volume in observed.volumes if volume.state not in GOING}
    for _ in range(3):
        plan = plan_app(desired, observed)
        assert not [step for step in plan.actions if step.klass is Class.DATA_LOSS]
        twins = {step.volume_id for step in plan.actions if isinstance(step, DestroyVolume)}
        left -= twins
        observed = Model(observed).do(plan.actions)
    assert left <= {volume.id for volume in observed.volumes if volume.state not in GOING}
    assert not [one.name for one in observed.machines if mark.WITHDRAWN in one.metadata]
