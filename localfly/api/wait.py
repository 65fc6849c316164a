"""`GET …/wait`: a long poll for a machine's state (contract §6).

Answers for the query, the words of the 408 and the 404; what changes when is `lifecycle`'s.
"""

from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import Call, whole_number
from localfly.lifecycle import SETTLED
from localfly.refusal import DeadlineExceeded, Invalid, MachineNotFound
from localfly.world import Machine

WAITABLE = ("started", "stopped", "suspended", "destroyed", "failed", "settled")
LONGEST_S = 60


async def wait(call: Call) -> Response:
    """Answer once the machine (in that version) is in one of the states; 408 when time runs out."""
    query = call.query("state", "timeout", "version", "instance_id", "from_event_id", repeatable="state")
    wanted = tuple(part.strip() for part in query.get("state", "started").split(","))
    for state in wanted:
        if state not in WAITABLE:
            raise Invalid(f"invalid_argument: unknown state '{state}'")
    timeout_s = whole_number(query, "timeout", default=LONGEST_S)
    if not 1 <= timeout_s <= LONGEST_S:
        raise Invalid(
            "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]"
        )
    version = query.get("version") or query.get("instance_id")
    if call.is_strict_wait and "stopped" in wanted and not version:
        raise Invalid("instance_id required when waiting for stopped machine")
    since = query.get("from_event_id")
    machine = call.machine()
    if version and not any(version == known.instance_id for known in machine.versions):
        raise MachineNotFound
    goals = _goals(wanted)
    await call.lifecycle.until(
        machine,
        lambda m: _is_there(m, goals, since) or m.state == "destroyed" or _is_replaced(m, version),
        timeout_s=timeout_s,
    )
    words = ", ".join(wanted)
    if _is_replaced(machine, version):
        raise DeadlineExceeded(words, "replaced")
    if _is_there(machine, goals, since):
        reply = {"ok": True, "state": machine.state, "version": machine.instance_id}
        return ok({**reply, "event_id": machine.events[-1].id} if machine.events else reply)
    if machine.state == "destroyed":
        raise MachineNotFound
    raise DeadlineExceeded(words, machine.state)


def _goals(wanted: tuple[str, ...]) -> frozenset[str]:
    return frozenset(wanted) | (SETTLED if "settled" in wanted else frozenset())


def _is_there(machine: Machine, goals: frozenset[str], since: str | None) -> bool:
    """Whether it is in one of the states, by an event after that one; an event that is gone is before all."""
    is_new = since is None or bool(machine.events and machine.events[-1].id != since)
    return machine.state in goals and is_new


def _is_replaced(machine: Machine, version: str | None) -> bool:
    return bool(version) and version != machine.instance_id
