"""Rows 31 to 35 of the list of edge behaviours: waking, stopping, limits, checks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from localfly.proxy.door import Door
from localfly.proxy.edge import ProxySettings
from localfly.world import Machine
from tests.localfly.backend import Backend, Saw, Says, backend, replaying, saying
from tests.localfly.edge import Edge, edge, service
from tests.localfly.test_edge_rows_streams import dial, echo

SHOP = [Door("127.0.0.1", 0, 443, "shop")]
PASS_S = 300.0  # between two passes of autostop
WAYS_TO_FAIL: dict[str, dict[str, Any]] = {
    "no autostart": {"autostart": False},
    "autostart not named": {"autostart": None},
}


def starts(machine: Machine) -> list[str]:
    """Who began each start in the history."""
    return [event.source for event in machine.events if (event.type, event.status) == ("start", "starting")]


class Gates:
    """One event per request in order of arrival; its answer waits for it."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._gates: list[asyncio.Event] = []

    def __len__(self) -> int:
        return len(self._gates)

    def arrive(self) -> asyncio.Event:
        """Another request is there."""
        self._gates.append(asyncio.Event())
        self._news.set()
        return self._gates[-1]

    async def met(self, count: int) -> None:
        """Wait until that many requests have arrived."""
        while len(self._gates) < count:
            self._news.clear()
            await self._news.wait()

    def open(self, at: int | None = None) -> None:
        """Let one of them be answered, or all."""
        for gate in self._gates if at is None else [self._gates[at]]:
            gate.set()


@contextlib.asynccontextmanager
async def slow() -> AsyncIterator[tuple[Backend, Gates]]:
    """A program whose answers wait."""
    gates = Gates()

    def answer(_: Saw) -> Says:
        gate = gates.arrive()

        async def body() -> AsyncIterator[bytes]:
            await gate.wait()
            yield b"done"

        return Says(200, [], body())

    async with backend(answer) as program:
        yield program, gates


async def test_row_31_fifty_requests_at_once_make_one_start_by_the_proxy() -> None:
    """All are answered by the machine that was asleep; its history has one start, source `proxy`."""
    async with backend(replaying("app=shop")) as router, edge(router.attached("router")) as fly:
        fly.app("shop")
        machine = await fly.machine("shop", is_asleep=True)
        answers = await asyncio.gather(*(fly.ask(f"/{at}") for at in range(50)))
        assert [answer.json()["machine"] for answer in answers] == [machine.id] * 50
        assert starts(machine) == ["proxy"]


async def test_row_31_a_suspended_machine_is_woken_with_its_memory() -> None:
    """Its count of served requests goes on where it stood."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        machine = await fly.machine("shop")
        assert (await fly.ask()).json()["served"] == 1
        fly.lifecycle.suspend(machine)
        assert await fly.lifecycle.until(machine, lambda one: one.state == "suspended", timeout_s=10)
        assert (await fly.ask()).json()["served"] == 2
        assert starts(machine) == ["proxy"]


@pytest.mark.parametrize("is_replayed", [False, True])
@pytest.mark.parametrize("why", ["no autostart", "autostart not named", "start fails", "never listens"])
async def test_row_32_what_cannot_be_started_or_never_listens_is_an_error_with_its_code(
    why: str, is_replayed: bool
) -> None:
    """503 at the app's own door, 502 after a replay, both empty; PM or PC in the log of who asked."""
    async with (
        backend(saying("gone")) as gone,
        backend(replaying("app=shop")) as router,
        edge(router.attached("router"), doors=[*SHOP, Door("127.0.0.1", 0, 443, "router")]) as fly,
    ):
        gone.port = 1
        fly.app("shop")
        options: dict[str, Any] = {"program": gone} if why == "never listens" else {}
        if why == "start fails":
            machine = await fly.machine("shop", is_asleep=True)
            fly.world.touch(machine)
            machine.host_status = "unreachable"
        else:
            machine = await fly.machine(
                "shop", service(**WAYS_TO_FAIL.get(why, {})), is_asleep=True, **options
            )
        answer = await fly.ask(door=int(is_replayed))
        assert (answer.status_code, answer.content) == (502 if is_replayed else 503, b"")
        line = fly.errors("router" if is_replayed else "shop")[0]
        code, text = {
            "no autostart": ("PM01", "has no autostart"),
            "autostart not named": ("PM01", "has no autostart"),
            "start fails": ("PM01", "cannot be started"),
            "never listens": ("PC01", "instance refused connection"),
        }[why]
        assert line.startswith(f"[{code}]")
        assert text in line
        assert (machine.state == "started") is (why == "never listens")


async def _pass(fly: Edge, count: int = 1) -> None:
    """Let that many passes of autostop happen, and what they begin end."""
    await fly.world.clock.sleep(PASS_S * count)
    await fly.world.clock.sleep(10)


def _up(*machines: Machine) -> list[bool]:
    return [machine.state == "started" for machine in machines]


async def test_row_33_one_machine_of_each_region_is_stopped_in_each_pass() -> None:
    """Three idle ones in one region go one by one; the last only as it has no traffic at all."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        near = [await fly.machine("shop", service(autostop=True)) for _ in range(3)]
        far = [await fly.machine("shop", service(autostop=True), region="syd") for _ in range(2)]
        counts = []
        for _ in range(4):
            await _pass(fly)
            counts.append((sum(_up(*near)), sum(_up(*far))))
        assert counts == [(2, 1), (1, 0), (0, 0), (0, 0)]
        assert {event.source for one in near for event in one.events if event.type == "stop"} == {"proxy"}


@pytest.mark.parametrize(("busy", "left"), [(0, 1), (1, 2), (2, 3), (3, 3)])
async def test_row_33_as_many_machines_stay_as_are_over_their_soft_limit_and_one_more(
    busy: int, left: int
) -> None:
    """Of three machines, by how many are at their soft limit of one; the idle ones are those that go."""
    async with slow() as (program, gates), edge(doors=SHOP) as fly:
        fly.app("shop")
        limits = {"soft_limit": 1}
        machines = [
            await fly.machine("shop", service(autostop=True, concurrency=limits), program=program)
            for _ in range(3)
        ]
        asking = [asyncio.create_task(fly.ask()) for _ in range(busy)]
        await gates.met(busy)
        await _pass(fly, count=2)
        assert sum(_up(*machines)) == left
        gates.open()
        assert [(await one).text for one in asking] == ["done"] * busy


async def test_row_33_a_machine_that_is_alone_stays_while_it_has_any_load() -> None:
    """A request at work or since the last pass, and an open WebSocket, keep it; then it goes."""
    async with slow() as (program, gates), echo() as (socketeer, _), edge(doors=SHOP) as fly:
        fly.app("shop")
        machine = await fly.machine("shop", service(autostop=True), program=program)
        asking = asyncio.create_task(fly.ask())
        await gates.met(1)
        await _pass(fly, count=3)
        assert _up(machine) == [True]
        gates.open(0)
        await asking
        await _pass(fly)
        assert _up(machine) == [True]
        await _pass(fly)
        assert _up(machine) == [False]
        fly.lifecycle.destroy(machine, force=True)
        machine = await fly.machine("shop", service(autostop=True), program=socketeer)
        async with dial(fly.ports[0]) as socket:
            await _pass(fly, count=4)
            assert _up(machine) == [True]
            await socket.send("still here")
            assert await socket.recv() == "still here"
        await _pass(fly, count=2)
        assert _up(machine) == [False]


async def test_row_33_open_websockets_hear_that_their_machine_goes_away() -> None:
    """Of two machines one is spare: its socket ends with 1001, and no new request goes there."""
    async with echo() as (program, _), edge(doors=SHOP) as fly:
        fly.app("shop")
        machines = [await fly.machine("shop", service(autostop=True), program=program) for _ in range(2)]
        sockets = [await dial(fly.ports[0]) for _ in range(2)]
        await _pass(fly)
        assert sorted(_up(*machines)) == [False, True]
        ended = [socket for socket in sockets if socket.close_code is not None]
        assert [socket.close_code for socket in ended] == [1001]
        kept = next(socket for socket in sockets if socket not in ended)
        await kept.send("still here")
        assert await kept.recv() == "still here"
        await kept.close()


@pytest.mark.parametrize(
    ("autostop", "memory_mb", "state"),
    [
        ("suspend", 256, "suspended"),
        ("suspend", 4096, "stopped"),
        (True, 256, "stopped"),
        (False, 256, "started"),
    ],
)
async def test_row_33_the_service_says_whether_it_is_stopped_suspended_or_left(
    autostop: str | bool, memory_mb: int, state: str
) -> None:
    """What cannot be suspended, above 2 GB, is stopped."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        machine = await fly.machine("shop", service(autostop=autostop), guest={"memory_mb": memory_mb})
        await _pass(fly, count=2)
        assert machine.state == state


async def test_row_33_the_primary_region_keeps_its_least_number() -> None:
    """`min_machines_running` counts where PRIMARY_REGION says, and nowhere else."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        options = service(autostop=True, min_machines_running=1)
        near = [await fly.machine("shop", options, env={"PRIMARY_REGION": "iad"}) for _ in range(2)]
        far = [await fly.machine("shop", options, env={"PRIMARY_REGION": "iad"}, region="syd")]
        await _pass(fly, count=5)
        assert (sum(_up(*near)), sum(_up(*far))) == (1, 0)


async def test_row_34_a_request_beyond_the_hard_limit_waits_for_room() -> None:
    """Limit 1 and one machine: the second request is at the machine only when the first has ended."""
    async with slow() as (program, gates), edge(doors=SHOP) as fly:
        fly.app("shop")
        await fly.machine("shop", service(concurrency={"hard_limit": 1}), program=program)
        asking = [asyncio.create_task(fly.ask()) for _ in range(2)]
        await gates.met(1)
        await asyncio.sleep(3)
        assert len(gates) == 1
        gates.open(0)
        await gates.met(2)
        gates.open(1)
        assert [(await one).text for one in asking] == ["done"] * 2


@pytest.mark.parametrize("is_replayed", [False, True])
async def test_row_34_who_waits_too_long_at_the_hard_limit_gets_503(is_replayed: bool) -> None:
    """An empty 503 after the give-up time, with PR01 in the log; the request under way is not touched."""
    doors = [*SHOP, Door("127.0.0.1", 0, 443, "router")]
    async with (
        slow() as (program, gates),
        backend(replaying("app=shop")) as router,
        edge(router.attached("router"), doors=doors, settings=ProxySettings(give_up_s=2)) as fly,
    ):
        fly.app("shop")
        await fly.machine("shop", service(concurrency={"hard_limit": 1}), program=program)
        first = asyncio.create_task(fly.ask())
        await gates.met(1)
        began = fly.world.clock()
        answer = await fly.ask(door=int(is_replayed))
        assert (answer.status_code, answer.content) == (503, b"")
        assert 2 <= fly.world.clock() - began < 2.5
        assert fly.errors("router" if is_replayed else "shop")[0].startswith("[PR01]")
        gates.open(0)
        assert (await first).text == "done"


async def test_row_34_above_the_soft_limit_another_machine_is_preferred_or_woken() -> None:
    """Far machines help a full region; when all that run are at their soft limit a near one is woken."""
    async with slow() as (program, gates), edge(doors=SHOP) as fly:
        fly.app("shop")
        limits = service(concurrency={"soft_limit": 1, "hard_limit": 2})
        near = await fly.machine("shop", limits, program=program)
        asleep = await fly.machine("shop", limits, program=program, is_asleep=True)
        far = await fly.machine("shop", limits, program=program, region="syd")
        asking: list[asyncio.Task[Any]] = []
        states = []
        for count in range(1, 7):
            asking.append(asyncio.create_task(fly.ask()))
            await gates.met(count)
            states.append(asleep.state)
        assert states == ["stopped"] * 3 + ["started"] * 3
        assert _up(near, far) == [True, True]
        gates.open()
        assert [(await one).text for one in asking] == ["done"] * 6


async def test_row_35_a_failing_service_check_moves_traffic_and_a_top_level_one_does_not() -> None:
    """The machine is neither stopped nor restarted, and is used again when the check passes."""
    is_well = {"service": True, "own": True}

    def answer(kind: str) -> Any:
        return lambda saw: Says(200 if saw.path != f"/{kind}" or is_well[kind] else 500, [], b"here")

    check = {"type": "http", "path": "/service", "interval": "5s", "grace_period": "1s"}
    async with (
        backend(answer("service")) as checked,
        backend(answer("own")) as other,
        edge(doors=SHOP) as fly,
    ):
        fly.app("shop")
        one = await fly.machine("shop", service(checks=[check]), program=checked)
        own = {"alive": {"type": "http", "port": 8080, "path": "/own", "interval": "5s"}}
        two = await fly.machine("shop", service(), program=other, checks=own)

        async def used() -> set[str]:
            before = [len([saw for saw in app.seen if saw.path == "/"]) for app in (checked, other)]
            for _ in range(4):
                await fly.ask()
            after = [len([saw for saw in app.seen if saw.path == "/"]) for app in (checked, other)]
            return {name for name, old, new in zip(("one", "two"), before, after, strict=True) if new > old}

        await fly.world.clock.sleep(10)
        assert await used() == {"one", "two"}
        is_well["service"] = is_well["own"] = False
        await fly.world.clock.sleep(10)
        assert two.checks["alive"].status == "critical"
        assert await used() == {"two"}
        assert [machine.state for machine in (one, two)] == ["started", "started"]
        assert starts(one) == []
        is_well["service"] = True
        await fly.world.clock.sleep(10)
        assert await used() == {"one", "two"}


async def test_row_35_a_cordoned_machine_gets_no_traffic() -> None:
    """It runs on, and counts again when the cordon is lifted."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        one, two = await fly.machine("shop"), await fly.machine("shop")
        for cordoned, expected in ((one, {two.id}), (two, {one.id})):
            cordoned.is_cordoned = True
            assert {(await fly.ask()).json()["machine"] for _ in range(4)} == expected
            cordoned.is_cordoned = False
        assert {(await fly.ask()).json()["machine"] for _ in range(4)} == {one.id, two.id}
