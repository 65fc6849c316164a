"""Every failure that Fly is known to answer is held, tried again or left, each in a pace that fits."""

import json

import pytest

from localfly.mishap import MISHAPS, Mishap
from reconciler.core.outcome import Kind, StepFailed, verdict
from reconciler.fly import errors

RETRY, HOLD, TERMINAL = Kind.RETRY, Kind.HOLD, Kind.TERMINAL
SECONDS, MINUTE, QUARTER, HOUR = 60.0, 300.0, 900.0, 3600.0  # the longest pauses

# Of a write that names no version: (what to do, condition, first pause, longest pause).
ROWS = {
    "invalid": (TERMINAL, "Refused", 300.0, HOUR),
    "network_not_found": (TERMINAL, "Refused", 300.0, HOUR),
    "volume_no_capacity_400": (RETRY, "NoCapacity", 30.0, QUARTER),
    "token_expired": (TERMINAL, "Unauthorized", 300.0, HOUR),
    "unauthorized": (HOLD, "Forbidden", 300.0, HOUR),
    "memory_quota": (RETRY, "NoCapacity", 30.0, QUARTER),
    "app_not_found": (RETRY, "NotFound", 1.0, SECONDS),
    "machine_not_found": (RETRY, "NotFound", 1.0, SECONDS),
    "volume_not_found": (RETRY, "NotFound", 1.0, SECONDS),
    "lease_not_found": (RETRY, "NotFound", 1.0, SECONDS),
    "deadline_exceeded": (RETRY, "AnswerLost", 1.0, SECONDS),
    "wait_expired": (RETRY, "AnswerLost", 1.0, SECONDS),
    "lease_held": (RETRY, "LeaseHeld", 5.0, MINUTE),
    "name_held": (HOLD, "NameHeld", 30.0, QUARTER),
    "concurrent_update": (RETRY, "ConcurrentUpdate", 1.0, SECONDS),
    "host_cpus": (RETRY, "HostFull", 30.0, QUARTER),
    "host_memory": (RETRY, "HostFull", 30.0, QUARTER),
    "placement_resources": (RETRY, "NoCapacity", 30.0, QUARTER),
    "placement_ips": (RETRY, "NoCapacity", 30.0, QUARTER),
    "volume_no_capacity": (RETRY, "NoCapacity", 30.0, QUARTER),
    "volume_placement_capacity": (RETRY, "VolumeHostFull", 30.0, QUARTER),
    "volume_claimed": (RETRY, "NotNow", 5.0, MINUTE),
    "volume_bound": (RETRY, "NotNow", 5.0, MINUTE),
    "start_from_created": (RETRY, "NotNow", 5.0, MINUTE),
    "start_while_replaced": (RETRY, "NotNow", 5.0, MINUTE),
    "start_while_active": (RETRY, "NotNow", 5.0, MINUTE),
    "destroy_while_running": (RETRY, "NotNow", 5.0, MINUTE),
    "exec_not_running": (TERMINAL, "Refused", 300.0, HOUR),
    "exec_eof": (TERMINAL, "Refused", 300.0, HOUR),
    "snapshot_scheduled": (RETRY, "NotNow", 5.0, MINUTE),
    "metadata_stale": (TERMINAL, "Refused", 300.0, HOUR),
    "name_taken": (TERMINAL, "NameTaken", 300.0, HOUR),
    "name_race": (TERMINAL, "NameTaken", 300.0, HOUR),
    "insufficient_capacity": (RETRY, "NoCapacity", 30.0, QUARTER),
    "payment_required": (HOLD, "AccountLimit", 300.0, HOUR),
    "rate_limit": (RETRY, "TooFast", 5.0, MINUTE),
    "internal": (RETRY, "AnswerLost", 1.0, SECONDS),
    "unknown": (RETRY, "AnswerLost", 1.0, SECONDS),
    "bad_gateway": (RETRY, "AnswerLost", 1.0, SECONDS),
    "unavailable": (RETRY, "AnswerLost", 1.0, SECONDS),
    "host_disabled": (RETRY, "HostFull", 30.0, QUARTER),
    "gateway_timeout": (RETRY, "AnswerLost", 1.0, SECONDS),
}


def refused(
    mishap: Mishap, *, is_write: bool = False, is_wait: bool = False, names_version: bool = False
) -> errors.FlyError:
    """What the client makes of that answer."""
    words = mishap.words({"machine_id": "m1", "name": "web-0", "org": "acme", "region": "iad"})
    envelope = json.dumps({"error": words} | ({"status": mishap.code} if mishap.code else {}))
    body = envelope if mishap.form == "error" else "<html>oops</html>"
    return errors.refusal(
        "create machine web-0 of acme-alice",
        status=mishap.http_status,
        headers={"fly-request-id": "01REQ"},
        body=body.encode(),
        is_write=is_write,
        is_wait=is_wait,
        names_version=names_version,
    )


def test_the_table_is_about_every_failure_that_is_known() -> None:
    """A new one must be decided about."""
    assert ROWS.keys() == MISHAPS.keys()


@pytest.mark.parametrize("name", ROWS)
def test_each_known_failure_has_its_verdict(name: str) -> None:
    """And its text names the action, the app, Fly's words and the request, in one line."""
    error = refused(MISHAPS[name], is_write=True)
    said = verdict(error)
    assert (said.kind, said.reason, said.pause_s, said.longest_s) == ROWS[name]
    assert str(error).startswith("cannot create machine web-0 of acme-alice: Fly answered ")
    assert "(fly-request-id 01REQ)" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "context", "reason"),
    [
        ("deadline_exceeded", {}, "Unavailable"),
        ("internal", {}, "Unavailable"),
        ("host_disabled", {}, "Unavailable"),
        ("wait_expired", {"is_wait": True}, "NotSettled"),
        ("metadata_stale", {"is_write": True, "names_version": True}, "ConcurrentUpdate"),
    ],
)
def test_what_was_asked_decides_too(name: str, context: dict[str, bool], reason: str) -> None:
    """A read that failed changed nothing, a wait that ran out is no failure, a version can be outdated."""
    said = verdict(refused(MISHAPS[name], **context))
    assert (said.kind, said.reason) == (RETRY, reason)


def test_a_pause_that_fly_asks_for_is_kept() -> None:
    """Even one that is longer than ours."""
    error = errors.TooFast("list machines", "rate limit exceeded", status=429)
    error.retry_after_s = 400.0
    assert (verdict(error).pause_s, verdict(error).longest_s) == (400.0, 400.0)


def test_a_step_without_the_wanted_outcome_is_tried_again_slowly_or_left() -> None:
    """To try again may be to restart somebody's machine again."""
    crashing = StepFailed("Crashing", "x", is_transient=True)
    missing = StepFailed("SecretMissing", "x", is_transient=False)
    assert (verdict(crashing).kind, verdict(crashing).pause_s) == (RETRY, 30.0)
    assert (verdict(missing).kind, verdict(missing).reason) == (TERMINAL, "SecretMissing")


def test_an_error_that_nobody_thought_of_has_a_verdict() -> None:
    """Every failure does."""

    class NewError(errors.FlyError):
        pass

    assert verdict(NewError("x", "y")).kind is RETRY
