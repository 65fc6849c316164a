"""The built-in guest: listens while its machine runs, and says who it is and what it saw."""

import asyncio
import hashlib

import pytest

from tests.localfly.edge import Edge, edge, service


async def _ask(fly: Edge, machine_id: str, internal_port: int) -> dict[str, object]:
    where = fly.lifecycle.runtime.address(machine_id, internal_port)
    assert where
    answer = await fly.client.post(
        f"http://{where[0]}:{where[1]}/any/path?q=1", content=b"hello", headers={"x-a": "b"}
    )
    assert answer.status_code == 200
    told: dict[str, object] = answer.json()
    return told


async def test_the_guest_says_who_it_is_and_what_it_saw() -> None:
    """App, machine, region, version and port; method, path, headers, size and digest of the body."""
    async with edge(doors=[]) as fly:
        fly.app("shop")
        machine = await fly.machine("shop", region="syd")
        told = await _ask(fly, machine.id, 8080)
        saw = told.pop("saw")
        assert told == {
            "app": "shop",
            "machine": machine.id,
            "name": machine.name,
            "region": "syd",
            "version": machine.instance_id,
            "internal_port": 8080,
            "served": 1,
        }
        assert isinstance(saw, dict)
        assert (saw["method"], saw["path"]) == ("POST", "/any/path?q=1")
        assert ["x-a", "b"] in saw["headers"]
        assert saw["body"] == {"size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}


async def test_each_internal_port_listens_on_a_port_of_its_own() -> None:
    """Services and checks count; the same internal port of two machines does not collide."""
    async with edge(doors=[]) as fly:
        fly.app("shop")
        machines = [
            await fly.machine("shop", service(internal_port=8080), service(port=9090, internal_port=9090))
            for _ in range(2)
        ]
        places = {
            (m.id, port): fly.lifecycle.runtime.address(m.id, port) for m in machines for port in (8080, 9090)
        }
        assert len(set(places.values())) == 4
        for machine_id, port in places:
            assert (await _ask(fly, machine_id, port))["internal_port"] == port
        assert fly.lifecycle.runtime.address(machines[0].id, 1) is None


async def test_the_guest_is_deaf_when_its_machine_is_off() -> None:
    """A stopped machine listens nowhere; started again it listens anew, as the version of now."""
    async with edge(doors=[]) as fly:
        fly.app("shop")
        machine = await fly.machine("shop")
        where = fly.lifecycle.runtime.address(machine.id, 8080)
        assert where
        fly.lifecycle.stop(machine)
        assert await fly.lifecycle.until(machine, lambda m: m.state == "stopped", timeout_s=60)
        assert fly.lifecycle.runtime.address(machine.id, 8080) is None
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*where)
        await fly.lifecycle.start(machine)
        assert (await _ask(fly, machine.id, 8080))["machine"] == machine.id


async def test_the_guest_never_tells_the_environment() -> None:
    """Neither env nor secrets of the machine are in anything that it says."""
    async with edge(doors=[]) as fly:
        fly.app("shop")
        fly.world.set_secrets(fly.world.apps["shop"], {"KEY": "hush-key"})
        machine = await fly.machine("shop", env={"TOKEN": "hush-env"})
        assert machine.secrets["KEY"].value == "hush-key"
        assert "hush" not in str(await _ask(fly, machine.id, 8080))
