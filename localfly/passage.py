"""The steps between a machine's states, each with its duration, and the history they leave.

Answers for what a move does once it is allowed: waiting, the runtime's part, the state at its end, the
events. Which move is allowed when is `lifecycle`'s.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from localfly.moment import duration_s, rfc3339
from localfly.world import Event, Machine, Source, World

DESTROYED_KEPT = 50  # per app: what `include_deleted` can still show
EVENTS_KEPT = 50  # per version of a machine: what the API can show at most


class CannotStart(Exception):  # noqa: N818 - reads as the sentence it is
    """The runtime could not start a machine: it becomes `failed`, with the text in its event."""


class Runtime(Protocol):
    """What really runs machines. Calls for one machine never overlap; those under way may be cancelled."""

    async def start(self, machine: Machine) -> None:
        """Run it, return when it is up; raises CannotStart; raising or cancelled, nothing is left running."""

    async def stop(self, machine: Machine, *, signal: str, timeout_s: float) -> int:
        """Signal it, kill it after `timeout_s`, return its exit code when all is gone; idempotent."""

    def address(self, machine_id: str, internal_port: int) -> tuple[str, int] | None:
        """Where that port of a running machine listens on this laptop: (host, port)."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each passage takes, in seconds; laptop-sized, Fly's are longer."""

    create_s: float = 0.3  # `created`: image pull and root file system
    start_s: float = 0.2  # `starting`, before the runtime is asked
    stop_s: float = 0.1  # `stopping`, after the runtime is done
    reap_s: float = 0.2  # `stopped`, and a start is still refused
    replace_s: float = 0.3  # `replacing`
    destroy_s: float = 0.3  # `destroying`
    restart_s: float = 0.5  # between an exit and the restart that the policy asks for
    volume_create_s: float = 0.2  # `creating`
    destroyed_readable_s: float = 60.0  # GET answers `destroyed`, then 404


class Passages:
    """The steps of one world's machines; `exited` is told of a process that ended before it counted as up."""

    def __init__(
        self, world: World, runtime: Runtime, timings: Timings, exited: Callable[[str, int], None]
    ) -> None:
        self._world = world
        self._runtime = runtime
        self._timings = timings
        self._exited = exited
        self._early_exits: dict[str, int | None] = {}

    def notice_early_exit(self, machine_id: str, code: int) -> bool:
        """Keep an exit that came while the start was under way; whether there is one."""
        if machine_id not in self._early_exits:
            return False
        self._early_exits[machine_id] = code
        return True

    async def create(self, machine: Machine) -> None:
        """`created` → `starting` → `started`, or → `stopped` when it is not to run."""
        await asyncio.sleep(self._timings.create_s)
        if machine.is_bound_to_run:
            self.set_state(machine, "starting")
            await self.boot(machine)
        else:
            self.set_state(machine, "stopped")

    async def boot(self, machine: Machine) -> None:
        """→ `started`, or `failed` when the runtime cannot."""
        await asyncio.sleep(self._timings.start_s)
        self._early_exits[machine.id] = None
        try:
            await self._runtime.start(machine)
            machine.is_running = True
        except CannotStart as error:
            machine.is_bound_to_run = False
            self.record(machine, "start", "failed", "flyd", {"error": str(error)})
            self.set_state(machine, "failed")
            return
        finally:
            early_exit = self._early_exits.pop(machine.id)
        self.record(machine, "start", "started", "flyd")
        self.set_state(machine, "started")
        if early_exit is not None:
            self._exited(machine.id, early_exit)

    async def stop(self, machine: Machine, *, signal: str, timeout_s: float) -> None:
        """`stopping` → `stopped`, and a while later startable."""
        await self.halt(machine, signal=signal, timeout_s=timeout_s)
        await asyncio.sleep(self._timings.stop_s)
        machine.is_being_reaped = True
        self.set_state(machine, "stopped")
        await self.reap(machine)

    async def reap(self, machine: Machine) -> None:
        """`stopped` → startable."""
        try:
            await asyncio.sleep(self._timings.reap_s)
        finally:
            machine.is_being_reaped = False
        self._world.wake(machine)

    async def replace(self, machine: Machine, *, signal: str, timeout_s: float) -> None:
        """`replacing` → `started`, or → `stopped` when it is not to run."""
        await self.halt(machine, signal=signal, timeout_s=timeout_s)
        await asyncio.sleep(self._timings.replace_s)
        if machine.is_bound_to_run:
            await self.boot(machine)
        else:
            self.set_state(machine, "stopped")

    async def restart(self, machine: Machine) -> None:
        """`restarting` → `started`."""
        await asyncio.sleep(self._timings.restart_s)
        await self.boot(machine)

    async def destroy(self, machine: Machine) -> None:
        """`destroying` → `destroyed`; its volume is free then."""
        await self.halt(machine, signal="SIGKILL", timeout_s=0)
        await asyncio.sleep(self._timings.destroy_s)
        machine.destroyed_at = self._world.clock()
        machine.lease = None
        self.record(machine, "destroy", "destroyed", "flyd")
        self._world.free_volume(machine)
        self.set_state(machine, "destroyed")
        gone = [other for other in machine.app.machines.values() if other.state == "destroyed"]
        for other in gone[:-DESTROYED_KEPT]:
            self._world.forget_machine(other)

    async def halt(self, machine: Machine, *, signal: str, timeout_s: float) -> None:
        """Stop what runs, if anything does, and note its exit."""
        if machine.is_running:
            code = await self._runtime.stop(machine, signal=signal, timeout_s=timeout_s)
            machine.is_running = False
            self.record_exit(machine, code, requested=True, restarting=False)

    def set_state(self, machine: Machine, state: str) -> None:
        """Change its state now."""
        machine.state = state
        self._world.touch(machine)

    def record_exit(self, machine: Machine, code: int, *, requested: bool, restarting: bool) -> None:
        """An `exit` event with the exit's details."""
        exit_event = {
            "exit_code": code,
            "guest_exit_code": code,
            "signal": -1,
            "guest_signal": -1,
            "oom_killed": False,
            "requested_stop": requested,
            "restarting": restarting,
            "exited_at": rfc3339(self._world.clock()),
        }
        request = {"exit_event": exit_event, "restart_count": len(machine.restarts)}
        self.record(machine, "exit", "stopped", "flyd", request)

    def record(
        self,
        machine: Machine,
        kind: str,
        status: str,
        source: Source,
        request: Mapping[str, Any] | None = None,
    ) -> None:
        """An event of the current version."""
        now = self._world.clock()
        machine.events.append(Event(self._world.ids.ulid(now), kind, status, source, now, request))
        del machine.events[:-EVENTS_KEPT]


def stop_of(config: Mapping[str, Any]) -> tuple[str, float]:
    """Signal, and seconds before SIGKILL, that a config asks for."""
    stop = config.get("stop_config") or {}
    return stop.get("signal") or "SIGINT", duration_s(stop.get("timeout"), default_s=5.0)
