"""Waking machines: once for many, not against a lease or without autostart, and what refuses is dead."""

import asyncio

import pytest

from localfly import lease
from localfly.proxy.door import Attached, Door
from localfly.proxy.edge import ProxySettings
from localfly.world import Machine
from tests.localfly.backend import backend, replaying, saying
from tests.localfly.edge import Edge, edge, service

SHOP = [Door("127.0.0.1", 0, 443, "shop")]


def _starts(machine: Machine) -> list[str]:
    return [event.source for event in machine.events if event.type == "start" and event.status == "starting"]


def hold(fly: Edge, machine: Machine, ttl_s: int) -> None:
    """Somebody takes the machine's lease."""
    world, mine = fly.world, {"owner": "me@x", "description": ""}
    lease.take(machine, nonce=None, ttl_s=ttl_s, **mine, now=world.clock(), ids=world.ids)


async def test_fifty_requests_wake_a_stopped_machine_once() -> None:
    """All fifty are answered by the machine, whose history has one start, by the proxy."""
    async with backend(replaying("app=alice")) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        machine = await fly.machine("alice", is_asleep=True)
        answers = await asyncio.gather(*(fly.ask(f"/{at}") for at in range(50)))
        assert [answer.json()["machine"] for answer in answers] == [machine.id] * 50
        assert _starts(machine) == ["proxy"]
        assert machine.state == "started"


@pytest.mark.parametrize("autostart", [False, None])
async def test_without_autostart_nothing_is_woken(autostart: bool | None) -> None:
    """A stopped machine stays so; the client gets a 503 at the app's own door, a 502 after a replay."""
    async with (
        backend(replaying("app=shop")) as router,
        edge(router.attached("router"), doors=[*SHOP, Door("127.0.0.1", 0, 443, "router")]) as fly,
    ):
        fly.app("shop")
        machine = await fly.machine("shop", service(autostart=autostart), is_asleep=True)
        answers = [await fly.ask(door=door) for door in (0, 1)]
        assert [(answer.status_code, answer.content) for answer in answers] == [(503, b""), (502, b"")]
        assert machine.state == "stopped"
        assert "no autostart" in fly.errors("shop")[0]
        assert "no autostart" in fly.errors("router")[0]


async def test_a_lease_keeps_the_proxy_from_waking_a_machine() -> None:
    """While somebody else may change it, it stays asleep; the reason names the lease."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        machine = await fly.machine("shop", is_asleep=True)
        hold(fly, machine, 60)
        answer = await fly.ask()
        assert (answer.status_code, machine.state) == (503, "stopped")
        assert f"machine ID {machine.id} lease currently held by me@x" in fly.errors("shop")[0]


async def test_a_lease_that_ends_in_time_delays_the_wake_only() -> None:
    """A request waits for a short lease like for a slow machine."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        machine = await fly.machine("shop", is_asleep=True)
        hold(fly, machine, 3)
        assert (await fly.ask()).status_code == 200


async def test_what_runs_is_used_before_anything_is_woken() -> None:
    """With one machine up, the sleeping one stays asleep, however many requests come."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        asleep = await fly.machine("shop", is_asleep=True)
        awake = await fly.machine("shop")
        answers = await asyncio.gather(*(fly.ask() for _ in range(10)))
        assert {answer.json()["machine"] for answer in answers} == {awake.id}
        assert asleep.state == "stopped"


async def test_running_machines_share_requests_and_the_near_region_comes_first() -> None:
    """Machines of the proxy's own region take turns; one far away is for when they are gone."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        near = {(await fly.machine("shop")).id for _ in range(2)}
        far = await fly.machine("shop", region="syd")
        used = [(await fly.ask()).json()["machine"] for _ in range(6)]
        assert set(used) == near
        for machine in list(fly.world.apps["shop"].machines.values()):
            if machine is not far:
                fly.lifecycle.destroy(machine, force=True)
        assert (await fly.ask()).json()["machine"] == far.id


async def test_an_attached_backend_that_refuses_is_a_dead_machine() -> None:
    """Another one of the app answers; alone, it costs the give-up time and the reason is in the log."""
    dead = Attached("shop", "acme", 443, "127.0.0.1", 1)
    async with backend(saying("alive")) as alive, edge(dead, alive.attached("shop"), doors=SHOP) as fly:
        assert [(await fly.ask()).text for _ in range(4)] == ["alive"] * 4
    async with edge(dead, doors=SHOP, settings=ProxySettings(give_up_s=2)) as fly:
        began = fly.world.clock()
        answer = await fly.ask()
        assert (answer.status_code, answer.content) == (503, b"")
        assert 2 <= fly.world.clock() - began < 2.5
        assert fly.errors("shop")[0].startswith(
            f"[PC01] instance refused connection: machine {dead.machine_id}"
        )


async def test_a_backend_that_comes_back_within_the_give_up_time_serves_the_waiting() -> None:
    """A request that met a restarting program waits for it."""
    async with backend(saying("later")) as first:
        port = first.port
    async with edge(Attached("shop", "acme", 443, "127.0.0.1", port), doors=SHOP) as fly:
        asking = asyncio.create_task(fly.ask())
        await asyncio.sleep(1)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", port)
        assert (await asking).text == "back"
        server.close()


async def test_a_machine_that_is_being_replaced_is_waited_for() -> None:
    """An update under way delays the request; the new version answers it."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        machine = await fly.machine("shop")
        before = machine.instance_id
        fly.lifecycle.update(
            machine, config=machine.config, submitted=machine.config, skip_launch=False, secrets={}
        )
        answer = await fly.ask()
        assert answer.json()["version"] == machine.instance_id != before


async def test_a_visitor_of_a_machine_whose_host_is_lost_goes_to_another_one() -> None:
    """Also when the lost one still reads `started`, as it was last known."""
    async with edge(doors=SHOP) as fly:
        fly.app("shop")
        lost = await fly.machine("shop")
        other = await fly.machine("shop", is_asleep=True)
        fly.lifecycle.set_host_status(lost, "unreachable")
        answer = await fly.ask()
        assert (answer.json()["machine"], lost.state) == (other.id, "started")
