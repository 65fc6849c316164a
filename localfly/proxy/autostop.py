"""Stopping what nobody uses: from time to time one machine of each app and region, by load alone.

Answers for the passes, the choice and the order of a stop: nothing new, a short wait, close frames, then the
stop or suspend itself, which is the lifecycle's. Source: behaviour.md §4.4.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence

from localfly.lifecycle import Lifecycle
from localfly.proxy.load import Band, Load
from localfly.proxy.select import services_of
from localfly.refusal import Refusal
from localfly.world import App, Machine, World

SUSPENDABLE_MB = 2048
DRAIN_S = 1.0  # between sending nothing new and the end: requests under way may finish

_log = logging.getLogger("localfly.proxy")


class Autostop:
    """The passes over one world; `run()` until cancelled."""

    def __init__(self, world: World, lifecycle: Lifecycle, load: Load, *, every_s: float) -> None:
        self._world = world
        self._lifecycle = lifecycle
        self._load = load
        self._every_s = every_s

    async def run(self) -> None:
        """One pass after another, `every_s` apart on the world's clock."""
        while True:
            last = self._world.clock()
            await self._world.clock.sleep(self._every_s)
            async with asyncio.TaskGroup() as group:
                for machine in list(self.excess(idle_since=last)):
                    group.create_task(self._retire(machine))

    def excess(self, *, idle_since: float) -> Iterator[Machine]:
        """The machines that a pass stops now, at most one for each app and region.

        A machine that is alone in its region goes only when it had no traffic at all since that moment.
        """
        for app in self._world.apps.values():
            regions: dict[str, list[Machine]] = defaultdict(list)
            for machine in app.living():
                if machine.state == "started" and not machine.is_cordoned and _how(machine) is not None:
                    regions[machine.region].append(machine)
            for region, machines in regions.items():
                spare = self._spare(machines, idle_since)
                if spare is not None and len(machines) > _least(app, region):
                    yield spare

    def _spare(self, machines: Sequence[Machine], idle_since: float) -> Machine | None:
        if len(machines) == 1:
            return machines[0] if self._is_idle(machines[0], idle_since) else None
        over_soft = sum(self._is_busy(machine) for machine in machines)
        if len(machines) - (over_soft + 1) < 1:
            return None
        return min(machines, key=lambda machine: self._load.total(machine.id))

    def _is_idle(self, machine: Machine, since: float) -> bool:
        last = self._load.idle_since(machine.id)
        return last is not None and last <= since and _started_at(machine) <= since

    def _is_busy(self, machine: Machine) -> bool:
        return any(self._load.band(service) is not Band.CALM for service in services_of(machine))

    async def _retire(self, machine: Machine) -> None:
        self._load.drain(machine.id, is_on=True)
        try:
            await self._world.clock.sleep(DRAIN_S)
            for websocket in self._load.websockets(machine.id):
                websocket.leave()
            if _how(machine) == "suspend":
                self._lifecycle.suspend(machine, source="proxy")
            else:
                self._lifecycle.stop(machine, source="proxy")
        except Refusal as refusal:  # somebody else changed it meanwhile, or holds its lease
            _log.info("autostop of machine %s put off: %s", machine.id, refusal.text)
        finally:
            self._load.drain(machine.id, is_on=False)


def _how(machine: Machine) -> str | None:
    """`stop` or `suspend` when one of its services asks for it; None when none does, or one says no."""
    wishes = {service.get("autostop") or False for service in machine.services if service.get("ports")}
    if not wishes or False in wishes:
        return None
    return "suspend" if wishes == {"suspend"} and _can_suspend(machine) else "stop"


def _can_suspend(machine: Machine) -> bool:
    """Whether Fly could keep its memory: not above 2 GB, and no schedule."""
    memory_mb = (machine.config.get("guest") or {}).get("memory_mb") or 256
    return memory_mb <= SUSPENDABLE_MB and not machine.config.get("schedule")


def _started_at(machine: Machine) -> float:
    starts = (event.at for event in reversed(machine.events) if event.status == "started")
    return next(starts, machine.created_at)


def _least(app: App, region: str) -> int:
    """How many machines are to stay up there: `min_machines_running`, in the region that is the primary one.

    An app made through the API has none, unless its machines' env says PRIMARY_REGION.
    """
    wishes = [
        service.get("min_machines_running") or 0
        for machine in app.living()
        if (machine.config.get("env") or {}).get("PRIMARY_REGION") == region
        for service in machine.services
    ]
    return max(wishes, default=0)
