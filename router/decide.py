"""Which answer a request gets: a ladder of rules, first match wins, over the published table.

Answers for the decision and its reason, as a value; it signs nothing, renders nothing and knows no socket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router.page import Refusal
from router.request import Request, parse_port
from router.table import Entry, Table, Unavailable

HEALTH_PATH = b"/_router/health"
AGAIN_S = 5  # after a replay that failed
LATER_S = 15  # when nothing was there to try: that takes a new machine, not a moment


@dataclass(frozen=True, slots=True)
class Gate:
    """What a listener lets through: its kind, its public ports (none named: any), and no way back to us."""

    is_private: bool
    ports: frozenset[int]
    own_apps: frozenset[str]


@dataclass(frozen=True, slots=True)
class Healthy:
    """The router's own health check."""


@dataclass(frozen=True, slots=True)
class ReplayTo:
    """Send the request on to `app`; `port` is the public one it came in on."""

    app: str
    port: int
    instance: str | None = None
    prefer_instance: str | None = None


Decision = Healthy | ReplayTo | Refusal

STARTING = Refusal(503, "Starting", "The router has just started and does not know its apps yet.", 1)
REPLAY_FAILED = Refusal(503, "ReplayFailed", "The app could not be reached just now.", AGAIN_S)
FAILURES = {  # by the `reason` in `fly-replay-failed`
    b"timeout": Refusal(
        503, "ReplayTimeout", "The app did not come up in time. It may still be waking.", AGAIN_S
    ),
    b"retries_exhausted": Refusal(
        503, "RetriesExhausted", "The app is there, and does not answer. It may still be starting.", AGAIN_S
    ),
    b"no_candidate": Refusal(
        503, "NoCandidate", "Nothing of this app can take visitors at the moment.", LATER_S
    ),
}
LOOP = Refusal(508, "Loop", "This request has already been sent on once, and came back.")
NOT_THROUGH_FLY = Refusal(
    400,
    "NotThroughFly",
    "The router answers requests that come through Fly's proxy; this one lacks the proxy's headers.",
)
WRONG_PORT = Refusal(421, "WrongPort", "Nothing is served to this port here.")
UNKNOWN_HOST = Refusal(404, "UnknownHost", "There is no app at this address.")
NO_USER = Refusal(400, "NoUser", "Name exactly one user in one X-User-App header.")
UNKNOWN_USER = Refusal(404, "UnknownUser", "There is no user of the name in X-User-App.")
MANY_MACHINES = Refusal(400, "ManyMachines", "Name at most one machine in one X-User-Machine header.")
UNKNOWN_MACHINE = Refusal(
    404, "UnknownMachine", "The user has no running machine of the name in X-User-Machine."
)


def decide(  # noqa: PLR0911 (a ladder has one way out per rule)
    request: Request, *, table: Table | None, gate: Gate
) -> Decision:
    """What to do with `request`; `table` is None until the first one is published."""
    if _is_health_check(request, table):
        return Healthy() if table is not None else STARTING
    if failed := request.all(b"fly-replay-failed"):
        return _failure(failed)  # never another replay: its answer, state and all, might reach the client
    if request.all(b"fly-replay-src"):
        return LOOP
    port = _public_port(request)
    if port is None:
        return NOT_THROUGH_FLY
    if gate.ports and port not in gate.ports:
        return WRONG_PORT
    if table is None:
        return STARTING
    if gate.is_private:
        return _to_user(request, table.users, port=port, gate=gate)
    entry = table.hosts.get(request.host)
    if entry is None:
        return UNKNOWN_HOST
    return _to(entry, None, port=port, gate=gate)


def _to_user(request: Request, users: Mapping[str, Entry], *, port: int, gate: Gate) -> Decision:
    names = request.all(b"x-user-app")
    machines = request.all(b"x-user-machine")
    if len(names) != 1:
        return NO_USER
    if len(machines) > 1:
        return MANY_MACHINES
    entry = users.get(names[0].decode("latin-1"))
    if entry is None:
        return UNKNOWN_USER
    return _to(entry, machines[0].decode("latin-1") if machines else None, port=port, gate=gate)


def _to(entry: Entry, machine: str | None, *, port: int, gate: Gate) -> Decision:
    if isinstance(entry, Unavailable):
        return Refusal(503, entry.reason, entry.message, entry.retry_after_s)
    if entry.app in gate.own_apps:
        return LOOP
    if machine is None:
        # Of several machines the first is preferred, so that what one remembers of a visitor is found again.
        several = len(entry.machines) > 1
        preferred = next(iter(entry.machines.values())) if several else None
        return ReplayTo(entry.app, port, prefer_instance=preferred)
    instance = entry.machines.get(machine)
    if instance is None:
        return UNKNOWN_MACHINE
    return ReplayTo(entry.app, port, instance=instance)


def _failure(values: Sequence[bytes]) -> Refusal:
    """The page for what Fly says went wrong, `reason=…` among other fields; anyone can forge it."""
    fields = values[0].split(b";") if len(values) == 1 else []
    reasons = [field.removeprefix(b"reason=") for field in fields if field.startswith(b"reason=")]
    return FAILURES.get(reasons[0], REPLAY_FAILED) if len(reasons) == 1 else REPLAY_FAILED


def _is_health_check(request: Request, table: Table | None) -> bool:
    """Fly asks the machine itself, by its address; the same path at a user's host is that user's."""
    return (
        request.target == HEALTH_PATH
        and request.method in {b"GET", b"HEAD"}
        and (table is None or request.host not in table.hosts)
        and not request.all(b"x-user-app")
    )


def _public_port(request: Request) -> int | None:
    """The port the client reached at Fly's edge, if the request bears the marks that Fly's proxy always sets.

    They can be forged: a missing one shows a door left open, a present one proves nothing.
    """
    ports = request.all(b"fly-forwarded-port")
    if len(ports) != 1 or not request.all(b"fly-client-ip") or not request.all(b"fly-region"):
        return None
    return parse_port(ports[0])
