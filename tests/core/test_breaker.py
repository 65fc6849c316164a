"""Which failures stop a change for everybody, and what lets it go on."""

from dataclasses import replace

import pytest

from reconciler.core.breaker import Breaker, change_key, failed, succeeded
from tests.core.test_withhold import NEW, UPDATE


def after(*users: str, reason: str = "NotRunning") -> Breaker:
    breaker = Breaker()
    for user in users:
        breaker = failed(breaker, "change", user=user, reason=reason, message="it ended with 1")
    return breaker


def test_three_failures_in_a_row_stop_a_change_for_everybody() -> None:
    assert after("a", "b").stalled("change", "c") is None
    streak = after("a", "b", "a").stalled("change", "c")
    assert streak is not None
    assert (streak.count, streak.reason, streak.message) == (3, "NotRunning", "it ended with 1")
    assert after("a", "b", "c").stalled("another", "c") is None


def test_one_user_who_fails_alone_stops_nobody_else() -> None:
    breaker = after("a", "a", "a", "a")
    assert breaker.stalled("change", "a")
    assert breaker.stalled("change", "b") is None


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = succeeded(after("a", "b"), "change")
    assert failed(breaker, "change", user="c", reason="Refused", message="").stalled("change", "d") is None


def test_a_change_is_proven_by_a_success_until_it_fails_again() -> None:
    """Whoever gets one that is not is watched: an image that crashes at once looks started for a moment."""
    assert "change" not in Breaker().proven
    breaker = succeeded(after("a"), "change")
    assert breaker.proven == {"change"}
    assert failed(breaker, "change", user="b", reason="Unreachable", message="").proven == {"change"}
    assert not failed(breaker, "change", user="b", reason="Crashing", message="").proven


@pytest.mark.parametrize(
    "reason",
    ["Unreachable", "AnswerLost", "TooFast", "NoCapacity", "NameTaken", "SecretMissing", "LeaseHeld"],
)
def test_failures_that_say_nothing_about_the_change_do_not_count(reason: str) -> None:
    assert after("a", "b", "c", "d", reason=reason).stalled("change", "e") is None


def test_the_same_change_of_two_users_is_one_and_another_image_is_another() -> None:
    theirs = replace(UPDATE, app_name="acme-u2", machine_id="m9", expected_version="v7", slot="web-4")
    assert change_key(theirs) == change_key(UPDATE)
    assert change_key(replace(UPDATE, changes=("image: studio:1 → studio:3",))) != change_key(UPDATE)
    marked = replace(NEW, app_name="acme-u2", config={**NEW.config, "metadata": {"reconciler_owner": "u2"}})
    assert change_key(marked) == change_key(NEW)
    assert change_key(replace(NEW, config={"image": "studio:9"})) != change_key(NEW)
