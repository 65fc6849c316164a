"""What may happen to a machine when: create, start, stop, update, exit, destroy.

Answers for which state allows which move, and for its refusal. The steps of a move are `passage`'s, that
there is one at a time `moves`', leases and JSON the API's.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from localfly.lease import guard
from localfly.moves import Moves
from localfly.passage import CannotStart, Passages, Runtime, Timings, stop_of
from localfly.refusal import ConcurrentUpdate, FailedPrecondition, MachineNotFound, StartRefused
from localfly.world import App, Machine, Secret, Source, Version, World

__all__ = ["SETTLED", "CannotStart", "Lifecycle", "Runtime", "Timings"]

SETTLED = frozenset({"started", "stopped", "suspended", "failed", "destroyed"})
RESTART_WINDOW_S = 300.0
RESTARTS = 10  # in the window, for the policy `on-failure`, unless the config says otherwise
VERSIONS_KEPT = 20
UP = ("started", "starting", "restarting")
DESTROYABLE = ("stopped", "suspended", "failed", "created")


class Lifecycle:
    """Moves machines from state to state; close it with `aclose()`, or use it as `async with`."""

    def __init__(self, world: World, runtime: Runtime, timings: Timings | None = None) -> None:
        self.world = world
        self.runtime = runtime
        self.timings = timings or Timings()
        self._moves = Moves()
        self._passages = Passages(world, runtime, self.timings, self.exited)

    async def __aenter__(self) -> "Lifecycle":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Abandon every move under way and stop every running machine at once."""
        await self._moves.aclose()
        running = [machine for machine in self.world.machines.values() if machine.is_running]
        halt = partial(self._passages.halt, signal="SIGKILL", timeout_s=0)
        await asyncio.gather(*map(halt, running))

    def launch(self, machine: Machine, *, skip_launch: bool = False) -> None:
        """Set a machine just created on its way: to `started`, or with `skip_launch` to `stopped`."""
        machine.is_bound_to_run = not skip_launch
        self._passages.record(machine, "launch", "created", "user")
        self._moves.begin(machine.id, partial(self._passages.create, machine))

    def begin_start(self, machine: Machine, *, source: Source = "user") -> str:
        """Ask for a start and return the state before; a machine that runs or is starting is left alone.

        Raises StartRefused and MachineNotFound; for source `proxy` LeaseHeld too (Fly's autostart
        respects leases; the API checks nonces before it calls this).
        """
        before = machine.state
        if before in UP:
            return before
        _check_startable(machine)
        if source == "proxy":
            guard(machine, None, self.world.clock())
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
            raise _unstartable(machine)

    def stop(self, machine: Machine, *, signal: str | None = None, timeout_s: float | None = None) -> None:
        """Ask for a stop, by its config's signal and timeout unless told; fine when it is stopped already."""
        if machine.state == "destroyed":
            raise MachineNotFound
        if machine.state in ("created", "replacing", "destroying"):
            raise FailedPrecondition(f"unable to stop machine from current state: '{machine.state}'")
        if machine.state in ("stopped", "stopping"):
            return
        its_signal, its_timeout_s = stop_of(machine.config)
        machine.is_bound_to_run = False
        self._passages.record(machine, "stop", "stopping", "user")
        self._passages.set_state(machine, "stopping")
        wait_s = its_timeout_s if timeout_s is None else timeout_s
        self._moves.begin(
            machine.id, partial(self._passages.stop, machine, signal=signal or its_signal, timeout_s=wait_s)
        )

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
        if machine.state in ("destroying", "destroyed"):
            raise MachineNotFound
        if machine.state == "replacing":
            raise ConcurrentUpdate
        was_coming_up = machine.state == "created" and machine.is_bound_to_run
        signal, timeout_s = stop_of(machine.config)
        machine.is_bound_to_run = (machine.state in UP or was_coming_up) and not skip_launch
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
        if machine.state == "destroying":
            return
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
        if not machine.is_running or machine.state != "started":
            return
        machine.is_running = False
        is_restarting = self._is_to_restart(machine, code)
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
            async with asyncio.timeout(timeout_s):
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

    def _begin_destroy(self, machine: Machine, source: Source) -> None:
        machine.is_bound_to_run = False
        self._passages.record(machine, "destroy", "destroying", source)
        self._passages.set_state(machine, "destroying")
        self._moves.begin(machine.id, partial(self._passages.destroy, machine))

    async def _empty(self, app: App) -> None:
        for machine in list(app.machines.values()):
            await self.until(machine, lambda m: m.state == "destroyed")
        self.world.forget_app(app)

    def _is_to_restart(self, machine: Machine, code: int) -> bool:
        restart = machine.config.get("restart") or {}
        policy = restart.get("policy") or "on-failure"
        since = self.world.clock() - RESTART_WINDOW_S
        machine.restarts = tuple(at for at in machine.restarts if at > since)
        if policy == "always":
            return True
        retries = restart.get("max_retries", RESTARTS)
        return policy == "on-failure" and code != 0 and len(machine.restarts) < retries


def _check_startable(machine: Machine) -> None:
    if machine.state == "destroyed":
        raise MachineNotFound
    if machine.state == "replacing":
        raise StartRefused("machine getting replaced, refusing to start", is_passing=True)
    if machine.is_being_reaped:
        raise StartRefused("machine still active, refusing to start", is_passing=True)
    if machine.state not in ("stopped", "suspended", "failed"):
        raise _unstartable(machine)


def _unstartable(machine: Machine) -> StartRefused:
    return StartRefused(
        f"unable to start machine from current state: '{machine.state}'",
        is_passing=machine.state in ("created", "stopping"),
    )
