"""Taking an app away whose document is gone: what holds it, each step, and the way back."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core import label, mark
from reconciler.core.action import Class, DeleteApp, WithdrawRoute
from reconciler.core.hold import Hold
from reconciler.core.kinds import FleetSpec
from reconciler.core.observed import Claim, ObservedApp, Snapshot
from reconciler.core.plan import AppPlan
from reconciler.core.removal import Removal, is_withdrawn, plan_removal, removal_of
from tests.core.alice import LABEL, NOW, absent, alice, app, found, plan_app, slot, volume, with_volume
from tests.core.model import Model

DESIRED = alice(with_volume())
MACHINE = found(DESIRED, DESIRED.machines[0], volume="vol_1")
VOLUME = volume(attached_machine_id=MACHINE.id)
YOUNG = {"vol_1": (Snapshot("vs_1", "created", NOW - 5.0),)}


def removal(**changes: Any) -> Removal:
    """Alice's, with every proof that is not read from her app."""
    base = Removal(
        name="alice",
        app_name="acme-alice",
        made_as="acme-alice",
        network="inst01-alice",
        owner="inst01.alice",
        owner_label=LABEL,
        absent_for_s=600.0,
        grace_s=600.0,
        source_complete=True,
        withdrawn_for_s=10.0,
        withdraw_s=10.0,
        approved=frozenset({"vol_1"}),
    )
    return replace(base, **changes)


def alices(*machines: Any, **changes: Any) -> ObservedApp:
    return replace(app(*machines), **{"network": "inst01-alice", **changes})


def withdrawn(machine: Any = MACHINE) -> Any:
    metadata = {**machine.metadata, mark.WITHDRAWN: "true"}
    return replace(machine, config={**machine.config, "metadata": metadata})


def whole(**changes: Any) -> ObservedApp:
    """Her app as it runs: one machine, one volume."""
    return alices(MACHINE, **{"volumes": (VOLUME,), **changes})


def ready(**changes: Any) -> ObservedApp:
    """Her app when all that is left is to take it apart."""
    return alices(withdrawn(), **{"volumes": (VOLUME,), "snapshots": YOUNG, **changes})


def kinds(plan: AppPlan) -> list[str]:
    return [action.kind for action in plan.actions]


# --- what holds it

STRAY = found(alice(slot()), slot("web-5"), name="debug", metadata={})
MISSING: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "the document is gone for a moment only": ("Grace", {"absent_for_s": 599.0}, {}),
    "the process has just started": ("Grace", {"absent_for_s": 0.0}, {}),
    "a folder could not be read": (
        "SourceIncomplete",
        {"source_complete": False, "source_why": "users/ could not be read"},
        {},
    ),
    "the app is on another network": ("NotProven", {}, {"network": "default", "secret_names": frozenset()}),
    "the app is of another installation": (
        "NotProven",
        {},
        {"network": "inst02-alice", "secret_names": frozenset({"RECONCILER_OWNER_INST02"})},
    ),
    "the app is on our network, under a name that we never gave": (
        "NotProven",
        {"made_as": "acme-alice-2"},
        {"secret_names": frozenset()},
    ),
    "the app is foreign": ("NotProven", {}, {"claim": Claim.FOREIGN}),
    "the name is another organisation's": ("NotProven", {}, {"claim": Claim.TAKEN}),
    "a region did not answer": ("RegionsSilent", {"error_regions": ("syd",)}, {}),
    "a machine is not ours": ("Stray", {}, {"machines": (MACHINE, STRAY)}),
    "a tenant wiped its marks": (
        "Stray",
        {},
        {"machines": (found(DESIRED, slot(), metadata={}),), "volumes": ()},
    ),
    "a machine says it is somebody else's": (
        "Stray",
        {},
        {
            "machines": (
                found(DESIRED, DESIRED.machines[0], metadata={mark.OWNER: "inst02.alice"}, volume="vol_1"),
            )
        },
    ),
    "it is protected": ("Protected", {}, {"secret_names": frozenset({LABEL, label.PROTECTED})}),
    "it is protected and has no machine": (
        "Protected",
        {},
        {"machines": (), "volumes": (), "secret_names": frozenset({label.PROTECTED})},
    ),
    "it is paused": ("Paused", {}, {"secret_names": frozenset({LABEL, label.paused(NOW + 1)})}),
    "a pause of it names no moment": (
        "Paused",
        {},
        {"secret_names": frozenset({LABEL, "RECONCILER_PAUSED_UNTIL_SOON"})},
    ),
    "the whole fleet is paused": ("Paused", {"paused_until": NOW + 1, "pause_reason": "a migration"}, {}),
    "a host does not answer": (
        "HostUnreachable",
        {},
        {"machines": (replace(MACHINE, host_status="unreachable", config={}, submitted=None),)},
    ),
    "its machines are not listed for once": ("Unlisted", {}, {"machines": ()}),
    "nothing is listed, and the organisation lists a machine": (
        "Unlisted",
        {"rows": frozenset({MACHINE.id})},
        {"machines": (), "volumes": ()},
    ),
    "nothing is listed, and Fly counts a machine": (
        "Unlisted",
        {},
        {"machines": (), "volumes": (), "machine_count": 1},
    ),
    "nothing is listed, and Fly counts a volume": (
        "Unlisted",
        {},
        {"machines": (), "volumes": (), "volume_count": 1},
    ),
    "its volumes are not listed for once": ("Unlisted", {}, {"volumes": ()}),
    "a volume of unknown origin": (
        "OrphanVolume",
        {"approved": frozenset({"vol_1", "vol_9"})},
        {"volumes": (VOLUME, volume("vol_9", name="backup"))},
    ),
    "nobody gave up its volume": ("DataLossNotApproved", {"approved": frozenset()}, {}),
    "another volume was given up": ("DataLossNotApproved", {"approved": frozenset({"vol_2"})}, {}),
    "somebody gave it a public address": ("PubliclyReachable", {}, {"public_addresses": ("2001:db8::1",)}),
}


@pytest.mark.parametrize("stage", [whole, ready], ids=["at the start", "in the middle"])
@pytest.mark.parametrize("case", MISSING.values(), ids=MISSING.keys())
def test_one_missing_proof_holds_it_whole_and_is_named(case: Any, stage: Any) -> None:
    reason, asked, changed = case
    plan = plan_removal(removal(**asked), stage(**changed), now=NOW)
    assert plan.actions == ()
    assert reason in {hold.reason for hold in plan.holds}


def test_what_the_fleet_says_of_a_removal_is_taken_from_its_document() -> None:
    pause = {"reason": "a migration", "until": "2026-12-01T00:00:00Z"}
    spec = {"org": "acme", "installation": "inst01", "app_name": "acme-{name}", "regions": ["iad"]}
    fleet = FleetSpec.model_validate({**spec, "paused": pause})
    asked = removal_of(
        fleet,
        "alice",
        "acme-alice",
        absent_for_s=600.0,
        source_complete=True,
        withdrawn_for_s=10.0,
        withdraw_s=10.0,
        approved=frozenset({"vol_1"}),
    )
    assert asked == removal(paused_until=1_796_083_200.0, pause_reason="a migration")


def test_every_missing_proof_has_a_line_of_its_own() -> None:
    asked = removal(absent_for_s=0.0, error_regions=("syd",), approved=frozenset())
    plan = plan_removal(asked, whole(), now=NOW)
    assert [hold.reason for hold in plan.holds] == ["Grace", "RegionsSilent", "DataLossNotApproved"]
    assert plan.holds[0] == Hold(
        "", "Grace", "its document is gone for less than the deletion grace: 10 min are left"
    )


def test_an_adopted_app_is_proven_by_its_label_alone() -> None:
    plan = plan_removal(removal(), whole(network="default"), now=NOW)
    assert kinds(plan) == ["withdraw-route"]


def test_a_pause_that_is_over_holds_nothing() -> None:
    names = frozenset({LABEL, label.paused(NOW)})
    assert kinds(plan_removal(removal(), whole(secret_names=names), now=NOW)) == ["withdraw-route"]


def test_what_would_be_lost_is_told_before_anybody_approved_it() -> None:
    plan = plan_removal(removal(approved=frozenset()), whole(), now=NOW)
    assert [(loss.volume_id, loss.approved) for loss in plan.losses] == [("vol_1", False)]


# --- step by step


def test_first_its_route_is_withdrawn() -> None:
    (step,) = plan_removal(removal(withdrawn_for_s=None), whole(), now=NOW).actions
    assert isinstance(step, WithdrawRoute)
    assert (step.machines, step.klass) == (((MACHINE.id, "v1"),), Class.DELETE)


@pytest.mark.parametrize("heard_for_s", [None, 0.0, 9.9])
def test_until_every_router_has_heard_nothing_is_done(heard_for_s: float | None) -> None:
    plan = plan_removal(removal(withdrawn_for_s=heard_for_s), ready(), now=NOW)
    assert (kinds(plan), plan.waiting) == ([], ("its route is withdrawn; routers may use it for 10 s",))


def test_a_machine_that_came_meanwhile_is_withdrawn_too() -> None:
    late = found(alice(slot("web-1")), slot("web-1"))
    (step,) = plan_removal(removal(), alices(withdrawn(), late, volumes=(VOLUME,)), now=NOW).actions
    assert isinstance(step, WithdrawRoute)
    assert step.machines == ((late.id, "v1"),)


SNAPSHOTS: dict[str, tuple[tuple[Snapshot, ...], list[str]]] = {
    "none": ((), ["snapshot-volume"]),
    "from before the withdrawal": ((Snapshot("vs", "created", NOW - 3600.0),), ["snapshot-volume"]),
    "begun and not finished": ((Snapshot("vs", "running", NOW - 1.0),), []),
    "waiting": ((Snapshot("vs", "waiting", NOW - 1.0),), []),
    "failed once": ((Snapshot("vs", "failed", NOW - 1.0),), ["snapshot-volume"]),
    "without a date": ((Snapshot("vs", "created", 0.0),), ["snapshot-volume"]),
    "finished": ((Snapshot("vs", "created", NOW - 1.0),), ["destroy-machine"]),
}


@pytest.mark.parametrize(("snapshots", "expected"), SNAPSHOTS.values(), ids=SNAPSHOTS.keys())
def test_only_a_finished_snapshot_younger_than_the_withdrawal_lets_it_go_on(
    snapshots: tuple[Snapshot, ...], expected: list[str]
) -> None:
    plan = plan_removal(removal(), ready(snapshots={"vol_1": snapshots}), now=NOW)
    assert kinds(plan) == expected
    assert plan.actions or plan.waiting


def test_snapshots_that_were_not_read_do_not_count() -> None:
    plan = plan_removal(removal(), ready(snapshots={}), now=NOW)
    assert (kinds(plan), plan.waiting) == ([], ("the snapshots of volume vol_1 were not read",))


def test_a_snapshot_that_never_succeeds_is_not_asked_for_for_ever() -> None:
    failed = tuple(Snapshot(f"vs_{number}", "failed", NOW - number) for number in range(3))
    plan = plan_removal(removal(), ready(snapshots={"vol_1": failed}), now=NOW)
    assert (kinds(plan), [hold.reason for hold in plan.holds]) == ([], ["SnapshotMissing"])


def test_a_volume_waits_until_its_machine_is_gone() -> None:
    dying = replace(withdrawn(), state="destroying")
    plan = plan_removal(removal(), ready(machines=(dying,)), now=NOW)
    assert (kinds(plan), plan.waiting) == ([], ("web-0 is destroying",))
    gone = replace(withdrawn(), state="destroyed")
    plan = plan_removal(removal(), ready(machines=(), gone=(gone,)), now=NOW)
    assert kinds(plan) == ["destroy-volume"]


def test_the_app_goes_when_nothing_is_left_in_it() -> None:
    (step,) = plan_removal(
        removal(), alices(volumes=(replace(VOLUME, state="pending_destroy"),)), now=NOW
    ).actions
    assert isinstance(step, DeleteApp)
    assert step.network == "inst01-alice"


def test_an_app_that_is_gone_needs_nothing() -> None:
    assert plan_removal(removal(), absent(), now=NOW).converged


def test_with_every_proof_it_goes_in_order_one_step_a_reading() -> None:
    order, _ = taken_away(whole())
    assert order == [
        ["withdraw-route"],
        ["snapshot-volume"],
        ["destroy-machine"],
        ["destroy-volume"],
        ["delete-app"],
    ]


def taken_away(observed: ObservedApp, readings: int = 9) -> tuple[list[list[str]], ObservedApp]:
    """The actions of so many readings, and what is left then."""
    order = []
    for _ in range(readings):
        heard = 10.0 if is_withdrawn(observed) else None
        plan = plan_removal(removal(withdrawn_for_s=heard), observed, now=NOW)
        if not plan.actions:
            break
        order.append(kinds(plan))
        observed = Model(replace(observed, snapshots={"vol_1": (), **observed.snapshots})).do(plan.actions)
    return order, observed


# --- the way back


@pytest.mark.parametrize("readings", [1, 2, 3])
def test_a_document_that_comes_back_finds_its_data(readings: int) -> None:
    """After the route is withdrawn, after the snapshot, after the machine is gone."""
    _, left = taken_away(whole(), readings)
    for _ in range(2):
        left = Model(left).do(plan_app(DESIRED, left).actions)
    assert plan_app(DESIRED, left).converged
    (machine,) = left.machines
    assert (machine.volume_id, machine.metadata.get(mark.WITHDRAWN)) == ("vol_1", None)


def test_a_document_that_comes_back_after_the_volume_is_held_rather_than_given_an_empty_one() -> None:
    _, left = taken_away(whole(), 4)
    plan = plan_app(DESIRED, left)
    assert [hold.reason for hold in plan.holds] == ["VolumeMissing"]


def test_a_machine_that_cannot_be_changed_is_put_back_in_service_all_the_same() -> None:
    machine = replace(withdrawn(), region="sin")
    plan = plan_app(DESIRED, alices(machine, volumes=(replace(VOLUME, region="sin"),)))
    assert kinds(plan) == ["mark-machine"]
    assert "NeedsReplacement" in {hold.reason for hold in plan.holds}
