"""What may happen to a machine when: create, start, stop, suspend, restart, update, exit, destroy.

Answers for what each verb sets off. Which state allows it is `allowed`'s, the steps of a move are
`passage`'s, that there is one at a time `moves`', checks and schedules `check`'s and `schedule`'s.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, TypedDict

from localfly.allowed import DESTROYABLE, UP, check_host, check_startable, has_to, is_to_restart, unstartable
from localfly.check import Checks, Probe
from localfly.lease import guard
from localfly.moves import Moves
from localfly.passage import CannotStart, Passages, Runtime, Timings, stop_of
from localfly.probe import probe
from localfly.refusal import ConcurrentUpdate, FailedPrecondition, MachineNotFound, Refusal, StartRefused
from localfly.schedule import Schedules
from localfly.world import App, Former, HostStatus, Machine, Secret, Source, Version, World

__all__ = ["SETTLED", "CannotStart", "Lifecycle", "Runtime", "Timings"]

SETTLED = frozenset({"started", "stopped", "suspended", "failed", "destroyed"})
VERSIONS_KEPT = 20


class Lifecycle:
    """Moves machines from state to state; close it with `aclose()`, or use it as `async with`."""

    def __init__(
        self, world: World, runtime: Runtime, timings: Timings | None = None, *, probe: Probe = probe
    ) -> None:
        self.world = world
        self.runtime = runtime
        self.timings = timings or Timings()
        self._moves = Moves()
        self._passages = Passages(
            world, runtime, self.timings, exited=self.exited, changed=self._state_changed
        )
        self._checks = Checks(world, runtime.address, probe)
        self._schedules = Schedules(world.clock, self._start_unasked)

    async def __aenter__(self) -> "Lifecycle":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Abandon every move under way and stop every running machine at once."""
        await self._moves.aclose()
        await self._checks.aclose()
        await self._halt(list(self.world.machines.values()))

    async def clear(self, *, kept: Collection[str] = ()) -> None:
        """Empty the world at once: every app is gone but these, which are left without anything in them.

        What somebody makes while the machines of before are ended belongs to the new world, and stays.
        """
        machines, apps = list(self.world.machines.values()), list(self.world.apps.values())
        for machine in machines:
            self._passages.set_state(machine, "destroyed")
        for app in apps:
            if app.name in kept:
                self.world.empty_app(app)
            else:
                self.world.forget_app(app)
        await self._moves.end([machine.id for machine in machines] + [app.id for app in apps])
        await self._halt(machines)

    def launch(self, machine: Machine, *, skip_launch: bool = False) -> None:
        """Set a machine just created on its way: to `started`, or with `skip_launch` to `stopped`."""
        machine.is_bound_to_run = not skip_launch
        self._passages.record(machine, "launch", "created", "user")
        self._schedules.follow(machine)
        self._moves.begin(machine.id, partial(self._passages.create, machine))

    def take_up(self) -> None:
        """Go on with a world that was read back: every passage from its beginning, what ran runs again."""
        for machine in self.world.machines.values():
            self._schedules.follow(machine)
            if machine.host_status != "unreachable":
                self._go_on(machine)
        for app in self.world.apps.values():
            if app.is_being_deleted:
                self._moves.begin(app.id, partial(self._empty, app))

    def begin_start(self, machine: Machine, *, source: Source = "user") -> str:
        """Ask for a start and return the state before; a machine that runs or is starting is left alone.

        Raises StartRefused, MachineNotFound and HostUnreachable; for source `proxy` LeaseHeld too (Fly's
        autostart respects leases; the API checks nonces before it calls this).
        """
        before = machine.state
        check_host(machine)
        if before in UP:
            return before
        check_startable(machine)
        self._check_lease(machine, source)
        machine.is_bound_to_run = True
        self._passages.record(machine, "start", "starting", source)
        self._passages.set_state(machine, "starting")
        self._moves.begin(machine.id, partial(self._passages.boot, machine))
        return before

    async def start(self, machine: Machine, *, source: Source = "user") -> None:
        """Bring it to `started`, waiting out whatever passes; many callers at once make one start.

        Raises what `begin_start` raises, except passing refusals; StartRefused also when the start
        ended elsewhere (`failed`, `stopped`, `destroyed`). No deadline: the caller's `asyncio.timeout`.
        """
        while True:
            try:
                self.begin_start(machine, source=source)
                break
            except StartRefused as refused:
                if not refused.is_passing:
                    raise
            await self.until(machine, lambda m: m.state in SETTLED and not m.is_being_reaped)
        await self.until(machine, lambda m: m.state in SETTLED)
        if machine.state != "started":
            raise unstartable(machine)

    def stop(
        self,
        machine: Machine,
        *,
        signal: str | None = None,
        timeout_s: float | None = None,
        source: Source = "user",
    ) -> None:
        """Ask for a stop, by its config's signal and timeout unless told; fine when it is stopped already.

        A suspended machine loses its memory. For source `proxy` a lease refuses it, as it does `suspend`.
        """
        if not has_to("stop", machine):
            return
        self._check_lease(machine, source)
        machine.is_bound_to_run = False
        self._passages.record(machine, "stop", "stopping", source)
        self._passages.set_state(machine, "stopping")
        self._moves.begin(
            machine.id, partial(self._passages.stop, machine, **_stop_asked(machine, signal, timeout_s))
        )

    def suspend(self, machine: Machine, *, source: Source = "user") -> None:
        """Ask for a suspend: it keeps its memory until it is started; fine when it is suspended already."""
        if not has_to("suspend", machine):
            return
        self._check_lease(machine, source)
        machine.is_bound_to_run = False
        self._passages.record(machine, "suspend", "suspending", source)
        self._passages.set_state(machine, "suspending")
        self._moves.begin(machine.id, partial(self._passages.suspend, machine))

    def restart(
        self,
        machine: Machine,
        *,
        signal: str | None = None,
        timeout_s: float | None = None,
        force_stop: bool = False,
    ) -> None:
        """Ask for a stop and a start in the same version; `force_stop` kills without asking first."""
        has_to("restart", machine)
        asked = _stop_asked(machine, "SIGKILL" if force_stop else signal, 0 if force_stop else timeout_s)
        machine.is_bound_to_run = True
        self._passages.record(machine, "restart", "restarting", "user")
        self._passages.set_state(machine, "restarting")
        self._moves.begin(machine.id, partial(self._passages.cycle, machine, **asked))

    def signal(self, machine: Machine, name: str) -> None:
        """Send a signal (`SIGTERM`, …) to what runs; FailedPrecondition when nothing does."""
        if machine.state == "destroyed":
            raise MachineNotFound
        check_host(machine)
        if machine.state != "started" or not machine.is_running:
            raise FailedPrecondition("machine not running")
        self.runtime.signal(machine, name)

    def set_host_status(self, machine: Machine, status: HostStatus) -> None:
        """Let its host be lost (`unreachable`), come back (`ok`), or say nothing of itself (`unknown`).

        What runs on a lost host ends, the state stays as it was last known, the volume is lost with it, and
        machines that stand by for this one are started. A host that comes back goes on from there.
        """
        if machine.state == "destroyed":
            raise MachineNotFound
        before, machine.host_status = machine.host_status, status
        if (volume := self.world.volume_of(machine)) is not None:
            volume.host_status = status
        self._state_changed(machine)
        self.world.touch(machine)
        if status == "unreachable" and before != status:
            self._moves.begin(machine.id, partial(self._passages.lose, machine))
            for other in list(machine.app.living()):
                if machine.id in (other.config.get("standbys") or ()):
                    self._start_unasked(other)
        elif before == "unreachable" and status != before:
            self._go_on(machine)

    def update(
        self,
        machine: Machine,
        *,
        config: Mapping[str, Any],
        submitted: Mapping[str, Any],
        secrets: Mapping[str, Secret],
        skip_launch: bool = False,
    ) -> None:
        """A new version; it ends `started` if the machine ran (and no `skip_launch`), otherwise `stopped`."""
        if not machine.is_living:
            raise MachineNotFound
        check_host(machine)
        if machine.state == "replacing":
            raise ConcurrentUpdate
        was_coming_up = machine.state == "created" and machine.is_bound_to_run
        signal, timeout_s = stop_of(machine.config)
        was_to_run = machine.state in UP or was_coming_up
        machine.former = Former(machine.instance_id, machine.config, machine.secrets, was_to_run)
        machine.is_bound_to_run = was_to_run and not skip_launch
        machine.instance_id = self.world.ids.ulid(self.world.clock())
        machine.config, machine.secrets = config, secrets
        machine.versions.append(Version(machine.instance_id, submitted))
        del machine.versions[:-VERSIONS_KEPT]
        machine.events.clear()
        machine.restarts = ()
        self._passages.record(machine, "update", "replacing", "user")
        self._passages.set_state(machine, "replacing")
        self._moves.begin(
            machine.id, partial(self._passages.replace, machine, signal=signal, timeout_s=timeout_s)
        )

    def destroy(self, machine: Machine, *, force: bool = False) -> None:
        """Destroy it; only when that is finished is its volume free and its state `destroyed`."""
        if machine.state == "destroyed":
            raise MachineNotFound
        if not machine.is_living:
            return
        if not force:
            check_host(machine)
        if not force and machine.state not in DESTROYABLE:
            raise FailedPrecondition(
                "unable to destroy machine, not currently stopped, suspended, failed or created"
            )
        self._begin_destroy(machine, "user")

    def delete_app(self, app: App, *, force: bool = False) -> None:
        """Destroy its machines, then take it away with its volumes and secrets.

        Raises FailedPrecondition when a machine cannot be destroyed without `force` (text not established).
        """
        for machine in app.living():
            if not force and machine.state not in DESTROYABLE:
                raise FailedPrecondition(f"machine {machine.id} is {machine.state}; stop it, or use force")
        app.is_being_deleted = True
        for machine in app.living():
            self._begin_destroy(machine, "user")
        self._moves.begin(app.id, partial(self._empty, app))

    def exited(self, machine_id: str, code: int) -> None:
        """The runtime's word that a process ended by itself; the restart policy decides what follows."""
        machine = self.world.machines.get(machine_id)
        if machine is None or self._passages.notice_early_exit(machine_id, code):
            return
        if not machine.is_running or machine.state == "stopping":
            return
        machine.is_running = False
        if machine.host_status == "unreachable":
            return
        if machine.state != "started":  # nothing follows: it was on its way to something else already
            self._passages.record_exit(machine, code, requested=False, restarting=False)
            return
        is_restarting = is_to_restart(machine, code, self.world.clock())
        self._passages.record_exit(machine, code, requested=False, restarting=is_restarting)
        if is_restarting:
            machine.restarts = (*machine.restarts, self.world.clock())
            self._passages.set_state(machine, "restarting")
            self._moves.begin(machine.id, partial(self._passages.restart, machine))
        elif machine.config.get("auto_destroy"):
            self._begin_destroy(machine, "flyd")
        else:
            machine.is_bound_to_run = False
            machine.is_being_reaped = True
            self._passages.set_state(machine, "stopped")
            self._moves.begin(machine.id, partial(self._passages.reap, machine))

    async def until(
        self, machine: Machine, holds: Callable[[Machine], bool], *, timeout_s: float | None = None
    ) -> bool:
        """Wait until `holds(machine)`, looking at every change; False when `timeout_s` passed first."""
        loop = asyncio.get_running_loop()
        try:
            async with self.world.clock.timeout(timeout_s):
                while not holds(machine):
                    change = loop.create_future()
                    machine.waiters = [*(machine.waiters or ()), change]
                    try:
                        await change
                    finally:
                        if machine.waiters and change in machine.waiters:
                            machine.waiters.remove(change)
        except TimeoutError:
            return False
        return True

    def is_readable(self, machine: Machine) -> bool:
        """Whether GET still answers for it: a destroyed machine stays readable for a while."""
        gone_s = self.world.clock() - machine.destroyed_at
        return machine.state != "destroyed" or gone_s < self.timings.destroyed_readable_s

    async def _halt(self, machines: Collection[Machine]) -> None:
        halt = partial(self._passages.halt, signal="SIGKILL", timeout_s=0)
        await asyncio.gather(*map(halt, machines))

    def _begin_destroy(self, machine: Machine, source: Source) -> None:
        machine.is_bound_to_run = False
        self._passages.record(machine, "destroy", "destroying", source)
        self._passages.set_state(machine, "destroying")
        self._moves.begin(machine.id, partial(self._passages.destroy, machine))

    def _go_on(self, machine: Machine) -> None:
        """Begin again the passage that its state is a part of, or put back what ran in it."""
        steps: dict[str, Callable[[Machine], Awaitable[None]]] = {
            "created": self._passages.create,
            "starting": self._passages.boot,
            "started": self._passages.boot,
            "restarting": self._passages.restart,
            "stopping": partial(self._passages.stop, signal="SIGKILL", timeout_s=0),
            "suspending": self._passages.suspend,
            "replacing": partial(self._passages.replace, signal="SIGKILL", timeout_s=0),
            "launch_failed": self._passages.destroy,
            "destroying": self._passages.destroy,
        }
        if (step := steps.get(machine.state)) is not None:
            self._moves.begin(machine.id, partial(step, machine))

    def _check_lease(self, machine: Machine, source: Source) -> None:
        """The proxy has no nonce; whoever asks through the API has shown one."""
        if source == "proxy":
            guard(machine, None, self.world.clock())

    def _state_changed(self, machine: Machine) -> None:
        self._checks.follow(machine)
        self._schedules.follow(machine)

    def _start_unasked(self, machine: Machine) -> None:
        """Start it if that can be done now; nobody waits for an answer."""
        with contextlib.suppress(Refusal):
            self.begin_start(machine, source="flyd")

    async def _empty(self, app: App) -> None:
        for machine in list(app.machines.values()):
            await self.until(machine, lambda m: m.state == "destroyed")
        self.world.forget_app(app)


class _Stop(TypedDict):
    signal: str
    timeout_s: float


def _stop_asked(machine: Machine, signal: str | None, timeout_s: float | None) -> _Stop:
    """How it is to be stopped: as told, else as its config says."""
    its_signal, its_timeout_s = stop_of(machine.config)
    return {"signal": signal or its_signal, "timeout_s": its_timeout_s if timeout_s is None else timeout_s}
