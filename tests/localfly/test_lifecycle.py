"""What happens to machines over time, with a runtime whose starts and exits the test decides."""

import asyncio
from typing import Any

import pytest

from localfly.lifecycle import CannotStart, Lifecycle, Timings
from localfly.refusal import LeaseHeld, StartRefused
from localfly.world import Lease, Machine, World
from tests.virtual_time import EPOCH_S


class Deck:
    """A runtime that keeps what runs, takes time to start, and fails when told to."""

    def __init__(self, *, start_s: float = 1.0, stop_s: float = 1.0) -> None:
        self.start_s = start_s
        self.stop_s = stop_s
        self.is_broken = False
        self.running: set[str] = set()
        self.starts = 0
        self.stopped_with: list[tuple[str, float]] = []
        self.frozen: set[str] = set()  # suspended, memory kept
        self.signals: list[tuple[str, str]] = []
        self._busy: set[str] = set()

    async def start(self, machine: Machine) -> None:
        with _Alone(self._busy, machine.id):
            await asyncio.sleep(self.start_s)
            if self.is_broken:
                raise CannotStart("no such image")
            self.starts += 1
            self.running.add(machine.id)

    async def stop(self, machine: Machine, *, signal: str, timeout_s: float) -> int:
        with _Alone(self._busy, machine.id):
            await asyncio.sleep(self.stop_s)
            self.stopped_with.append((signal, timeout_s))
            self.running.discard(machine.id)
            self.frozen.discard(machine.id)
            return 0

    async def suspend(self, machine: Machine) -> None:
        with _Alone(self._busy, machine.id):
            await asyncio.sleep(self.stop_s)
            self.running.discard(machine.id)
            self.frozen.add(machine.id)

    async def resume(self, machine: Machine) -> None:
        with _Alone(self._busy, machine.id):
            await asyncio.sleep(self.start_s)
            self.frozen.remove(machine.id)
            self.running.add(machine.id)

    def signal(self, machine: Machine, name: str) -> None:
        self.signals.append((machine.id, name))

    def address(self, machine_id: str, internal_port: int) -> tuple[str, int] | None:
        return ("127.0.0.1", internal_port) if machine_id in self.running else None


class _Alone:
    """Fails when two calls for one machine overlap."""

    def __init__(self, busy: set[str], key: str) -> None:
        self._busy = busy
        self._key = key

    def __enter__(self) -> None:
        assert self._key not in self._busy, "two calls of the runtime overlap"
        self._busy.add(self._key)

    def __exit__(self, *_: object) -> None:
        self._busy.discard(self._key)


class Stage:
    """One app with machines on a deck."""

    def __init__(self, deck: Deck | None = None, timings: Timings | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.deck = deck or Deck()
        self.world = World(lambda: EPOCH_S + loop.time())
        self.lifecycle = Lifecycle(self.world, self.deck, timings)
        self.app = self.world.add_app("alice", org="acme")

    def machine(self, *, skip_launch: bool = False, **fields: Any) -> Machine:
        config = {"image": "studio", **fields}
        machine = self.world.add_machine(
            self.app, name="web-0", region="iad", config=config, submitted=config, secrets={}
        )
        self.lifecycle.launch(machine, skip_launch=skip_launch)
        return machine

    async def reaches(self, machine: Machine, state: str) -> None:
        assert await self.lifecycle.until(machine, lambda m: m.state == state, timeout_s=60), machine.state

    def starts_by(self, machine: Machine, source: str) -> int:
        return sum((event.type, event.source) == ("start", source) for event in machine.events)


async def test_fifty_proxy_starts_at_once_are_one_start_with_source_proxy() -> None:
    stage = Stage()
    machine = stage.machine(skip_launch=True)
    await stage.reaches(machine, "stopped")
    await asyncio.gather(*(stage.lifecycle.start(machine, source="proxy") for _ in range(50)))

    assert machine.state == "started"
    assert stage.deck.starts == 1
    assert stage.starts_by(machine, "proxy") == 1


async def test_a_proxy_start_waits_out_creation_a_stop_and_the_reaping() -> None:
    stage = Stage()
    machine = stage.machine(skip_launch=True)
    await stage.lifecycle.start(machine, source="proxy")
    stage.lifecycle.stop(machine)
    await stage.lifecycle.start(machine, source="proxy")

    assert machine.state == "started"
    assert stage.deck.starts == 2


async def test_a_lease_blocks_the_proxys_start_and_not_a_running_machine() -> None:
    stage = Stage()
    machine = stage.machine(skip_launch=True)
    await stage.reaches(machine, "stopped")
    machine.lease = Lease("abc", stage.world.clock() + 10, "me@tokens.fly.io", "", machine.instance_id)
    with pytest.raises(LeaseHeld, match="lease currently held by me@tokens"):
        await stage.lifecycle.start(machine, source="proxy")
    stage.lifecycle.begin_start(machine)
    await stage.lifecycle.start(machine, source="proxy")

    assert machine.state == "started"


async def test_a_machine_that_the_runtime_cannot_start_is_failed_and_can_recover() -> None:
    stage = Stage()
    stage.deck.is_broken = True
    machine = stage.machine()
    await stage.reaches(machine, "failed")
    with pytest.raises(StartRefused, match="from current state: 'failed'"):
        await stage.lifecycle.start(machine)
    stage.deck.is_broken = False
    await stage.lifecycle.start(machine)

    assert machine.state == "started"
    assert machine.events[1].request == {"error": "no such image"}


async def test_a_crash_restarts_ten_times_and_then_stops() -> None:
    stage = Stage()
    machine = stage.machine()
    for _ in range(10):
        await stage.reaches(machine, "started")
        stage.deck.running.discard(machine.id)
        stage.lifecycle.exited(machine.id, 1)
        assert machine.state == "restarting"
    await stage.reaches(machine, "started")
    stage.lifecycle.exited(machine.id, 1)

    assert machine.state == "stopped"
    exits = [event.request or {} for event in machine.events if event.type == "exit"]
    assert len(exits) == 11
    assert exits[-1]["restart_count"] == 10
    assert exits[-1]["exit_event"]["requested_stop"] is False


@pytest.mark.parametrize(
    ("policy", "code", "state"),
    [
        ({}, 0, "stopped"),
        ({}, 1, "restarting"),
        ({"policy": "no"}, 1, "stopped"),
        ({"policy": "always"}, 0, "restarting"),
        ({"policy": "on-failure", "max_retries": 0}, 1, "stopped"),
    ],
)
async def test_the_restart_policy_decides_what_follows_an_exit(
    policy: dict[str, Any], code: int, state: str
) -> None:
    stage = Stage()
    machine = stage.machine(restart=policy)
    await stage.reaches(machine, "started")
    stage.lifecycle.exited(machine.id, code)

    assert machine.state == state


async def test_auto_destroy_destroys_after_the_last_exit() -> None:
    stage = Stage()
    machine = stage.machine(auto_destroy=True, restart={"policy": "no"})
    await stage.reaches(machine, "started")
    stage.lifecycle.exited(machine.id, 1)
    during = machine.state
    await stage.reaches(machine, "destroyed")

    assert during == "destroying"
    assert machine not in stage.app.living()


async def test_an_exit_during_the_start_counts() -> None:
    stage = Stage()
    machine = stage.machine(restart={"policy": "no"})
    await stage.reaches(machine, "starting")
    await asyncio.sleep(0.5)
    stage.lifecycle.exited(machine.id, 3)
    await stage.reaches(machine, "stopped")

    exits = [event.request or {} for event in machine.events if event.type == "exit"]
    assert exits[0]["exit_event"]["exit_code"] == 3


async def test_an_exit_of_a_machine_that_is_stopping_or_unknown_is_nothing_new() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    stage.lifecycle.stop(machine)
    stage.lifecycle.exited(machine.id, 1)
    stage.lifecycle.exited("nobody", 1)
    await stage.reaches(machine, "stopped")

    assert [event.type for event in machine.events].count("exit") == 1


async def test_a_stop_uses_the_configs_signal_and_timeout_unless_told() -> None:
    stage = Stage()
    machine = stage.machine(stop_config={"signal": "SIGTERM", "timeout": "1m30s"})
    await stage.lifecycle.start(machine)
    stage.lifecycle.stop(machine)
    await stage.lifecycle.start(machine)
    stage.lifecycle.stop(machine, signal="SIGHUP", timeout_s=2)
    await stage.reaches(machine, "stopped")

    assert stage.deck.stopped_with == [("SIGTERM", 90.0), ("SIGHUP", 2)]


async def test_moves_that_overtake_each_other_leave_nothing_running() -> None:
    stage = Stage(Deck(start_s=3, stop_s=3))
    machine = stage.machine()
    await asyncio.sleep(1)
    stage.lifecycle.stop(machine)
    await asyncio.sleep(0.01)
    stage.lifecycle.update(machine, config=machine.config, submitted={}, secrets={})
    await asyncio.sleep(0.01)
    stage.lifecycle.destroy(machine, force=True)
    await stage.reaches(machine, "destroyed")

    assert stage.deck.running == set()


async def test_an_update_while_starting_ends_started_in_the_new_version() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "starting")
    stage.lifecycle.update(machine, config={"image": "two"}, submitted={}, secrets={})
    await stage.reaches(machine, "started")

    assert stage.deck.running == {machine.id}
    assert machine.config == {"image": "two"}


async def test_closing_stops_everything_and_leaves_no_task() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    second = stage.machine()
    await stage.lifecycle.aclose()

    assert stage.deck.running == set()
    assert second.state == "created"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_only_the_latest_fifty_destroyed_machines_of_an_app_are_kept() -> None:
    stage = Stage()
    for _ in range(60):
        machine = stage.machine(skip_launch=True)
        stage.lifecycle.destroy(machine)
        await stage.reaches(machine, "destroyed")

    assert len(stage.app.machines) == len(stage.app.org.machines) == len(stage.world.machines) == 50
    assert machine.id in stage.app.machines


async def test_a_wait_that_gives_up_leaves_nothing_behind() -> None:
    stage = Stage()
    machine = stage.machine(skip_launch=True)
    await stage.reaches(machine, "stopped")

    assert not await stage.lifecycle.until(machine, lambda m: m.state == "failed", timeout_s=1)
    assert not machine.waiters


async def test_what_is_made_while_the_world_is_emptied_is_of_the_new_world() -> None:
    """It was taken out of the world once while its start went on, and ran with nobody to end it."""
    stage = Stage(Deck(stop_s=5))
    old = stage.machine()
    await stage.reaches(old, "started")
    emptied = asyncio.create_task(stage.lifecycle.clear())
    await asyncio.sleep(1)
    stage.app = stage.world.add_app("bob", org="acme")
    new = stage.machine()
    await emptied
    await stage.reaches(new, "started")

    assert (list(stage.world.machines), stage.deck.running) == ([new.id], {new.id})
    await stage.lifecycle.aclose()
    assert stage.deck.running == set()
