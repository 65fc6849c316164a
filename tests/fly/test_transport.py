"""On a real socket: what was surely not sent may be repeated, of anything else the effect is unknown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from reconciler.fly.client import FlyClient
from reconciler.fly.errors import Ambiguous, CouldNotAsk
from reconciler.fly.pace import Pace
from reconciler.fly.transport import Transport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MACHINE = b'{"id": "m1", "name": "web-0"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


@asynccontextmanager
async def fly_on(port: int) -> AsyncIterator[FlyClient]:
    """A client on the real transport."""
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(transport=Transport(), base_url=base, trust_env=False) as http:
        yield FlyClient(http, token="made-up", pace=Pace())


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[tuple[FlyClient, list[bytes]]]:
    """A server that does with each request what `serve` does, and the heads of all requests."""
    heads: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head.partition(b"\r\n")[0])
                await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server, fly_on(server.sockets[0].getsockname()[1]) as fly:
        yield fly, heads


async def create(fly: FlyClient) -> object:
    return await fly.create_machine("alice", name="web-0", region="iad", config={"image": "img"})


@pytest.mark.wire
async def test_an_answer_arrives() -> None:
    """Status, headers and body as with httpx's own."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER % (len(MACHINE), MACHINE))

    async with served(serve) as (fly, heads):
        assert (await fly.get_machine("alice", "m1")).name == "web-0"
        assert (await fly.get_machine("alice", "m1")).name == "web-0"
        assert heads == [b"GET /v1/apps/alice/machines/m1 HTTP/1.1"] * 2


@pytest.mark.wire
@pytest.mark.parametrize("told", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", ANSWER % (500, MACHINE)])
async def test_a_connection_that_ends_under_a_create_is_a_lost_answer(told: bytes) -> None:
    """Never taken for one that did not come about: the create may have happened, and is not repeated."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(told)
        await writer.drain()
        raise ConnectionError

    async with served(serve) as (fly, heads):
        with pytest.raises(Ambiguous):
            await create(fly)
        assert len(heads) == 1


@pytest.mark.wire
async def test_a_reset_under_a_create_is_a_lost_answer() -> None:
    """A connection that is torn down, not closed."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.abort()

    async with served(serve) as (fly, heads):
        with pytest.raises(Ambiguous):
            await create(fly)
        assert len(heads) == 1


@pytest.mark.wire
async def test_an_answer_that_is_no_http_is_a_lost_answer() -> None:
    """Somebody else's server listens there."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    async with served(serve) as (fly, heads):
        with pytest.raises(Ambiguous):
            await create(fly)
        assert len(heads) == 1


@pytest.mark.wire
async def test_a_connection_that_is_refused_was_surely_not_sent() -> None:
    """It is repeated, and then told with where it was to go."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with fly_on(port) as fly:
        with pytest.raises(CouldNotAsk, match=f"no answer from http://127.0.0.1:{port}"):
            await create(fly)
