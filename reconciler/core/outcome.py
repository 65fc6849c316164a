"""What follows from a failure: to hold, to try again and when, or to wait until something is changed.

Answers for every refusal in the Machines API contract, §2.2. Recognising them is `fly.errors`', waiting the
queue's, telling people `status`'.
"""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.fly import errors as fly


class StepFailed(Exception):  # noqa: N818 - named by what happened
    """Fly did as told and the outcome is not what was wanted; `str()` is one line.

    `reason` is a CamelCase word for conditions; `is_transient`: trying again later can help by itself.
    `machine_id`: the machine that it was about, "" for none.
    """

    def __init__(self, reason: str, message: str, *, is_transient: bool, machine_id: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.is_transient = is_transient
        self.machine_id = machine_id


class Kind(StrEnum):
    """What to do next."""

    RETRY = "retry"  # time can be the cure
    HOLD = "hold"  # somebody must act, on Fly or elsewhere; looked at again now and then
    TERMINAL = "terminal"  # asking again is pointless until the document or the token changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do about a failure. The n-th pause in a row is `pause_s` doubled n times, up to `longest_s`."""

    kind: Kind
    reason: str  # CamelCase, for conditions
    pause_s: float  # before jitter, which is the queue's
    longest_s: float


@dataclass(frozen=True, slots=True)
class _Pace:
    pause_s: float
    longest_s: float


SOON = _Pace(1.0, 60.0)  # a race, or something that settles within seconds
LATER = _Pace(5.0, 300.0)  # Fly is unwell, or has too much to do
RARELY = _Pace(30.0, 900.0)  # no room, or another's business: minutes at the least
SELDOM = _Pace(300.0, 3600.0)  # nothing changes by itself

# The most specific class of an error decides.
_TABLE: dict[type[Exception], tuple[Kind, str, _Pace]] = {
    fly.CouldNotAsk: (Kind.RETRY, "Unreachable", SOON),
    fly.Ambiguous: (Kind.RETRY, "AnswerLost", SOON),
    fly.Garbled: (Kind.RETRY, "Garbled", LATER),
    fly.Unauthorized: (Kind.TERMINAL, "Unauthorized", SELDOM),
    fly.Forbidden: (Kind.HOLD, "Forbidden", SELDOM),
    fly.NotFound: (Kind.RETRY, "NotFound", SOON),
    fly.WaitExpired: (Kind.RETRY, "NotSettled", LATER),
    fly.LeaseHeld: (Kind.RETRY, "LeaseHeld", LATER),
    fly.NameHeld: (Kind.HOLD, "NameHeld", RARELY),
    fly.ConcurrentUpdate: (Kind.RETRY, "ConcurrentUpdate", SOON),
    fly.NameTaken: (Kind.TERMINAL, "NameTaken", SELDOM),
    fly.Capacity: (Kind.RETRY, "NoCapacity", RARELY),
    fly.VolumeHostFull: (Kind.RETRY, "VolumeHostFull", RARELY),
    fly.HostFull: (Kind.RETRY, "HostFull", RARELY),
    fly.AccountLimit: (Kind.HOLD, "AccountLimit", SELDOM),
    fly.NotNow: (Kind.RETRY, "NotNow", LATER),
    fly.TooFast: (Kind.RETRY, "TooFast", LATER),
    fly.Unavailable: (Kind.RETRY, "Unavailable", LATER),
    fly.Refused: (Kind.TERMINAL, "Refused", SELDOM),
    fly.LeaseLost: (Kind.RETRY, "LeaseLost", SOON),
    fly.FlyError: (Kind.RETRY, "Failed", LATER),
}


def verdict(error: fly.FlyError | StepFailed) -> Verdict:
    """What to do about `error`; every failure has an answer."""
    if isinstance(error, StepFailed):
        kind, pace = (Kind.RETRY, LATER) if error.is_transient else (Kind.TERMINAL, SELDOM)
        if error.reason in ("HostFull", "ChecksFailing", "Crashing", "NotRunning"):
            pace = RARELY  # to try again is to restart again
        return Verdict(kind=kind, reason=error.reason, pause_s=pace.pause_s, longest_s=pace.longest_s)
    kind, reason, pace = next(_TABLE[each] for each in type(error).__mro__ if each in _TABLE)
    pause_s = pace.pause_s
    if isinstance(error, fly.TooFast):
        pause_s = max(pause_s, error.retry_after_s or 0.0)
    return Verdict(kind=kind, reason=reason, pause_s=pause_s, longest_s=max(pace.longest_s, pause_s))
