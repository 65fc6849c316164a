"""On a real socket: what was surely not sent may be repeated, of anything else the effect is unknown."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import trustme

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
        with pytest.raises(CouldNotAsk, match=f"no answer from http://127.0.0.1:{port}: Cannot"):
            await create(fly)


async def ask(url: str, *, connect_s: float = 5.0, answer_s: float = 5.0) -> None:
    """One create, once: nothing is repeated."""
    timeout = httpx.Timeout(answer_s, connect=connect_s)
    async with httpx.AsyncClient(transport=Transport(), trust_env=False, timeout=timeout) as http:
        await http.post(url, json={"name": "web-0"})


@pytest.mark.wire
async def test_a_name_that_leads_nowhere_is_no_connection() -> None:
    """Not a matter of time, so no time is told."""
    with pytest.raises(httpx.ConnectError, match=r"no-such-host\.invalid"):
        await ask("http://no-such-host.invalid/v1/apps")


@pytest.mark.wire
async def test_a_certificate_that_nobody_vouches_for_is_no_connection() -> None:
    """Nothing is sent to whoever cannot prove who it is."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/apps")
    assert not any(heard)


@pytest.mark.wire
async def test_a_server_that_speaks_no_tls_is_no_connection() -> None:
    """An address with the wrong scheme."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.read(1))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        with pytest.raises(httpx.ConnectError):
            await ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/apps")
    assert heads == [b"\x16"]  # a TLS greeting, and nothing of the request


@pytest.mark.wire
async def test_a_connection_that_does_not_come_about_in_time_was_not_sent() -> None:
    """The one that is told with its seconds."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # nobody accepts: the queue is full, and who comes next waits
            other = sockets.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(listening.getsockname())
        with pytest.raises(httpx.ConnectTimeout):
            await ask(f"http://127.0.0.1:{listening.getsockname()[1]}/v1/apps", connect_s=0.2)


@pytest.mark.wire
async def test_an_answer_that_does_not_come_in_time_is_a_lost_one() -> None:
    """It was sent, and the effect is not known."""

    is_over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client gives up
        writer.close()
        is_over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        with pytest.raises(httpx.ReadTimeout):
            await ask(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/apps", answer_s=0.2)
        await is_over.wait()
