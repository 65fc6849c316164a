"""The steps between a machine's states, each with its duration, and the history they leave.

Answers for what a move does once it is allowed: waiting, the runtime's part, the state at its end, the
events. Which move is allowed when is `lifecycle`'s.
"""

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
        """Signal it, kill it after `timeout_s`, return its exit code when all is gone; idempotent.

        What is suspended is killed at once.
        """

    async def suspend(self, machine: Machine) -> None:
        """Let it do nothing and answer nobody, with its memory kept; idempotent."""

    async def resume(self, machine: Machine) -> None:
        """Let what was suspended go on where it stood; raises CannotStart."""

    def signal(self, machine: Machine, name: str) -> None:
        """Send a signal to what runs; whether it ends of it is told like every exit."""

    def address(self, machine_id: str, internal_port: int) -> tuple[str, int] | None:
        """Where that port of a running machine listens on this laptop: (host, port)."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each passage takes, in seconds; laptop-sized, Fly's are longer."""

    create_s: float = 0.3  # `created`: image pull and root file system
    start_s: float = 0.2  # `starting`, before the runtime is asked
    stop_s: float = 0.1  # `stopping`, after the runtime is done
    suspend_s: float = 0.1  # `suspending`
    reap_s: float = 0.2  # `stopped`, and a start is still refused
    replace_s: float = 0.3  # `replacing`
    destroy_s: float = 0.3  # `destroying`
    restart_s: float = 0.5  # between an exit and the restart that the policy asks for
    volume_create_s: float = 0.2  # `creating`
    destroyed_readable_s: float = 60.0  # GET answers `destroyed`, then 404


class Passages:
    """The steps of one world's machines.

    `exited` is told of a process that ended before it counted as up, `changed` of every new state.
    """

    def __init__(
        self,
        world: World,
        runtime: Runtime,
        timings: Timings,
        *,
        exited: Callable[[str, int], None],
        changed: Callable[[Machine], None],
    ) -> None:
        self._world = world
        self._clock = world.clock
        self._runtime = runtime
        self._timings = timings
        self._exited = exited
        self._changed = changed
        self._early_exits: dict[str, int | None] = {}

    def notice_early_exit(self, machine_id: str, code: int) -> bool:
        """Keep an exit that came while the start was under way; whether there is one."""
        if machine_id not in self._early_exits:
            return False
        self._early_exits[machine_id] = code
        return True

    async def create(self, machine: Machine) -> None:
        """`created` → `starting` → `started`, or → `stopped` when it is not to run.

        An image that no host can pull: → `launch_failed` → `destroyed`.
        """
        await self._clock.sleep(self._timings.create_s)
        if machine.config["image"] in self._world.bad_images:
            machine.is_bound_to_run = False
            self.record(machine, "launch", "launch_failed", "flyd", {"error": _no_image(machine)})
            self.set_state(machine, "launch_failed")
            await self.destroy(machine)
        elif machine.is_bound_to_run:
            self.set_state(machine, "starting")
            await self.boot(machine)
        else:
            self.set_state(machine, "stopped")

    async def boot(self, machine: Machine) -> None:
        """→ `started`, or `failed` when the runtime cannot; what is suspended goes on where it stood."""
        if (error := await self._bring_up(machine)) is not None:
            machine.is_bound_to_run = False
            self.record(machine, "start", "failed", "flyd", {"error": error})
            self.set_state(machine, "failed")

    async def stop(self, machine: Machine, *, signal: str, timeout_s: float) -> None:
        """`stopping` → `stopped`, and a while later startable; with `auto_destroy`: → `destroyed`."""
        was_running = machine.is_running
        await self.halt(machine, signal=signal, timeout_s=timeout_s)
        await self._clock.sleep(self._timings.stop_s)
        if was_running and machine.config.get("auto_destroy"):
            self.record(machine, "destroy", "destroying", "flyd")
            self.set_state(machine, "destroying")
            await self.destroy(machine)
            return
        machine.is_being_reaped = True
        self.set_state(machine, "stopped")
        await self.reap(machine)

    async def reap(self, machine: Machine) -> None:
        """`stopped` → startable."""
        try:
            await self._clock.sleep(self._timings.reap_s)
        finally:
            machine.is_being_reaped = False
        self._world.wake(machine)

    async def suspend(self, machine: Machine) -> None:
        """`suspending` → `suspended`, with its memory kept."""
        await self._clock.sleep(self._timings.suspend_s)
        if machine.is_running:
            with self._clock.working():
                await self._runtime.suspend(machine)
        self.record(machine, "suspend", "suspended", "flyd")
        self.set_state(machine, "suspended")

    async def replace(self, machine: Machine, *, signal: str, timeout_s: float) -> None:
        """`replacing` → `started`, or → `stopped` when it is not to run.

        When the new version cannot be brought up, the machine goes back to its former one.
        """
        await self._clock.sleep(self._timings.replace_s)
        if machine.config["image"] in self._world.bad_images:
            await self._go_back(machine, _no_image(machine))
            return
        await self.halt(machine, signal=signal, timeout_s=timeout_s)
        if not machine.is_bound_to_run:
            self.set_state(machine, "stopped")
        elif (error := await self._bring_up(machine)) is not None:
            await self._go_back(machine, error)
        machine.former = None

    async def restart(self, machine: Machine) -> None:
        """`restarting` → `started`, after the pause that follows an exit."""
        await self._clock.sleep(self._timings.restart_s)
        await self.boot(machine)

    async def cycle(self, machine: Machine, *, signal: str, timeout_s: float) -> None:
        """`restarting` → `started`, with a stop in between."""
        await self.halt(machine, signal=signal, timeout_s=timeout_s)
        await self._clock.sleep(self._timings.stop_s)
        await self.boot(machine)

    async def destroy(self, machine: Machine) -> None:
        """`destroying` → `destroyed`; its volume is free then."""
        await self.halt(machine, signal="SIGKILL", timeout_s=0)
        await self._clock.sleep(self._timings.destroy_s)
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
            with self._clock.working():
                code = await self._runtime.stop(machine, signal=signal, timeout_s=timeout_s)
            machine.is_running = False
            self.record_exit(machine, code, requested=True, restarting=False)

    async def lose(self, machine: Machine) -> None:
        """End what runs without a trace in its history, as a host that is lost does."""
        if machine.is_running:
            with self._clock.working():
                await self._runtime.stop(machine, signal="SIGKILL", timeout_s=0)
            machine.is_running = False

    def set_state(self, machine: Machine, state: str) -> None:
        """Change its state now."""
        machine.state = state
        self._changed(machine)
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
        machine.changed()

    async def _bring_up(self, machine: Machine) -> str | None:
        """→ `started`; else what went wrong, and then nothing runs and the state is as it was."""
        await self._clock.sleep(self._timings.start_s)
        if (fault := await self._world.before_start(machine)) is not None:
            await self.halt(machine, signal="SIGKILL", timeout_s=0)
            return fault
        self._early_exits[machine.id] = None
        try:
            with self._clock.working():
                if machine.is_running:
                    await self._runtime.resume(machine)
                else:
                    await self._runtime.start(machine)
            machine.is_running = True
        except CannotStart as error:
            machine.is_running = False
            return str(error)
        finally:
            early_exit = self._early_exits.pop(machine.id)
        self.record(machine, "start", "started", "flyd")
        self.set_state(machine, "started")
        if early_exit is not None:
            self._exited(machine.id, early_exit)
        return None

    async def _go_back(self, machine: Machine, why: str) -> None:
        """`replacing` → the former version, in the state that it had or comes to."""
        self.record(machine, "update", "reverted", "flyd", {"error": why})
        if (former := machine.former) is not None:
            machine.instance_id, machine.config, machine.secrets = (
                former.instance_id,
                former.config,
                former.secrets,
            )
            machine.is_bound_to_run, machine.former = former.was_to_run, None
        if machine.is_running:
            self.set_state(machine, "started")
        elif machine.is_bound_to_run:
            await self.boot(machine)
        else:
            self.set_state(machine, "stopped")


def stop_of(config: Mapping[str, Any]) -> tuple[str, float]:
    """Signal, and seconds before SIGKILL, that a config asks for."""
    stop = config.get("stop_config") or {}
    return stop.get("signal") or "SIGINT", duration_s(stop.get("timeout"), default_s=5.0)


def _no_image(machine: Machine) -> str:
    return f"could not pull image {machine.config['image']}"
