"""What is decided about one user app, situation by situation; the golden files hold whole plans."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core import mark
from reconciler.core.action import (
    Class,
    CreateMachine,
    CreateVolume,
    DestroyMachine,
    MarkMachine,
    SetSecrets,
    UpdateMachine,
)
from reconciler.core.desired import DesiredMachine
from reconciler.core.observed import Claim
from reconciler.core.plan import AppPlan, in_sync
from tests.core.alice import (
    CONFIG,
    LABEL,
    MOUNT,
    NAMES,
    absent,
    alice,
    app,
    found,
    listed,
    marks,
    plan_app,
    rows,
    slot,
    volume,
    with_volume,
)


def kinds(plan: AppPlan) -> list[str]:
    return [action.kind for action in plan.actions]


def reasons(plan: AppPlan) -> list[str]:
    return [hold.reason for hold in plan.holds]


def notes(plan: AppPlan) -> list[str]:
    return [note.reason for note in plan.notes]


# --- whose it is


def test_an_app_of_another_organisation_is_not_touched() -> None:
    plan = plan_app(alice(slot()), replace(absent(), claim=Claim.TAKEN))
    assert (kinds(plan), reasons(plan)) == ([], ["NameTaken"])


def test_an_app_without_our_proof_is_not_touched_whatever_its_machines_say() -> None:
    desired = alice(slot())
    machine = found(desired, desired.machines[0], config={"image": "other:1"})
    plan = plan_app(desired, app(machine, claim=Claim.FOREIGN))
    assert (kinds(plan), reasons(plan)) == ([], ["Foreign"])


def test_an_app_as_documented_needs_nothing() -> None:
    desired = alice(with_volume())
    machine = found(desired, desired.machines[0], volume="vol_1")
    plan = plan_app(desired, app(machine, volumes=(volume(attached_machine_id=machine.id),)))
    assert plan == AppPlan(name="alice", app_name="acme-alice")
    assert plan.converged


def test_after_a_crash_between_app_and_secrets_the_rest_follows() -> None:
    plan = plan_app(alice(slot()), app(secret_names=frozenset()))
    assert kinds(plan) == ["set-secrets", "create-machine"]


# --- secrets


def test_one_call_sets_label_keys_and_secrets() -> None:
    (secrets, *_) = plan_app(alice(slot()), app(secret_names=frozenset())).actions
    assert isinstance(secrets, SetSecrets)
    assert secrets.names == tuple(sorted(NAMES))


def test_each_plan_with_a_launch_sets_the_values_first_whatever_machines_attest() -> None:
    """After a crash between the two, and a change taken back, the app may hold other values than attested."""
    desired = alice(slot("web-0"), slot("web-1"))
    plan = plan_app(desired, app(found(desired, desired.machines[0])))
    assert kinds(plan) == ["set-secrets", "create-machine"]


def test_an_app_without_secrets_and_keys_has_none_set_at_a_launch() -> None:
    desired = alice(slot(), secret_names=(), key_names=())
    assert kinds(plan_app(desired, app(secret_names=frozenset({LABEL})))) == ["create-machine"]


def test_names_are_compared_even_where_the_values_are_not_known() -> None:
    """A guard whose key comes or goes must hear of it; a mark alone would claim what was never launched."""
    old = alice(slot(), key_names=())
    new = alice(slot(), secrets_digest=None, key_id=None)
    with_key = app(found(old, slot()))
    (update,) = plan_app(new, with_key).actions
    assert isinstance(update, UpdateMachine)
    assert update.changes == ("secrets.PRESHARED_KEY: added",)
    without = replace(old, secrets_digest=None, key_id=None)
    assert kinds(plan_app(without, app(found(alice(slot()), slot())))) == ["set-secrets", "update-machine"]


def test_a_secret_that_left_the_document_is_unset_and_nobody_elses() -> None:
    old = alice(slot())
    new = replace(old, secret_names=(), secrets_digest="digest2")
    plan = plan_app(new, app(found(old, old.machines[0]), secret_names=NAMES | {"BY_HAND"}))
    (secrets, update) = plan.actions
    assert isinstance(secrets, SetSecrets)
    assert secrets.unset == ("API_KEY",)
    assert isinstance(update, UpdateMachine)
    assert update.config["metadata"][mark.SECRET_NAMES] == "PRESHARED_KEY"


def test_a_tenant_cannot_have_a_secret_unset_by_claiming_that_it_was_ours() -> None:
    desired = alice(slot())
    machine = found(desired, slot(), is_submitted=False)
    lying = {**machine.metadata, mark.SECRET_NAMES: "API_KEY,BY_HAND,PRESHARED_KEY"}
    observed = app(
        replace(machine, config={**machine.config, "metadata": lying}), secret_names=NAMES | {"BY_HAND"}
    )
    plan = plan_app(desired, observed)
    assert [step.unset for step in plan.actions if isinstance(step, SetSecrets)] == [()]
    assert notes(plan) == ["SecretLeft"]


def test_a_tenant_cannot_have_the_owner_label_unset() -> None:
    desired = alice(slot())
    machine = found(desired, desired.machines[0], is_submitted=False)
    lying = {**machine.metadata, mark.SECRET_NAMES: f"{LABEL},RECONCILER_PROTECTED"}
    observed = app(
        replace(machine, config={**machine.config, "metadata": lying}),
        secret_names=NAMES | {"RECONCILER_PROTECTED"},
    )
    steps = [step for step in plan_app(desired, observed).actions if isinstance(step, SetSecrets)]
    assert [step.unset for step in steps] == [()]


def test_values_not_known_here_are_not_compared_and_the_machine_keeps_its_mark() -> None:
    old = alice(slot())
    desired = alice(slot(config={**CONFIG, "image": "registry/studio:2"}, spec_hash="spec2"))
    desired = replace(desired, secrets_digest=None, key_id=None)
    plan = plan_app(desired, app(found(old, old.machines[0])))
    (update,) = plan.actions
    assert isinstance(update, UpdateMachine)
    assert update.config["metadata"][mark.SECRETS] == "digest1"
    assert update.config["metadata"][mark.KEY] == "0badcafe"
    assert not plan.secrets_compared


def test_replay_keys_that_an_app_did_not_have_reach_its_machines() -> None:
    old = alice(slot(), key_names=())
    new = alice(slot())
    plan = plan_app(new, app(found(old, slot()), secret_names=NAMES - {"PRESHARED_KEY"}))
    (_, update) = plan.actions
    assert isinstance(update, UpdateMachine)
    assert update.changes == ("secrets.PRESHARED_KEY: added",)


def test_another_root_key_restarts_a_machine_only_where_the_values_are_known() -> None:
    old = alice(slot())
    machine = found(old, slot())
    rotated = alice(slot(), secrets_digest="digest2", key_id="12345678")
    assert kinds(plan_app(rotated, app(machine))) == ["set-secrets", "update-machine"]
    unknown = replace(rotated, secrets_digest=None)
    assert plan_app(unknown, app(machine)).converged
    assert in_sync(unknown, listed(unknown), rows([machine]))


def test_a_machine_made_without_the_values_claims_no_secrets() -> None:
    (create,) = plan_app(alice(slot(), secrets_digest=None), app()).actions
    assert isinstance(create, CreateMachine)
    assert create.config["metadata"].keys().isdisjoint({mark.SECRETS, mark.KEY})


def test_a_machine_whose_config_fly_does_not_show_is_not_overwritten() -> None:
    desired = alice(slot())
    plan = plan_app(desired, app(replace(found(desired, slot()), config={}, submitted=None)))
    assert (kinds(plan), reasons(plan)) == ([], ["HostUnreachable"])


def test_values_not_known_here_leave_a_secret_that_is_set_alone() -> None:
    desired = replace(alice(slot()), secrets_digest=None, key_id=None)
    (secrets, _) = plan_app(desired, app(secret_names=frozenset({LABEL}))).actions
    assert isinstance(secrets, SetSecrets)
    assert secrets.names == ("API_KEY", "PRESHARED_KEY")


# --- changes


def test_a_pause_that_names_no_moment_lasts_until_somebody_takes_it_off() -> None:
    """Whoever set the label wanted nothing to change, so it is not passed over for its spelling."""
    desired = alice(slot())
    labels = frozenset({LABEL, "RECONCILER_PAUSED_UNTIL_SOON"})
    plan = plan_app(desired, app(secret_names=labels))
    assert (plan.actions, reasons(plan)) == ((), ["Paused"])


def test_what_was_changed_by_hand_is_put_back() -> None:
    desired = alice(slot())
    machine = found(desired, desired.machines[0], config={"image": "registry/evil:1"}, version="v2")
    machine = replace(
        machine, config={**machine.config, "metadata": marks(desired, desired.machines[0], "v1")}
    )
    plan = plan_app(desired, app(machine))
    assert kinds(plan) == ["set-secrets", "update-machine"]
    assert plan.changed_by_hand == ("web-0: image: registry/studio:1 → registry/evil:1",)


def test_with_drift_warn_what_was_changed_by_hand_is_told_and_left() -> None:
    desired = alice(slot(), corrects_drift=False)
    machine = found(desired, desired.machines[0], config={"image": "registry/evil:1"}, version="v2")
    machine = replace(
        machine, config={**machine.config, "metadata": marks(desired, desired.machines[0], "v1")}
    )
    plan = plan_app(desired, app(machine))
    assert (kinds(plan), notes(plan)) == ([], ["Drifted"])
    assert plan.changed_by_hand


def test_with_drift_warn_a_changed_document_is_followed() -> None:
    old = alice(slot(), corrects_drift=False)
    new = alice(
        slot(config={**CONFIG, "image": "registry/studio:2"}, spec_hash="spec2"), corrects_drift=False
    )
    assert kinds(plan_app(new, app(found(old, old.machines[0])))) == ["set-secrets", "update-machine"]


def test_with_drift_warn_a_secret_removed_by_hand_is_told_and_left() -> None:
    desired = alice(slot(), corrects_drift=False)
    observed = app(found(desired, desired.machines[0]), secret_names=NAMES - {"API_KEY"})
    plan = plan_app(desired, observed)
    assert (kinds(plan), notes(plan)) == ([], ["Drifted"])
    assert kinds(plan_app(replace(desired, corrects_drift=True), observed)) == ["set-secrets"]


def test_an_update_does_not_carry_the_old_versions_verification() -> None:
    old = alice(slot())
    new = alice(slot(config={**CONFIG, "image": "registry/studio:2"}, spec_hash="spec2"))
    (_, update) = plan_app(new, app(found(old, old.machines[0]))).actions
    assert isinstance(update, UpdateMachine)
    assert mark.VERSION not in update.config["metadata"]


def test_an_update_keeps_other_peoples_metadata_and_fields_that_are_news() -> None:
    old = alice(slot())
    machine = found(old, old.machines[0], config={"hyperdrive": {"level": 9}})
    machine = replace(
        machine, config={**machine.config, "metadata": {**machine.metadata, "fly_process_group": "app"}}
    )
    new = alice(slot(config={**CONFIG, "image": "registry/studio:2"}, spec_hash="spec2"))
    plan = plan_app(new, app(machine))
    (_, update) = plan.actions
    assert isinstance(update, UpdateMachine)
    assert update.config["hyperdrive"] == {"level": 9}
    assert update.config["metadata"]["fly_process_group"] == "app"
    assert notes(plan) == ["UnknownField"]


def test_a_sleeping_machine_is_updated_without_waking_it() -> None:
    old = alice(slot())
    new = alice(slot(config={**CONFIG, "image": "registry/studio:2"}, spec_hash="spec2"))
    (_, update) = plan_app(new, app(found(old, old.machines[0], state="suspended"))).actions
    assert isinstance(update, UpdateMachine)
    assert update.skip_launch
    assert not update.must_run


def test_only_metadata_of_the_spec_changed_is_written_without_a_restart() -> None:
    old = alice(slot())
    new = alice(slot(config={**CONFIG, "metadata": {"team": "blue"}}, spec_hash="spec2"))
    (marking,) = plan_app(new, app(found(old, old.machines[0]))).actions
    assert isinstance(marking, MarkMachine)
    assert marking.metadata == {mark.SPEC: "spec2", "team": "blue"}


def test_a_verified_machine_is_believed_although_fly_filled_in_what_we_do_not_know() -> None:
    desired = alice(slot())
    machine = found(
        desired, desired.machines[0], config={"restart": {"policy": "always"}}, is_submitted=False
    )
    assert plan_app(desired, app(machine)).converged


# --- marks


def test_wiped_marks_are_restored_without_a_restart_when_the_config_agrees() -> None:
    desired = alice(slot())
    plan = plan_app(desired, app(found(desired, desired.machines[0], metadata={})))
    (marking,) = plan.actions
    assert isinstance(marking, MarkMachine)
    assert marking.metadata == marks(desired, desired.machines[0])


def test_wiped_marks_that_nothing_attests_cost_a_restart_since_the_secrets_are_unknown() -> None:
    desired = alice(slot())
    machine = found(desired, desired.machines[0], metadata={}, is_submitted=False)
    assert kinds(plan_app(desired, app(machine))) == ["set-secrets", "update-machine"]


def test_a_lying_slot_mark_does_not_move_a_machine_out_of_its_slot() -> None:
    desired = alice(slot("web-0"), slot("web-1"))
    first, second = (found(desired, machine) for machine in desired.machines)
    lying = replace(first, config={**first.config, "metadata": {**first.metadata, mark.SLOT: "web-1"}})
    plan = plan_app(desired, app(lying, second))
    assert [(action.kind, action.slot) for action in plan.actions if isinstance(action, MarkMachine)] == [
        ("mark-machine", "web-0")
    ]
    assert not plan.holds


def test_a_machine_of_somebody_else_that_holds_the_name_is_not_touched() -> None:
    desired = alice(slot())
    machine = found(desired, desired.machines[0], metadata={mark.OWNER: "other1.alice"})
    plan = plan_app(desired, app(machine))
    assert (kinds(plan), reasons(plan), notes(plan)) == ([], ["NameHeld"], ["Stray"])


@pytest.mark.parametrize("name", ["web-0", "web-0-r1"])
def test_a_tenant_that_disowns_its_machine_gets_no_second_one(name: str) -> None:
    desired = alice(slot())
    machine = found(desired, slot(), name=name, metadata={mark.OWNER: "other1.alice\x1b[2J"})
    plan = plan_app(desired, app(machine))
    assert (kinds(plan), reasons(plan)) == ([], ["NameHeld"])
    assert plan.holds[0].message.isprintable()
    dying = plan_app(desired, app(replace(machine, state="destroying")))
    assert kinds(dying) == ["set-secrets", "create-machine"]


def test_a_tenant_cannot_put_text_of_its_own_into_what_operators_read() -> None:
    desired = alice(slot("web-0"))
    machine = found(desired, slot("web-1"))
    forged = {**machine.metadata, mark.SLOT: "web-1\n\x1b[2Jall is well"}
    machine = replace(machine, config={**machine.config, "metadata": forged})
    plan = plan_app(desired, app(found(desired, slot("web-0")), machine))
    assert "all is well" not in repr(plan)


# --- states


@pytest.mark.parametrize(
    "state", ["created", "starting", "stopping", "restarting", "suspending", "updating", "replacing", "novel"]
)
def test_while_fly_is_at_work_nothing_is_done(state: str) -> None:
    desired = alice(slot())
    plan = plan_app(desired, app(found(desired, desired.machines[0], state=state, metadata={})))
    assert (kinds(plan), plan.waiting) == ([], (f"web-0 is {state}",))
    assert not plan.converged


@pytest.mark.parametrize("state", ["stopped", "suspended"])
def test_a_machine_that_may_not_sleep_is_started(state: str) -> None:
    desired = alice(slot(may_sleep=False))
    assert kinds(plan_app(desired, app(found(desired, desired.machines[0], state=state)))) == [
        "start-machine"
    ]


@pytest.mark.parametrize("state", ["stopped", "suspended"])
def test_a_machine_that_may_sleep_is_left_asleep(state: str) -> None:
    desired = alice(slot())
    assert plan_app(desired, app(found(desired, desired.machines[0], state=state))).converged


def test_a_failed_machine_is_started_again() -> None:
    desired = alice(slot())
    plan = plan_app(desired, app(found(desired, desired.machines[0], state="failed")))
    assert kinds(plan) == ["start-machine"]


def test_a_failed_machine_that_is_to_be_asleep_is_reported() -> None:
    desired = alice(slot(skip_launch=True))
    plan = plan_app(desired, app(found(desired, desired.machines[0], state="failed")))
    assert (kinds(plan), reasons(plan)) == ([], ["Failed"])


def test_on_an_unreachable_host_nothing_is_changed_and_nothing_made_beside_it() -> None:
    desired = alice(with_volume())
    machine = replace(
        found(desired, desired.machines[0]), host_status="unreachable", config={}, submitted=None
    )
    plan = plan_app(desired, app(machine, volumes=(volume(attached_machine_id=machine.id),)))
    assert (kinds(plan), reasons(plan)) == ([], ["HostUnreachable"])


@pytest.mark.parametrize("state", ["destroying", "launch_failed"])
def test_while_the_name_is_held_by_a_dying_machine_the_next_name_is_taken(state: str) -> None:
    desired = alice(slot())
    (create,) = plan_app(
        desired,
        app(found(desired, desired.machines[0], state=state)),
    ).actions[-1:]
    assert isinstance(create, CreateMachine)
    assert (create.slot, create.name) == ("web-0", "web-0-r1")


def test_a_machine_under_a_later_name_fills_its_slot() -> None:
    desired = alice(slot())
    assert plan_app(desired, app(found(desired, desired.machines[0], name="web-0-r3"))).converged


# --- what would need a destroy


def test_a_lowered_count_destroys_the_machines_that_are_too_many() -> None:
    old = alice(slot("web-0"), slot("web-1"))
    machines = [found(old, machine) for machine in old.machines]
    (destroy,) = plan_app(alice(slot("web-0")), app(*machines)).actions
    assert isinstance(destroy, DestroyMachine)
    assert (destroy.name, destroy.klass) == ("web-1", Class.DELETE)


def test_of_two_machines_for_one_slot_the_later_name_fills_it_and_the_other_goes() -> None:
    """The later one was made because something was wrong with the earlier: its host was lost, say."""
    desired = alice(slot())
    two = [found(desired, desired.machines[0], name=name) for name in ("web-0", "web-0-r1")]
    (destroy,) = plan_app(desired, app(*two)).actions
    assert isinstance(destroy, DestroyMachine)
    assert destroy.name == "web-0"


@pytest.mark.parametrize(
    ("wanted", "of_name"), [(slot(), "web_data_0"), (with_volume(), "web_files_0")], ids=["none", "another"]
)
def test_a_machine_is_not_replaced_while_that_would_lose_a_volume_that_nobody_gave_up(
    wanted: DesiredMachine, of_name: str
) -> None:
    desired = alice(replace(wanted, spec_hash="spec2", config={**CONFIG, "image": "registry/studio:2"}))
    machine = found(alice(slot()), slot(), volume="vol_1")
    plan = plan_app(desired, app(machine, volumes=(volume(name=of_name, attached_machine_id=machine.id),)))
    assert (kinds(plan), reasons(plan)) == ([], ["NeedsReplacement", "DataLossNotApproved"])
    assert [(loss.volume_id, loss.approved) for loss in plan.losses] == [("vol_1", False)]


def test_a_machine_that_needs_a_volume_is_made_anew_with_one() -> None:
    plan = plan_app(alice(with_volume()), app(found(alice(slot()), slot())))
    assert kinds(plan) == ["set-secrets", "destroy-machine", "create-volume", "create-machine"]
    assert [action.klass for action in plan.actions[1:]] == [Class.REPLACE] * 3


def test_a_machine_in_a_region_that_is_not_wanted_is_made_anew_in_one_that_is() -> None:
    desired = alice(slot())
    plan = plan_app(desired, app(found(desired, desired.machines[0], region="sin")))
    assert kinds(plan) == ["set-secrets", "destroy-machine", "create-machine"]


def test_a_volume_grows() -> None:
    desired = alice(with_volume(mount=replace(MOUNT, size_gb=2), spec_hash="spec2"))
    machine = found(alice(with_volume()), with_volume(), volume="vol_1")
    plan = plan_app(desired, app(machine, volumes=(volume(size_gb=1, attached_machine_id=machine.id),)))
    assert kinds(plan) == ["extend-volume", "mark-machine"]
    assert plan.actions[0].klass is Class.RESTART
    assert plan.actions[1].after == ("extend:vol_1",)


def test_a_volume_never_shrinks() -> None:
    desired = alice(with_volume(mount=replace(MOUNT, size_gb=2), spec_hash="spec2"))
    machine = found(alice(with_volume()), with_volume(), volume="vol_1")
    plan = plan_app(desired, app(machine, volumes=(volume(size_gb=3, attached_machine_id=machine.id),)))
    assert (kinds(plan), reasons(plan)) == ([], ["VolumeSize"])


# --- volumes of a missing slot


def test_a_volume_made_before_a_crash_is_mounted_and_no_second_one_made() -> None:
    plan = plan_app(alice(with_volume()), app(volumes=(volume(),)))
    assert kinds(plan) == ["set-secrets", "create-machine"]


def test_of_several_the_one_that_was_mounted_is_taken() -> None:
    desired = alice(with_volume())
    gone = found(desired, desired.machines[0], volume="vol_2", state="destroyed")
    volumes = (volume("vol_1", created_at="2026-01-01"), volume("vol_2", created_at="2026-02-01"))
    plan = plan_app(desired, app(gone=(gone,), volumes=volumes))
    create = plan.actions[-1]
    assert isinstance(create, CreateMachine)
    assert create.mount == {"path": "/data", "volume": "vol_2"}
    assert notes(plan) == ["OrphanVolume"]


def test_of_several_never_mounted_the_oldest_is_taken() -> None:
    volumes = (volume("vol_1", created_at="2026-02-01"), volume("vol_2", created_at="2026-01-01"))
    create = plan_app(alice(with_volume()), app(volumes=volumes)).actions[-1]
    assert isinstance(create, CreateMachine)
    assert create.mount == {"path": "/data", "volume": "vol_2"}


def test_two_that_were_mounted_are_left_to_a_person() -> None:
    desired = alice(with_volume())
    gone = tuple(
        found(desired, desired.machines[0], name=name, volume=mounted, state="destroyed")
        for name, mounted in (("web-0-r1", "vol_2"), ("web-0", "vol_1"))
    )
    plan = plan_app(desired, app(gone=gone, volumes=(volume("vol_1"), volume("vol_2"))))
    assert (kinds(plan), reasons(plan)) == ([], ["VolumeAmbiguous"])


def test_an_empty_volume_is_never_put_where_data_was() -> None:
    desired = alice(with_volume())
    gone = found(desired, desired.machines[0], volume="vol_1", state="destroyed")
    plan = plan_app(desired, app(gone=(gone,)))
    assert (kinds(plan), reasons(plan)) == ([], ["VolumeMissing"])


def test_a_volume_on_its_way_out_counts_as_missing_not_as_free() -> None:
    plan = plan_app(alice(with_volume()), app(volumes=(volume(state="pending_destroy"),)))
    assert (kinds(plan), reasons(plan)) == ([], ["VolumeMissing"])


def test_a_volume_still_bound_to_the_dying_machine_is_waited_for() -> None:
    desired = alice(with_volume())
    dying = found(desired, desired.machines[0], volume="vol_1", state="destroying")
    volumes = (volume(attached_machine_id=dying.id), volume("vol_2"))
    plan = plan_app(desired, app(dying, volumes=volumes))
    assert (kinds(plan), reasons(plan)) == ([], [])
    assert plan.waiting == ("web-0 waits until volume vol_1 is free of machine id-web-0",)


def test_a_volume_of_the_slot_in_another_machine_is_not_pulled_away() -> None:
    desired = alice(with_volume())
    stray = found(desired, desired.machines[0], name="debug", metadata={}, volume="vol_1")
    plan = plan_app(desired, app(stray, volumes=(volume(),)))
    assert (kinds(plan), reasons(plan)) == ([], ["VolumeInUse"])


def test_a_volume_that_is_being_restored_is_waited_for() -> None:
    plan = plan_app(alice(with_volume()), app(volumes=(volume(state="restoring"),)))
    assert (kinds(plan), plan.waiting) == ([], ("web-0 waits for volume vol_1, which is restoring",))


def test_a_volume_of_another_size_is_mounted_and_stays_in_sight() -> None:
    plan = plan_app(alice(with_volume()), app(volumes=(volume(size_gb=9),)))
    create = plan.actions[-1]
    assert isinstance(create, CreateMachine)
    assert reasons(plan) == ["VolumeSize"]
    assert mark.SPEC not in create.config["metadata"]


def test_a_new_volume_is_made_where_the_machine_fits() -> None:
    plan = plan_app(alice(with_volume()), app())
    (volume_step,) = [action for action in plan.actions if isinstance(action, CreateVolume)]
    assert volume_step.compute == CONFIG["guest"]
    assert volume_step.regions == ("iad", "ord")


# --- notes


def test_a_public_address_and_a_cordon_are_noted() -> None:
    desired = alice(slot())
    machine = found(desired, desired.machines[0], cordoned=True)
    plan = plan_app(desired, app(machine, public_addresses=("2001:db8::1",)))
    assert (kinds(plan), notes(plan)) == ([], ["PubliclyReachable", "Cordoned"])


# --- the fast path


def test_rows_that_agree_need_no_reading() -> None:
    desired = alice(slot("web-0"), slot("web-1"))
    machines = [found(desired, machine) for machine in desired.machines]
    assert in_sync(desired, listed(desired), rows(machines))


def test_a_machine_that_falls_asleep_or_wakes_costs_no_reading() -> None:
    desired = alice(slot())
    for state in ("started", "starting", "stopping", "stopped", "suspending", "suspended"):
        assert in_sync(desired, listed(desired), rows([found(desired, slot(), state=state)])), state


DIFFERENT: dict[str, dict[str, Any]] = {
    "another version": {"version": "v2", "metadata": marks(alice(slot()), slot(), "v1")},
    "another image": {"config": {"image": "registry/evil:1"}},
    "another guest": {"config": {"guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 512}}},
    "no marks": {"metadata": {}},
    "failed": {"state": "failed"},
    "being replaced": {"state": "replacing"},
    "another region": {"region": "sin"},
}


@pytest.mark.parametrize("difference", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_rows_that_differ_have_the_app_read(difference: dict[str, Any]) -> None:
    desired = alice(slot())
    machine = found(desired, slot(), **difference)
    assert not in_sync(desired, listed(desired), rows([machine]))


def test_a_changed_document_or_secret_has_the_app_read() -> None:
    desired = alice(slot())
    seen = rows([found(desired, slot())])
    assert not in_sync(alice(slot(spec_hash="spec2")), listed(desired), seen)
    assert not in_sync(replace(desired, secrets_digest="digest2"), listed(desired), seen)
    assert in_sync(replace(desired, secrets_digest=None, key_id=None), listed(desired), seen)


def test_a_missing_or_surplus_machine_or_a_foreign_app_is_never_in_sync() -> None:
    desired = alice(slot())
    machine = found(desired, slot())
    assert not in_sync(desired, listed(desired), ())
    assert not in_sync(desired, None, ())
    assert not in_sync(desired, listed(desired), rows([machine, found(desired, slot("web-1"))]))
    assert not in_sync(desired, listed(desired, name="acme-bob"), rows([machine]))
    bare = found(desired, slot(), metadata={})
    assert not in_sync(desired, listed(desired, network="default"), rows([bare]))


def test_a_machine_that_may_not_sleep_and_does_has_the_app_read() -> None:
    desired = alice(slot(may_sleep=False))
    assert not in_sync(desired, listed(desired), rows([found(desired, desired.machines[0], state="stopped")]))
