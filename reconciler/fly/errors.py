"""Everything that can go wrong between us and the Machines API, as one small tree.

    FlyError
    ├── CouldNotAsk          no answer, and nothing changed: a read, or a request that never left
    ├── Ambiguous            a write whose effect is unknown: lost answer, 408, 5xx, unreadable success
    ├── Garbled              a read answered in something that is not this API
    ├── LeaseLost            our lease ended under the work that it guarded, which was cancelled
    └── WasToldNo            a clear refusal
        ├── Unauthorized     401, or a text that cannot be a token
        ├── Forbidden        403
        ├── NotFound         404
        ├── WaitExpired      408 of a wait: not yet
        ├── LeaseHeld        409, with the expiry of the other's lease
        ├── NameHeld         409, with the machine that has the name
        ├── ConcurrentUpdate 409, or 412 of a write that named a version: somebody was faster
        ├── NameTaken        422, app names are one namespace for all of Fly
        ├── Capacity         400, 403, 409, 412, 422: no room there, elsewhere perhaps
        │   ├── HostFull         409, 503: the machine's own host has no room, or takes no changes now
        │   └── VolumeHostFull   412: the host of the volume that it is to mount
        ├── NotNow           412 that clears by itself: still stopping, volume still bound
        ├── TooFast          429
        ├── Unavailable      5xx of a read
        └── Refused          any other 4xx, and 501
            └── AccountLimit     Fly wants a payment method first

Leaves to `call` the exceptions of the HTTP library, to `apply` what to do about each type.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from reconciler.fly.blank import blanked

LONGEST_TEXT = 300  # characters of Fly's text kept in a message; an HTML page must not fill a terminal


class FlyError(Exception):
    """One failed call; `str()` is one line: what, where and why, and the next step where there is one.

    Holds Fly's text, HTTP status (0: no answer), code and request id; never anything of the request's body.
    """

    is_transient: ClassVar[bool] = False  # the same request may succeed later with nothing changed by anyone
    next_step: ClassVar[str] = ""

    def __init__(
        self, operation: str, text: str, *, status: int = 0, code: str = "", request_id: str = ""
    ) -> None:
        self.operation = operation
        self.text = one_line(text)
        self.status = status
        self.code = code
        self.request_id = request_id
        super().__init__(operation, self.text)

    def __str__(self) -> str:
        answered = f"Fly answered {self.status}: " if self.status else ""
        request = f" (fly-request-id {self.request_id})" if self.request_id else ""
        step = f"; {self.next_step}" if self.next_step else ""
        return f"cannot {self.operation}: {answered}{self.text or 'no text'}{request}{step}"


class CouldNotAsk(FlyError):  # noqa: N818 - named by what happened
    is_transient = True
    next_step = "check the network and the API address in FLY_API_HOSTNAME"


class Ambiguous(FlyError):  # noqa: N818 - named by what happened
    is_transient = True


class Garbled(FlyError):  # noqa: N818 - named by what happened
    is_transient = True
    next_step = "check that the address in FLY_API_HOSTNAME is a Machines API"


class LeaseLost(FlyError):  # noqa: N818 - named by what happened
    is_transient = True


class WasToldNo(FlyError):  # noqa: N818 - named by what happened
    pass


class Unauthorized(WasToldNo):
    next_step = "check the token in FLY_API_TOKEN (an organisation's: `fly tokens create org`)"


class Forbidden(WasToldNo):
    next_step = "the token in FLY_API_TOKEN must be one of the organisation that holds this"


class NotFound(WasToldNo):
    is_transient = True  # also what was created moments ago and is not yet seen everywhere


class WaitExpired(WasToldNo):
    is_transient = True


class LeaseHeld(WasToldNo):
    """`expires_at`: unix seconds of Fly's clock, as its text says; None when it does not."""

    is_transient = True

    @property
    def expires_at(self) -> float | None:
        found = re.search(r"expires at (\S+)", self.text)
        try:
            return datetime.fromisoformat(found[1]).timestamp() if found else None
        except ValueError:
            return None


class NameHeld(WasToldNo):
    """`machine_id`: the live machine that has the name; None when the text does not say."""

    is_transient = True

    @property
    def machine_id(self) -> str | None:
        found = re.search(r"machine ID (\w+) already exists", self.text)
        return found[1] if found else None


class ConcurrentUpdate(WasToldNo):
    is_transient = True


class NameTaken(WasToldNo):
    next_step = "change `app_name` of the Fleet, or the user's name"


class Capacity(WasToldNo):
    is_transient = True


class HostFull(Capacity):
    pass


class VolumeHostFull(Capacity):
    next_step = "wait for room there, or restore a snapshot of the volume elsewhere"


class NotNow(WasToldNo):
    is_transient = True


class TooFast(WasToldNo):
    """`retry_after_s`: what Fly asked for; None when it did not say."""

    is_transient = True
    retry_after_s: float | None = None


class Unavailable(WasToldNo):
    is_transient = True


class Refused(WasToldNo):
    pass


class AccountLimit(Refused):
    next_step = "add a payment method to the organisation, or ask Fly for a higher limit"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str
    code: str
    is_json: bool
    is_write: bool
    is_wait: bool
    names_version: bool


def _code(code: str) -> Callable[[_Answer], bool]:
    return lambda answer: answer.code == code


def _says(status: int, words: str) -> Callable[[_Answer], bool]:
    return lambda answer: answer.status == status and words in answer.text.lower()


def _is(*statuses: int) -> Callable[[_Answer], bool]:
    return lambda answer: answer.status in statuses


def _trouble(answer: _Answer) -> bool:
    return answer.status in {408, *range(500, 600)}


# First match wins: Fly's code before its text, its text before the status.
_RULES: tuple[tuple[type[FlyError], Callable[[_Answer], bool]], ...] = (
    (NameTaken, _code("name_taken")),
    (Capacity, _code("insufficient_capacity")),
    (VolumeHostFull, _code("volume_placement_capacity")),
    (AccountLimit, lambda answer: _is(*range(400, 500))(answer) and "payment method" in answer.text.lower()),
    (Capacity, _says(400, "no capacity")),
    (Capacity, _says(403, "over the allowed quota")),
    (LeaseHeld, _says(409, "lease currently held")),
    (NameHeld, _says(409, "unique machine name violation")),
    (ConcurrentUpdate, _says(409, "concurrent update")),
    (HostFull, _says(409, "could not reserve resource")),
    (Capacity, _says(409, "insufficient")),
    (Capacity, _says(409, "no capacity")),
    (VolumeHostFull, _says(412, "insufficient resources")),
    (NotNow, _says(412, "volume already claimed")),
    (NotNow, _says(412, "currently bound")),
    (NotNow, _says(412, "unable to start")),
    (NotNow, _says(412, "refusing to start")),
    (NotNow, _says(412, "unable to destroy")),
    (NotNow, _says(412, "already scheduled")),
    (NotNow, _says(412, "secrets version")),  # they spread slowly; Fly's own words are not established
    (NameTaken, _says(422, "name has already been taken")),
    (NameTaken, _says(422, "uniqueness constraint violated")),
    (Capacity, _says(422, "could not find a candidate host")),
    (HostFull, lambda answer: answer.is_write and _says(503, "temporarily disabled")(answer)),
    # An unknown route, or not this API at all: never to be read as "the app is gone" or "it is another's".
    (Garbled, lambda answer: _is(403, 404)(answer) and not answer.is_json),
    (Unauthorized, _is(401)),
    (Forbidden, _is(403)),
    (NotFound, _is(404)),
    (TooFast, _is(429)),
    (Refused, _is(501)),
    (WaitExpired, lambda answer: _is(408)(answer) and answer.is_wait),
    (ConcurrentUpdate, lambda answer: _is(412)(answer) and answer.names_version),
    (Ambiguous, lambda answer: _trouble(answer) and answer.is_write),
    (Unavailable, _trouble),
    (Refused, _is(*range(400, 500))),
    (Ambiguous, lambda answer: answer.is_write),
    (Garbled, lambda _: True),
)


def refusal(
    operation: str,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    is_write: bool = False,
    is_wait: bool = False,
    names_version: bool = False,
    hidden: tuple[str, ...] = (),
) -> FlyError:
    """Map an answer that is not a success to its type; `hidden` texts (secret values) are blanked out.

    `names_version`: the request said which version it believes is current. Facts: Machines API contract, §2.
    """
    text, code, is_json = _read(body)
    text, code = blanked(text, hidden), blanked(code, hidden)
    answer = _Answer(status, text, code, is_json, is_write, is_wait, names_version)
    kind = next(kind for kind, matches in _RULES if matches(answer))
    error = kind(
        operation,
        text or "an empty answer",
        status=status,
        code=code,
        request_id=one_line(headers.get("fly-request-id", "")),
    )
    if isinstance(error, TooFast):
        error.retry_after_s = _seconds(headers.get("retry-after", ""))
    return error


def one_line(text: str) -> str:
    """Make foreign text fit for one line of a terminal: printable, single spaces, cut at `LONGEST_TEXT`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"


def _read(body: bytes) -> tuple[str, str, bool]:
    """Text, code, and whether the body is the API's envelope."""
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        return body.decode("utf-8", "replace"), "", False
    text = parsed.get("message") or parsed.get("error") or ""
    code = parsed.get("status") or ""
    return str(text), code if isinstance(code, str) else "", True


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None
