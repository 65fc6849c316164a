"""What runs in a machine: exec, ps, memory (contract §4.1, §4.5).

Answers for the requests and for who may run programs on this computer: nobody, without `--allow-exec`. The
running is `localfly.inside`'s.
"""

import shlex
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import UNIMITATED, Body, Call
from localfly.api.gate import Kept
from localfly.inside import CannotRun, NotRunning, TooMuchOutput, Used, WentDown
from localfly.refusal import FailedPrecondition, HostUnreachable, Invalid, Refusal
from localfly.world import Machine

EXEC_TIMEOUT_S = 30  # Fly's default is not established; longer ones are said to end in 408 at times
LONGEST_EXEC_S = 60
_SHOWN = {
    "pid": "pid",
    "stime": "system_s",
    "rtime": "running_s",
    "command": "command",
    "directory": "directory",
    "cpu": "cpu",
    "rss": "rss",
}


class ExecTimedOut(Refusal):
    """408: the command was still running; the text after the prefix is not established."""

    http_status = 408

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"deadline_exceeded: the command did not end within {timeout_s:g} s")


class ExecEnded(Refusal):
    """412: the machine went down in the middle; Fly's words have no prefix here."""

    http_status = 412

    def __init__(self) -> None:
        super().__init__("exec request failed: EOF")


class Exec(Body):
    """A command as a list; `cmd` is the deprecated text, split as a shell would, without one."""

    command: list[str] | None = None
    cmd: str | None = None
    stdin: str | None = None
    timeout: Annotated[int, Field(ge=0, le=LONGEST_EXEC_S)] | None = None
    container: Annotated[Any, UNIMITATED] = None
    machine: bool | None = None  # in the machine rather than in a container: there is nothing else here


class SetMemoryLimit(Body):
    """The most that the machine may use from now on, until it goes down."""

    limit_mb: Annotated[int, Field(ge=1)]


class ReclaimMemory(Body):
    """How much to take back."""

    amount_mb: Annotated[int, Field(ge=0)]


async def exec_command(call: Call) -> Response:
    """Run a command to its end; 200 also when it fails."""
    call.query()
    asked = await call.body(Exec)
    machine = _running(call.changeable_machine())
    command = _command(asked)
    if not call.allows_exec:
        raise Kept("exec runs programs on this computer, and localfly was started without --allow-exec")
    timeout_s = asked.timeout or EXEC_TIMEOUT_S
    try:
        ran = await call.inside.run(machine, command, stdin=asked.stdin or "", timeout_s=timeout_s)
    except NotRunning:
        raise FailedPrecondition("machine not running") from None
    except CannotRun as error:
        raise Invalid(f"invalid_argument: the command cannot be run: {error}") from None
    except WentDown:
        raise ExecEnded from None
    except TooMuchOutput:
        raise Invalid("invalid_argument: the command printed more than exec can carry") from None
    except TimeoutError:
        raise ExecTimedOut(timeout_s) from None
    return ok(
        {
            "exit_code": ran.exit_code,
            "exit_signal": ran.exit_signal,
            "stdout": ran.stdout,
            "stderr": ran.stderr,
        }
    )


async def list_processes(call: Call) -> Response:
    """What runs in it; the built-in guest is part of localfly, and no process of its own."""
    query = call.query("sort_by", "order")
    sort_by, order = query.get("sort_by") or "pid", query.get("order") or "asc"
    if sort_by not in _SHOWN:
        raise Invalid(f"invalid query parameter 'sort_by': {sort_by[:60]!r}")
    if order not in ("asc", "desc"):
        raise Invalid(f"invalid query parameter 'order': {order[:60]!r}")
    found = await call.inside.processes(_running(call.machine()))
    found.sort(key=lambda one: getattr(one, _SHOWN[sort_by]), reverse=order == "desc")
    return ok([_process_json(one) for one in found])


async def show_memory(call: Call) -> Response:
    """Its limit, and what its processes leave of that."""
    call.query()
    return ok(await _memory_json(call, _running(call.machine())))


async def set_memory_limit(call: Call) -> Response:
    """Another limit, at most the machine's size; as its size, it is a number that nothing enforces here."""
    call.query()
    asked = await call.body(SetMemoryLimit)
    machine = _running(call.machine())
    size = machine.config["guest"]["memory_mb"]
    if asked.limit_mb > size:
        raise Invalid(f"invalid field 'limit_mb': the machine has {size} MB")
    call.inside.memory_limits_mb[machine.id] = asked.limit_mb
    return ok(await _memory_json(call, machine))


async def reclaim_memory(call: Call) -> Response:
    """Nothing can be taken from a process here, and the answer says so: 0."""
    call.query()
    await call.body(ReclaimMemory)
    _running(call.machine())
    return ok({"actual_mb": 0})


def _running(machine: Machine) -> Machine:
    if machine.host_status == "unreachable":
        raise HostUnreachable(machine.id)
    if machine.state != "started":
        raise FailedPrecondition("machine not running")
    return machine


def _command(asked: Exec) -> list[str]:
    if (asked.command is None) == (asked.cmd is None):
        raise Invalid("invalid_argument: give either command or cmd")
    try:
        command = asked.command if asked.command is not None else shlex.split(asked.cmd or "")
    except ValueError as error:
        raise Invalid(f"invalid field 'cmd': {error}") from None
    if not command or not command[0] or any("\0" in part for part in command):
        raise Invalid("invalid_argument: the command is empty, or holds a zero byte")
    return command


async def _memory_json(call: Call, machine: Machine) -> dict[str, int]:
    try:
        limit, available = await call.inside.memory_mb(machine)
    except NotRunning:
        raise FailedPrecondition("machine not running") from None
    return {"limit_mb": limit, "available_mb": available}


def _process_json(used: Used) -> dict[str, Any]:
    shown = {name: getattr(used, field) for name, field in _SHOWN.items()}
    return {
        **shown,
        "listen_sockets": [{"proto": proto, "address": address} for proto, address in used.listens],
    }
