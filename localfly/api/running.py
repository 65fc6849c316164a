"""Whether a machine runs and gets traffic: start, stop, suspend, restart, signal, cordon (contract §4.1).

Answers for the requests. Which state allows what is `lifecycle`'s, traffic the proxy's.
"""

import signal as signals
from typing import Annotated, Literal

from pydantic import BeforeValidator
from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import Body, Call, flag, parsed
from localfly.api.config import Duration, Signal
from localfly.moment import duration_ns, duration_s
from localfly.refusal import Invalid

LONGEST_STOP_S = 300
SIGNALS = (
    *("SIGABRT", "SIGALRM", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGKILL", "SIGPIPE", "SIGQUIT"),
    *("SIGSEGV", "SIGTERM", "SIGTRAP", "SIGUSR1", "SIGUSR2"),
)
STOP_SIGNALS = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM")


def _signal_name(value: object) -> object:
    """Fly's Go client sends the number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return next((name for name in SIGNALS if signals.Signals[name] == value), value)
    return value


class StopMachine(Body):
    """Fly's Go client sends the id too."""

    go_type = "main.stopRequest"

    signal: Signal | None = None
    timeout: Duration | None = None
    id: str | None = None


class SendSignal(Body):
    """A signal by name or number."""

    signal: Annotated[
        Literal[
            "SIGABRT",
            "SIGALRM",
            "SIGFPE",
            "SIGHUP",
            "SIGILL",
            "SIGINT",
            "SIGKILL",
            "SIGPIPE",
            "SIGQUIT",
            "SIGSEGV",
            "SIGTERM",
            "SIGTRAP",
            "SIGUSR1",
            "SIGUSR2",
        ],
        BeforeValidator(_signal_name),
    ]


async def start(call: Call) -> Response:
    """Ask for a start; the answer comes before it is up."""
    call.query()
    await call.no_body()
    before = call.lifecycle.begin_start(call.changeable_machine())
    return ok({"previous_state": before, "migrated": False, "new_host": ""})


async def stop(call: Call) -> Response:
    """Ask for a stop; the answer comes before it is down."""
    call.query()
    asked = await call.body(StopMachine)
    machine = call.changeable_machine()
    if asked.id not in (None, "", machine.id):
        raise Invalid(f"invalid field 'id': {asked.id} is not the machine of the path")
    timeout_s = None if asked.timeout is None else duration_s(asked.timeout, default_s=0)
    call.lifecycle.stop(machine, signal=asked.signal, timeout_s=timeout_s)
    return ok({"ok": True})


async def suspend(call: Call) -> Response:
    """Ask for a suspend; it keeps its memory."""
    call.query()
    await call.no_body()
    call.lifecycle.suspend(call.changeable_machine())
    return ok({"ok": True})


async def restart(call: Call) -> Response:
    """Ask for a stop and a start in the same version; `timeout` in seconds or as duration text."""
    query = call.query("timeout", "signal", "force_stop")
    await call.no_body()
    timeout_s = parsed(query, "timeout", _seconds, default=None)
    name = parsed(query, "signal", _stop_signal, default=None)
    call.lifecycle.restart(
        call.changeable_machine(), signal=name, timeout_s=timeout_s, force_stop=flag(query, "force_stop")
    )
    return ok({"ok": True})


async def signal(call: Call) -> Response:
    """Send a signal to what runs; whether a lease guards this is not established: here it does not."""
    call.query()
    asked = await call.body(SendSignal)
    call.lifecycle.signal(call.machine(), asked.signal)
    return ok({"ok": True})


async def cordon(call: Call) -> Response:
    """Take it out of the proxy's sight; fine when it is already."""
    return await _set_cordon(call, is_cordoned=True)


async def uncordon(call: Call) -> Response:
    """Show it to the proxy again; fine when it is already."""
    return await _set_cordon(call, is_cordoned=False)


async def _set_cordon(call: Call, *, is_cordoned: bool) -> Response:
    call.query()
    await call.no_body()
    machine = call.changeable_machine()
    if machine.is_cordoned is not is_cordoned:
        machine.is_cordoned = is_cordoned
        call.world.touch(machine)
    return ok({"ok": True})


def _seconds(text: str) -> float | None:
    if not text:
        return None
    seconds = int(text) if text.isascii() and text.isdecimal() else duration_ns(text) / 1e9
    if not 0 <= seconds <= LONGEST_STOP_S:
        raise ValueError(text)
    return seconds


def _stop_signal(text: str) -> str | None:
    if text and text not in STOP_SIGNALS:
        raise ValueError(text)
    return text or None
