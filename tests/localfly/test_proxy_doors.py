"""Which app a door leads to, by its flags and by Host, and what a port without an HTTP handler is."""

import pytest

from localfly.lifecycle import Lifecycle
from localfly.proxy.door import Attached, BadFlag, Door
from localfly.proxy.edge import Proxy
from localfly.runtime import LaptopRuntime
from localfly.world import World
from tests.localfly.backend import backend, saying
from tests.localfly.edge import edge, service


async def test_host_picks_an_app_and_unknown_hosts_go_to_the_doors_own() -> None:
    """`APP.fly.dev` is that app; others go to the app named with @, else to the first attached there."""
    doors = [Door("127.0.0.1", 0, 443), Door("127.0.0.1", 0, 443, "two")]
    async with (
        backend(saying("one")) as one,
        backend(saying("two")) as two,
        edge(one.attached("one"), two.attached("two"), doors=doors) as fly,
    ):
        hosts = ("x.example", "one.fly.dev", "TWO.fly.dev:8443", "two.fly.dev.")
        assert [(await fly.ask(host=host)).text for host in hosts] == ["one", "one", "two", "two"]
        assert [(await fly.ask(host=host, door=1)).text for host in hosts] == ["two", "one", "two", "two"]


async def test_a_host_of_no_app_gets_no_app() -> None:
    """A name below fly.dev that is nobody's is an empty 502, and so is a door without any app."""
    async with (
        backend(saying("one")) as one,
        edge(one.attached("one"), doors=[Door("127.0.0.1", 0, 443), Door("127.0.0.1", 0, 80)]) as fly,
    ):
        nobody, nothing = await fly.ask(host="nobody.fly.dev"), await fly.ask(door=1)
        assert [(answer.status_code, answer.content) for answer in (nobody, nothing)] == [(502, b"")] * 2


async def test_an_app_that_does_not_serve_the_port_closes_the_connection() -> None:
    """No service on the public port of the door: no answer at all, and a line in the app's log."""
    async with edge(doors=[Door("127.0.0.1", 0, 9090, "shop")]) as fly:
        fly.app("shop")
        await fly.machine("shop")
        async with fly.connection() as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert await reader.read() == b""
            assert fly.errors("shop") == ["[PR03] nothing from app shop serves port tcp/9090"]


async def test_a_private_app_is_reached_at_its_flycast_door_only() -> None:
    """The Host of an app behind a flycast door leads nowhere at a public one."""
    doors = [Door("127.0.0.1", 0, 443, "router"), Door("127.0.0.1", 0, 443, "gateway", is_flycast=True)]
    async with (
        backend(saying("router")) as router,
        backend(saying("gateway")) as gateway,
        edge(router.attached("router"), gateway.attached("gateway"), doors=doors) as fly,
    ):
        assert (await fly.ask(host="gateway.fly.dev")).status_code == 502
        assert (await fly.ask(host="gateway.flycast")).text == "router"
        assert (await fly.ask(host="gateway.flycast", door=1)).text == "gateway"
        assert (await fly.ask(host="anything", door=1)).text == "gateway"


async def test_an_app_behind_a_door_has_the_address_that_the_door_is() -> None:
    """A public door is a public address, a flycast door a private one; other apps have none."""
    doors = [Door("127.0.0.1", 0, 443, "router"), Door("127.0.0.1", 0, 9090, "gateway", is_flycast=True)]
    backends = [
        Attached("router", "acme", 443, "127.0.0.1", 1),
        Attached("gateway", "acme", 9090, "127.0.0.1", 2),
    ]
    async with edge(*backends, doors=doors) as fly:
        fly.app("alice")
        found = {name: [one.network for one in app.addresses] for name, app in fly.world.apps.items()}
        assert found == {"router": [None], "gateway": ["default"], "alice": []}
        assert fly.world.apps["gateway"].addresses[0].ip.startswith("fdaa:")


@pytest.mark.parametrize("handlers", [[], ["tls"]])
async def test_a_port_without_the_http_handler_is_bytes(handlers: list[str]) -> None:
    """The proxy adds no header to what goes in or to what comes out."""

    async with edge(doors=[Door("127.0.0.1", 0, 5432, "db")]) as fly:
        fly.app("db")
        await fly.machine("db", service(port=5432, handlers=handlers))
        async with fly.connection() as (reader, writer):
            writer.write(b"GET /raw HTTP/1.1\r\nHost: db\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            assert b"fly-client-ip" not in answer.lower()
            assert b"via:" not in answer.lower()
            assert b'"/raw"' in answer


async def test_a_raw_port_carries_what_is_not_http() -> None:
    """The bytes are the machine's to judge: it hangs up, and no 400 of the proxy comes."""
    async with edge(doors=[Door("127.0.0.1", 0, 5432, "db")]) as fly:
        fly.app("db")
        await fly.machine("db", service(port=5432, handlers=[]))
        async with fly.connection() as (reader, writer):
            writer.write(b"\x00\x00\x00\x08startup\r\n\r\n")
            assert await reader.read() == b""


async def test_picked_by_host_a_port_without_the_http_handler_is_verbatim_too() -> None:
    """At a door of another app the answer of a `tls` service comes as it is, with no header of the proxy."""
    async with backend(saying("front")) as front, edge(front.attached("front")) as fly:
        fly.app("raw")
        await fly.machine("raw", service(handlers=["tls"]))
        answer = await fly.ask(host="raw.fly.dev")
        assert "via" not in answer.headers
        assert "fly-client-ip" not in dict(answer.json()["saw"]["headers"])


async def test_one_app_behind_a_public_and_a_flycast_door_is_refused_at_start() -> None:
    """The error names the door, the app, and why Fly would expose it."""
    doors = [Door("127.0.0.1", 8443, 443), Door("127.0.0.1", 9090, 9090, is_flycast=True)]
    attached = [Attached("router", "acme", port, "127.0.0.1", 1) for port in (443, 9090)]
    world = World(lambda: 0.0)
    with pytest.raises(BadFlag, match=r"app router is also behind the public door .*exposes every service"):
        Proxy(
            world,
            Lifecycle(world, LaptopRuntime({}, exited=_unheard, output=_unheard)),
            doors=doors,
            attached=attached,
            log=_unheard,
        )


async def test_an_attached_app_cannot_be_in_two_organisations() -> None:
    """App names are unique on all of Fly."""
    world = World(lambda: 0.0)
    attached = [Attached("router", org, 443, "127.0.0.1", 1) for org in ("acme", "other")]
    with pytest.raises(BadFlag, match="router is in organisation acme"):
        Proxy(
            world,
            Lifecycle(world, LaptopRuntime({}, exited=_unheard, output=_unheard)),
            doors=[],
            attached=attached,
            log=_unheard,
        )


def _unheard(*line: object, **more: object) -> None:
    raise AssertionError(line, more)
