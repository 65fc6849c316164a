"""Rows 29 and 30 of the list of edge behaviours: WebSockets and streams."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import websockets
from websockets.asyncio.server import ServerConnection, serve

from localfly.proxy.websocket import Downstream
from tests.localfly.backend import Backend, Says, backend, replaying
from tests.localfly.edge import edge

MEGABYTE = bytes(range(256)) * 4096


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[Backend, list[ServerConnection]]]:
    """A WebSocket server that sends back whatever comes, and every connection that it had."""
    met: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        met.append(connection)
        async for message in connection:
            if message == "leave":
                await connection.close(4001, "told to")
            await connection.send(message)

    async with serve(handler, "127.0.0.1", 0, max_size=None, compression=None, ping_interval=None) as server:
        yield Backend(port=server.sockets[0].getsockname()[1]), met


def dial(port: int) -> websockets.connect:
    """A WebSocket client whose patience virtual time does not end."""
    return websockets.connect(
        f"ws://127.0.0.1:{port}/ws",
        max_size=None,
        compression=None,
        ping_interval=None,
        open_timeout=None,
        proxy=None,
    )


async def test_row_29_a_replayed_websocket_carries_a_megabyte_each_way_and_every_close() -> None:
    """The router hangs up, the target upgrades; the close of either side reaches the other one."""
    async with (
        echo() as (program, met),
        backend(replaying("app=second", ("connection", "close"))) as router,
        backend(replaying("app=target;state=s", ("connection", "close"))) as second,
        edge(router.attached("router"), second.attached("second"), program.attached("target")) as fly,
    ):
        async with dial(fly.ports[0]) as socket:
            await socket.send(MEGABYTE)
            assert await socket.recv() == MEGABYTE
            assert socket.response
            assert "fly-replay" not in socket.response.headers
            await socket.send("leave")
            with pytest.raises(websockets.ConnectionClosedError):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (4001, "told to")
        socket = await dial(fly.ports[0])
        await socket.close(4002, "my turn")
        await met[1].wait_closed()
        assert (met[1].close_code, met[1].close_reason) == (4002, "my turn")
        socket = await dial(fly.ports[0])
        socket.transport.abort()
        await asyncio.wait_for(met[2].wait_closed(), 10)
        assert met[2].close_code == 1006
        assert [len(seen.seen) for seen in (router, second)] == [3, 3]


@pytest.mark.parametrize("size", [5, 200, 70_000])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_row_29_a_close_frame_of_the_proxy_comes_between_two_frames(size: int, piece: int) -> None:
    """However the machine's bytes are cut, its frame under way is finished first, and nothing follows."""
    heads = {5: bytes([0x82, 5]), 200: b"\x82\x7e\x00\xc8", 70_000: b"\x82\x7f" + (70_000).to_bytes(8)}
    frame = heads[size] + b"x" * size
    out = bytearray()
    downstream = Downstream(out.extend)
    cut = len(frame) + 1
    for part in (frame * 3)[:cut], (frame * 3)[cut:]:
        for at in range(0, len(part), piece):
            downstream.pass_on(part[at : at + piece])
        downstream.leave()
    assert bytes(out) == frame * 2 + b"\x88\x02\x03\xe9"


async def test_row_30_a_stream_is_not_collected_and_its_reader_is_missed_when_it_leaves() -> None:
    """Through a replay the first event is there before the second is made; the app sees an abort."""
    second = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        yield b"data: first\n\n"
        await second.wait()
        yield b"data: second\n\n"
        while True:
            await asyncio.sleep(1)
            yield b": still here\n\n"

    async with (
        backend(replaying("app=app")) as router,
        backend(lambda _: Says(200, [("content-type", "text/event-stream")], events())) as app,
        edge(router.attached("router"), app.attached("app")) as fly,
    ):
        async with fly.client.stream("GET", f"http://127.0.0.1:{fly.ports[0]}/") as answer:
            pieces = answer.aiter_bytes()
            assert await anext(pieces) == b"data: first\n\n"
            second.set()
            assert await anext(pieces) == b"data: second\n\n"
            assert not app.lost.is_set()
        await asyncio.wait_for(app.lost.wait(), 10)
