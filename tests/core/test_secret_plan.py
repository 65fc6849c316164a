"""What is decided about an app's secrets and labels, situation by situation."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core import label, mark
from reconciler.core.action import CreateMachine, MarkMachine, SetSecrets, UpdateMachine
from reconciler.core.desired import DesiredApp, Generated
from reconciler.core.observed import ObservedApp
from reconciler.core.plan import AppPlan, in_sync
from tests.core.alice import (
    LABEL,
    NAMES,
    absent,
    alice,
    app,
    found,
    listed,
    plan_app,
    rows,
    slot,
    volume,
    with_volume,
)

SESSION = "SESSION_KEY"


def plan(desired: DesiredApp, observed: ObservedApp) -> AppPlan:
    return plan_app(desired, observed)


def kinds(found_plan: AppPlan) -> list[str]:
    return [action.kind for action in found_plan.actions]


def call(found_plan: AppPlan) -> SetSecrets:
    """The one secrets call."""
    (step,) = [action for action in found_plan.actions if isinstance(action, SetSecrets)]
    return step


def generating(version: int = 1, **changes: Any) -> DesiredApp:
    """Alice, with a generated secret besides her others."""
    names = ("API_KEY", SESSION)
    generated = (Generated(SESSION, version, 43),)
    return alice(*changes.pop("machines", (slot(),)), secret_names=names, generated=generated, **changes)


def with_session(*versions: int) -> frozenset[str]:
    """The names that the app has once the secret was made."""
    return NAMES | {SESSION} | {label.minted(SESSION, version) for version in versions}


# --- protection


def test_protect_sets_its_label_and_restarts_nothing() -> None:
    before = alice(slot())
    machine = found(before, slot())
    after = replace(before, protect=True)
    first = plan(after, app(machine))
    assert (kinds(first), call(first).names, call(first).unset) == (
        ["set-secrets", "mark-machine"],
        (label.PROTECTED,),
        (),
    )
    applied = found(after, slot())
    assert plan(after, app(applied, secret_names=NAMES | {label.PROTECTED})).converged


def test_protection_is_lifted_only_by_false() -> None:
    protected = NAMES | {label.PROTECTED}
    silent = alice(slot())
    assert plan(silent, app(found(silent, slot()), secret_names=protected)).converged
    lifting = replace(silent, protect=False)
    lifted = plan(lifting, app(found(lifting, slot()), secret_names=protected))
    assert (kinds(lifted), call(lifted).names, call(lifted).unset) == (
        ["set-secrets"],
        (),
        (label.PROTECTED,),
    )
    assert plan(lifting, app(found(lifting, slot()))).converged


def test_rows_show_whether_protect_was_applied() -> None:
    """The label stands in no row: a mark beside it lets the fleet-wide look see a changed document."""
    before = alice(slot())
    machine = found(before, slot())
    for protect in (True, False):
        after = replace(before, protect=protect)
        assert not in_sync(after, listed(after), rows([machine]))
        assert in_sync(after, listed(after), rows([found(after, slot())]))
    parked = alice(protect=True)
    assert not in_sync(parked, listed(parked), ())


def test_a_document_that_says_nothing_any_more_takes_the_mark_off_and_leaves_the_label() -> None:
    protecting = alice(slot(), protect=True)
    silent = replace(protecting, protect=None)
    left = plan(silent, app(found(protecting, slot()), secret_names=NAMES | {label.PROTECTED}))
    (marking,) = left.actions
    assert isinstance(marking, MarkMachine)
    assert marking.metadata == {mark.PROTECT: None}


def test_labels_are_no_drift() -> None:
    """With drift: warn a label taken off by hand is put back, and nobody is said to have changed anything."""
    desired = alice(slot(), protect=True, corrects_drift=False)
    machine = found(desired, slot())
    restored = plan(desired, app(machine, secret_names=NAMES - {LABEL}))
    assert call(restored).names == (LABEL, label.PROTECTED)
    assert restored.changed_by_hand == ()


def test_a_pause_that_is_over_goes_with_the_next_call_and_makes_none() -> None:
    over = NAMES | {label.paused(1)}
    desired = alice(slot())
    assert plan(desired, app(found(desired, slot()), secret_names=over)).converged


# --- generated secrets


def test_a_new_app_gets_its_generated_secret_and_what_remembers_it_in_one_call() -> None:
    made = call(plan(generating(), absent()))
    assert made.mint == ((SESSION, 43),)
    assert label.minted(SESSION, 1) in made.names
    assert SESSION not in made.names
    assert made.after == ("app",)


def test_after_a_crash_behind_that_call_nothing_is_made_again() -> None:
    again = plan(generating(), app(secret_names=with_session(1)))
    assert kinds(again) == ["set-secrets", "create-machine"]
    assert call(again).mint == ()
    assert SESSION not in call(again).names


def test_presence_satisfies_whoever_set_it() -> None:
    """A value that a person set is kept, and remembered as the version that the document asks for."""
    desired = generating(3)
    machine = found(desired, slot(), metadata={})
    satisfied = call(plan(desired, app(machine, secret_names=NAMES | {SESSION})))
    assert satisfied.mint == ()
    assert label.minted(SESSION, 3) in satisfied.names


def test_an_app_as_documented_needs_nothing() -> None:
    desired = generating()
    assert plan(desired, app(found(desired, slot()), secret_names=with_session(1))).converged


def test_a_raised_version_makes_another_value_and_every_machine_takes_it() -> None:
    old, new = generating(1), generating(2)
    raised = plan(new, app(found(old, slot()), secret_names=with_session(1)))
    assert kinds(raised) == ["set-secrets", "update-machine"]
    assert call(raised).mint == ((SESSION, 43),)
    assert label.minted(SESSION, 2) in call(raised).names
    assert call(raised).unset == (label.minted(SESSION, 1),)
    update = raised.actions[-1]
    assert isinstance(update, UpdateMachine)
    assert update.changes == (f"secrets.{SESSION}: changed",)
    crashed = plan(new, app(found(old, slot()), secret_names=with_session(2)))
    assert kinds(crashed) == ["set-secrets", "update-machine"]
    assert call(crashed).mint == ()


def test_a_raised_version_is_seen_where_no_value_is_known() -> None:
    """In CI, too, the plan says that machines will be restarted."""
    old, new = generating(1), generating(2, secrets_digest=None, key_id=None)
    shown = plan(new, app(found(old, slot()), secret_names=with_session(1)))
    assert kinds(shown) == ["set-secrets", "update-machine"]
    assert not in_sync(new, listed(new), rows([found(old, slot())]))


@pytest.mark.parametrize("names", [with_session(1) - {SESSION}, NAMES], ids=["label left", "all gone"])
def test_a_value_that_is_gone_is_not_made_again_where_a_machine_carries_it(names: frozenset[str]) -> None:
    desired = generating()
    lost = plan(desired, app(found(desired, slot()), secret_names=names))
    assert [hold.reason for hold in lost.holds] == ["GeneratedSecretLost"]
    assert "raise its version" in lost.holds[0].message
    assert kinds(lost) == []


def test_a_value_that_is_gone_is_not_made_again_where_only_a_volume_is_left() -> None:
    desired = generating(machines=(with_volume(),))
    lost = plan(desired, app(volumes=(volume(),), secret_names=NAMES))
    assert [hold.reason for hold in lost.holds] == ["GeneratedSecretLost"]
    assert not any(isinstance(action, CreateMachine) for action in lost.actions)


def test_without_the_lost_value_nothing_is_launched() -> None:
    desired = generating()
    outdated = found(desired, slot(), config={"image": "registry/studio:0"})
    lost = plan(desired, app(outdated, secret_names=with_session(1) - {SESSION}))
    assert kinds(lost) == []


def test_raising_the_version_gets_an_app_out_of_that_hold() -> None:
    desired = generating(2)
    machine = found(generating(1), slot())
    for names in (with_session(1) - {SESSION}, NAMES):
        again = plan(desired, app(machine, secret_names=names))
        assert again.holds == ()
        assert call(again).mint == ((SESSION, 43),)


def test_a_living_app_whose_document_newly_asks_for_one_gets_it() -> None:
    """No machine ever carried it, so nothing can depend on an earlier value."""
    machine = found(alice(slot()), slot())
    first = plan(generating(), app(machine))
    assert call(first).mint == ((SESSION, 43),)
    assert kinds(first) == ["set-secrets", "update-machine"]


def test_a_generated_secret_that_left_the_document_stays_since_its_value_is_nowhere_else() -> None:
    old = generating()
    without = alice(slot())
    left = plan(without, app(found(old, slot()), secret_names=with_session(1)))
    assert call(left).unset == ()
    assert [note.reason for note in left.notes] == ["SecretLeft"]
    assert SESSION not in call(left).names


def test_one_whose_value_comes_from_elsewhere_now_is_no_generated_one_any_more() -> None:
    old = generating()
    new = alice(slot(), secret_names=("API_KEY", SESSION), secrets_digest="digest2")
    changed = call(plan(new, app(found(old, slot()), secret_names=with_session(1))))
    assert SESSION in changed.names
    assert changed.unset == (label.minted(SESSION, 1),)


def test_a_lowered_version_makes_nothing() -> None:
    desired = generating(1)
    lowered = plan(desired, app(found(desired, slot()), secret_names=with_session(2)))
    assert lowered.converged
