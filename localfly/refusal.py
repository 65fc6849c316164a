"""Every way in which the Machines API says no: HTTP status and literal text, one class per refusal.

Answers for the words alone (texts as published or observed on Fly; where a text is not established it
says so). When to refuse is `lifecycle`'s and `api*`'s; rendering to JSON is `api`'s.
"""

from collections.abc import Mapping
from datetime import UTC, datetime


class Refusal(Exception):  # noqa: N818 - the field's word; what is refused is named by the subclass
    """An answer other than success; `text` goes into `error`, `code` (if any) into `status`."""

    http_status = 400
    code: str | None = None
    headers: Mapping[str, str] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Invalid(Refusal):
    """400: the request itself is malformed."""


class Unauthenticated(Refusal):
    """401: no token, or not one of ours."""

    http_status = 401

    def __init__(self) -> None:
        super().__init__("Authenticate: token validation error")


class Unauthorized(Refusal):
    """403: a valid token that may not see this."""

    http_status = 403

    def __init__(self) -> None:
        super().__init__("unauthorized")


class NotFound(Refusal):
    """404: absent, or not any more."""

    http_status = 404


class MachineNotFound(NotFound):
    """404: no such machine, or one destroyed long ago."""

    def __init__(self) -> None:
        super().__init__("not_found: machine not found")


class DeadlineExceeded(Refusal):
    """408: a wait ran out before the machine came to what was wanted."""

    http_status = 408

    def __init__(self, wanted: str, state: str) -> None:
        super().__init__(
            f"deadline_exceeded: machine failed to reach desired state, {wanted}, currently {state}"
        )


class LeaseHeld(Refusal):
    """409: somebody else may change this machine until the moment named."""

    http_status = 409

    def __init__(self, machine_id: str, owner: str, expires_at: float) -> None:
        until = datetime.fromtimestamp(int(expires_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        super().__init__(
            f"aborted: machine ID {machine_id} lease currently held by {owner}, expires at {until}"
        )


class LeaseGone(Refusal):
    """409: a nonce of no lease; what Fly does here is not established, so localfly takes the strict side."""

    http_status = 409

    def __init__(self, machine_id: str) -> None:
        super().__init__(f"aborted: machine ID {machine_id} holds no lease with this nonce")


class NameHeld(Refusal):
    """409: a living machine of the app has that name."""

    http_status = 409

    def __init__(self, machine_id: str, name: str) -> None:
        super().__init__(
            "already_exists: unique machine name violation, "
            f'machine ID {machine_id} already exists with name "{name}"'
        )


class HostUnreachable(Refusal):
    """503: its host is lost; that Fly refuses is known, status and words are not."""

    http_status = 503

    def __init__(self, machine_id: str) -> None:
        super().__init__(f"unavailable: host of machine {machine_id} is unreachable")


class ConcurrentUpdate(Refusal):
    """409: the machine is being replaced already."""

    http_status = 409

    def __init__(self) -> None:
        super().__init__("aborted: machine update failed due to concurrent update")


class FailedPrecondition(Refusal):
    """412: the thing is not in a state that allows this."""

    http_status = 412

    def __init__(self, text: str) -> None:
        super().__init__(f"failed_precondition: {text}")


class StartRefused(FailedPrecondition):
    """412: not startable now; `is_passing` when waiting and asking again can help."""

    def __init__(self, text: str, *, is_passing: bool) -> None:
        super().__init__(text)
        self.is_passing = is_passing


class Unprocessable(Refusal):
    """422: understood and refused."""

    http_status = 422


class NameTaken(Unprocessable):
    """422 with a status code: the app name is in use anywhere on the platform."""

    code = "name_taken"

    def __init__(self) -> None:
        super().__init__("Validation failed: Name has already been taken")


class TooFast(Refusal):
    """429: more calls of one kind on one thing than the published rate; no `Retry-After` is documented."""

    http_status = 429

    def __init__(self, retry_after_s: int | None = None) -> None:
        super().__init__("rate limit exceeded")
        if retry_after_s is not None:
            self.headers = {"retry-after": str(retry_after_s)}


class TooLarge(Refusal):
    """413: a body that no request of this API needs; the connection ends, the rest is not read."""

    http_status = 413
    headers: Mapping[str, str] = {"connection": "close"}


class TooSlow(Refusal):
    """408: the body did not come in time; text not established."""

    http_status = 408
    headers: Mapping[str, str] = {"connection": "close"}


class NotImitated(Refusal):
    """501: Fly could do this, or something in this; localfly does not pretend to."""

    http_status = 501

    def __init__(self, what: str) -> None:
        super().__init__(f"localfly does not imitate {what}; see docs/localfly.md")
