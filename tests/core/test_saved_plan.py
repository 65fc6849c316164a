"""A plan carried out later: what did not move is done, what moved is refused one by one, and why is said."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from reconciler.core.action import Action, Class, MarkMachine
from reconciler.core.desired import DesiredApp
from reconciler.core.hold import Hold
from reconciler.core.plan import AppPlan
from reconciler.core.saved_plan import Choice, Digests, SavedApp, choose, follow_up, saved_app, undone
from tests.core.alice import alice, slot
from tests.report.fleet import CANARY, creating, updating

KEY = bytes(32)
DIGESTS = Digests(KEY, "salt")
DESIRED = alice(slot())


def saved(plan: AppPlan, desired: DesiredApp = DESIRED) -> SavedApp:
    return saved_app(plan, desired, DIGESTS, {action.key: action.because for action in plan.actions})


def chosen(before: AppPlan, now: AppPlan, desired: DesiredApp = DESIRED) -> Choice:
    return choose(saved(before), desired, now, DIGESTS)


def altered(action: Any, **fields: Any) -> Action:
    """The same action with other fields of its own kind."""
    changed: Action = replace(action, **fields)
    return changed


def ordered(plan: AppPlan) -> AppPlan:
    """The same, with the machine after the secrets that it starts with."""
    *before, machine = plan.actions
    return replace(plan, actions=(*before, altered(machine, after=(*machine.after, "secrets"))))


def why(choice: Choice) -> dict[str, str]:
    return {refusal.key: refusal.why for refusal in choice.refused}


def test_what_did_not_move_is_done_whole() -> None:
    """The same documents and the same world: the same actions, in their order."""
    plan = creating("alice")
    assert chosen(plan, plan) == Choice(plan)


def test_an_object_that_changed_on_fly_is_refused_alone() -> None:
    """web-1 has another version than the plan saw; web-0 is done all the same."""
    plan = updating("alice", slots=("web-0", "web-1"))
    first, second = plan.actions
    now = replace(plan, actions=(first, altered(second, expected_version="v2")))
    choice = chosen(plan, now)
    assert choice.plan.actions == (first,)
    assert why(choice) == {"machine:web-1": "what it would change is not on Fly any more as it was"}


def test_documents_that_changed_since_are_refused() -> None:
    """An action that would send something else than was shown is not done, and the documents are named."""
    plan = updating("alice")
    now = updating("alice", "image: a → c")
    choice = chosen(plan, now, replace(DESIRED, hosts=("other.example.com",)))
    assert choice.plan.actions == ()
    assert why(choice) == {"machine:web-0": "its documents, or the values of its secrets, changed since"}


def test_a_secret_with_another_value_is_refused() -> None:
    """The names are the same, the value that would be sent is not the one that was planned."""
    plan = creating("alice")
    choice = chosen(plan, plan, replace(DESIRED, secrets_digest="another"))
    assert "secrets" in why(choice)


def test_what_stands_on_a_refused_action_is_refused_with_it() -> None:
    """The machine waits for its volume, and the volume is another one now."""
    plan = creating("alice")
    new, secrets, volume, machine = plan.actions
    now = replace(plan, actions=(new, secrets, altered(volume, size_gb=2), machine))
    choice = chosen(plan, now)
    assert [action.key for action in choice.plan.actions] == ["app", "secrets"]
    assert why(choice)["machine:web-0"] == "it comes after volume:web_data_0, which is not done"


def test_secrets_are_not_sent_for_a_machine_that_is_refused() -> None:
    """They are worth nothing without the machine that would take them, and change what it starts with."""
    *before, machine = ordered(creating("alice")).actions
    plan = replace(creating("alice"), actions=(*before, machine))
    choice = chosen(plan, replace(plan, actions=(*before, altered(machine, name="another"))))
    assert "secrets" not in {action.key for action in choice.plan.actions}
    assert why(choice)["secrets"] == "it is for machine:web-0, which is not done"


def test_secrets_are_sent_for_the_machine_that_is_left() -> None:
    """One of two moved; the other takes them."""
    *before, machine = ordered(creating("alice")).actions
    second = altered(machine, key="machine:web-1", slot="web-1")
    plan = replace(creating("alice"), actions=(*before, machine, second))
    choice = chosen(plan, replace(plan, actions=(*before, machine, altered(second, name="another"))))
    assert choice.plan.actions == (*before, machine)
    assert why(choice).keys() == {"machine:web-1"}


def test_what_nobody_needs_any_more_is_no_refusal() -> None:
    """Somebody did it already: it is counted, and nothing is done twice."""
    choice = chosen(updating("alice"), AppPlan(name="alice", app_name="acme-alice"))
    assert (choice.refused, choice.already) == ((), ("machine:web-0",))


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"holds": (Hold("web-0", "NeedsReplacement", "no"),)}, "held now: NeedsReplacement"),
        ({"waiting": ("web-0 is stopping",)}, "Fly is at work on it: web-0 is stopping"),
    ],
)
def test_what_is_held_or_under_way_now_is_refused(now: dict[str, Any], reason: str) -> None:
    """A saved plan grants nothing that a new plan would hold."""
    choice = chosen(updating("alice"), AppPlan(name="alice", app_name="acme-alice", **now))
    assert reason in why(choice)["machine:web-0"]


def test_new_actions_are_left_for_a_new_plan() -> None:
    """What nobody saw in the saved plan is not done by it."""
    both = updating("alice", slots=("web-0", "web-1"))
    choice = chosen(updating("alice"), both)
    assert [action.key for action in choice.plan.actions] == ["machine:web-0"]
    assert choice.refused == ()


def test_a_document_that_is_gone_since_refuses_what_it_wanted() -> None:
    """An app without its document is no reason to go on with what the document asked for."""
    choice = choose(saved(updating("alice")), None, AppPlan(name="alice", app_name="acme-alice"), DIGESTS)
    assert "documents" in why(choice)["machine:web-0"]


def test_the_marks_of_what_was_done_belong_to_it_and_nothing_else_does() -> None:
    """After the change its machine is marked as seen to hold; another machine is left alone."""

    def marking(name: str) -> MarkMachine:
        return MarkMachine(
            app_name="acme-alice",
            because="looked at",
            key=f"mark:{name}",
            klass=Class.IN_PLACE,
            machine_id="id",
            slot=name,
            expected_version="v2",
            metadata={},
        )

    done = updating("alice").actions
    later = replace(updating("alice"), actions=(*done, marking("web-0"), marking("web-1")))
    assert [action.key for action in follow_up(done, later).actions] == ["mark:web-0"]


def test_what_was_chosen_and_is_still_exactly_as_it_was_is_told() -> None:
    """web-0 has its new version; web-1 was held at the last moment, and is planned as before."""
    plan = updating("alice", slots=("web-0", "web-1"))
    first, second = plan.actions
    later = replace(plan, actions=(altered(first, expected_version="v2"), second))
    assert undone(saved(plan), plan.actions, later, DIGESTS) == ("machine:web-1",)
    assert undone(saved(plan), (first,), later, DIGESTS) == ()


def test_nothing_but_what_the_plan_shows_is_in_it_and_no_guess_can_be_tried() -> None:
    """An environment's value is in no form in it: another root key or salt gives other digests."""
    app = saved(creating("alice"))
    assert CANARY not in json.dumps(asdict(app))
    others = [Digests(bytes([1]) * 32, "salt"), Digests(KEY, "another salt")]
    for digests in others:
        again = saved_app(
            creating("alice"), DESIRED, digests, dict.fromkeys((a.key for a in app.actions), "")
        )
        assert not {one.digest for one in again.actions} & {one.digest for one in app.actions}
        assert again.wanted != app.wanted


def test_the_order_and_the_words_do_not_count() -> None:
    """A reason in other words, or a prerequisite that is already there, is the same action."""
    plan = creating("alice")
    now = replace(plan, actions=tuple(replace(a, because="other words", after=()) for a in plan.actions[2:]))
    assert chosen(plan, now).plan == now
