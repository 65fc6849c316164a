"""WebSockets through a door: the upgrade is the target's to take, bytes go both ways, an end is an end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import websockets
from websockets.asyncio.server import ServerConnection, serve

from localfly.proxy.door import Attached
from tests.localfly.backend import backend, replaying
from tests.localfly.edge import edge

MEGABYTE = bytes(range(256)) * 4096


@contextlib.asynccontextmanager
async def echo(app: str) -> AsyncIterator[tuple[Attached, list[ServerConnection]]]:
    """An app that sends back whatever comes, and every connection that it had."""
    met: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        met.append(connection)
        async for message in connection:
            if message == "leave":
                await connection.close(4001, "told to")
            await connection.send(message)

    async with serve(handler, "127.0.0.1", 0, max_size=None, compression=None, ping_interval=None) as server:
        yield Attached(app, "acme", 443, "127.0.0.1", server.sockets[0].getsockname()[1]), met


def _connect(port: int) -> websockets.connect:
    url = f"ws://127.0.0.1:{port}/ws?a=b"
    return websockets.connect(
        url, max_size=None, compression=None, ping_interval=None, open_timeout=None, proxy=None
    )


@pytest.mark.parametrize("is_replayed", [False, True])
async def test_a_websocket_carries_a_megabyte_each_way(is_replayed: bool) -> None:
    """Directly and through a replay: the target takes the upgrade, with the state of the router."""
    async with (
        echo("app") as (app, met),
        backend(replaying("app=app;state=s", ("connection", "close"))) as router,
        edge(*([router.attached("router")] if is_replayed else []), app) as fly,
        _connect(fly.ports[0]) as socket,
    ):
        for message in (MEGABYTE, "text", b""):
            await socket.send(message)
            assert await socket.recv() == message
        assert socket.response
        assert "fly-replay" not in socket.response.headers
        assert socket.response.headers["via"].startswith("1.1 fly.io")
        request = met[0].request
        assert request
        assert request.path == "/ws?a=b"
        assert request.headers.get("fly-replay-src", "").endswith(";state=s") is is_replayed
        assert request.headers["fly-client-ip"] == "127.0.0.1"


async def test_a_close_of_the_target_reaches_the_client_and_back() -> None:
    """Close code and reason pass through; both sides end."""
    async with echo("app") as (app, met), edge(app) as fly:
        async with _connect(fly.ports[0]) as socket:
            await socket.send("leave")
            with pytest.raises(websockets.ConnectionClosedError):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (4001, "told to")
        await met[0].wait_closed()


async def test_a_client_that_vanishes_ends_the_socket_at_the_target() -> None:
    """Without a close frame the target still sees the end."""
    async with echo("app") as (app, met), edge(app) as fly:
        socket = await _connect(fly.ports[0])
        await socket.send("hello")
        await socket.recv()
        socket.transport.abort()
        await asyncio.wait_for(met[0].wait_closed(), 10)
        assert met[0].close_code == 1006


async def test_a_refused_upgrade_is_an_ordinary_answer() -> None:
    """A target that does not take the upgrade answers, and the connection goes on as HTTP."""
    async with backend(replaying("app=app")) as router, edge(router.attached("router")) as fly:
        fly.app("app")
        machine = await fly.machine("app")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await _connect(fly.ports[0])
        assert refused.value.response.status_code == 200
        assert machine.id.encode() in (refused.value.response.body or b"")
