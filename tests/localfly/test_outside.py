"""Programs that others wrote, through a localfly that runs, a router's replay and a public door."""

import asyncio
import contextlib
import hashlib
import shutil
import socket
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
import websockets
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.server.fastmcp import FastMCP
from mcp.types import TextContent
from websockets.asyncio.server import ServerConnection, serve

from localfly.serve import answering
from tests.localfly.backend import Backend, Saw, Says, backend, replaying
from tests.wire import PYTHON, Program, finished, started

pytestmark = pytest.mark.wire

LOCALFLY = (PYTHON, "-m", "localfly", "--api", "127.0.0.1:0", "--token", "t", "--org", "acme")
MEGABYTE = bytes(range(256)) * 4096


@contextlib.asynccontextmanager
async def public(target: Backend, *flags: str) -> AsyncIterator[tuple[str, Program]]:
    """The URL of a door whose router replays everything to the target, and the localfly behind it."""
    async with backend(replaying("app=target;state=s;timeout=5s")) as router:
        attached = (
            *("--listen", "127.0.0.1:0=80@router", "--attach", f"router@acme:80=127.0.0.1:{router.port}"),
            *("--attach", f"target@acme:80=127.0.0.1:{target.port}"),
        )
        async with started(*LOCALFLY, *attached, *flags) as program:
            await program.said("^localfly ready$")
            yield (await program.said(r"^localfly door (\S+) "))[1], program


def telling(saw: Saw) -> Says:
    """An app that tells size and digest of what it got, and the path."""
    digest = hashlib.sha256(saw.body).hexdigest()
    return Says(200, [], f"{saw.path} {len(saw.body)} {digest}".encode())


async def test_the_websockets_library_talks_to_itself_through_a_replay() -> None:
    """Client and server with their own defaults: compression, pings, a megabyte each way, a close code."""

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)
        assert connection.close_code == 4000

    async with serve(handler, "127.0.0.1", 0, max_size=None, ping_interval=0.1) as server:
        target = Backend(port=server.sockets[0].getsockname()[1])
        async with public(target) as (url, _):
            address = url.replace("http", "ws") + "/socket"
            async with websockets.connect(address, max_size=None, proxy=None, ping_interval=0.1) as client:
                for message in (MEGABYTE, "words", b""):
                    await client.send(message)
                    assert await client.recv() == message
                await (await client.ping())
                await client.close(4000)


async def test_mcp_client_and_server_work_through_a_replay() -> None:
    """A streamable-HTTP MCP server behind the public service: tools are listed and called."""
    tools = FastMCP("tools")

    @tools.tool()
    def add(first: int, second: int) -> int:
        """The sum."""
        return first + second

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        async with (
            asgi(tools, listener),
            public(Backend(port=port)) as (url, _),
            streamable_http_client(f"{url}/mcp") as (read, write, _session_id),
            ClientSession(read, write) as session,
        ):
            told = await session.initialize()
            assert told.serverInfo.name == "tools"
            assert [tool.name for tool in (await session.list_tools()).tools] == ["add"]
            for first in range(5):
                result = await session.call_tool("add", {"first": first, "second": 2})
                content = result.content[0]
                assert isinstance(content, TextContent)
                assert content.text == str(first + 2)


async def test_server_sent_events_arrive_one_by_one_and_an_abort_is_noticed() -> None:
    """The second event is made only after the first was read; the app loses its reader."""
    read = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        yield b"event: a\ndata: 1\n\n"
        await read.wait()
        yield b"event: b\ndata: 2\n\n"
        await asyncio.Event().wait()

    answer = Says(200, [("content-type", "text/event-stream")], events())
    async with backend(lambda _: answer) as app, public(app) as (url, _):
        async with httpx.AsyncClient() as client, client.stream("GET", url, timeout=10) as stream:
            lines = stream.aiter_lines()
            assert [await anext(lines) for _ in range(3)] == ["event: a", "data: 1", ""]
            read.set()
            assert await anext(lines) == "event: b"
        await asyncio.wait_for(app.lost.wait(), 10)


async def test_uploads_pass_up_to_the_limit_of_a_replay_and_no_further() -> None:
    """900 kB with and without a length arrive whole; a chunked one over the limit is a 502 and PA01."""
    body = MEGABYTE[:900_000]
    told = f"/up 900000 {hashlib.sha256(body).hexdigest()}"

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for at in range(0, size, 50_000):
            yield (MEGABYTE * 2)[at : at + 50_000]

    async with (
        backend(telling) as app,
        public(app) as (url, program),
        httpx.AsyncClient(timeout=10) as client,
    ):
        assert (await client.post(f"{url}/up", content=body)).text == told
        assert (await client.post(f"{url}/up", content=chunks(900_000))).text == told
        refused = await client.post(f"{url}/up", content=chunks(1_500_000))
        assert (refused.status_code, refused.content) == (502, b"")
        await program.said(r"\[PA01\]")
        assert len(app.seen) == 2


async def test_clients_of_every_age_are_served() -> None:
    """HTTP/1.0, one connection for many requests, and many requests before the first answer."""
    async with backend(telling) as app, public(app) as (url, _):
        if curl := shutil.which("curl"):
            done = await finished(curl, "-sS", "--http1.0", f"{url}/old")
            assert (done.code, done.out[:7]) == (0, "/old 0 ")
        head, _, text = (await exchange(url, [b"GET /old HTTP/1.0\r\n\r\n"])).partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert text.startswith(b"/old 0 ")
        async with httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=1)) as client:
            for at in range(20):
                assert (await client.get(f"{url}/{at}")).text.startswith(f"/{at} 0 ")
        pipelined = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % at for at in range(20)]
        last = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answers = await exchange(url, [*pipelined, last])
        assert answers.count(b"HTTP/1.1 200 ") == 21
        places = [answers.index(b"/%d 0 " % at) for at in range(20)]
        assert places == sorted(places)


@contextlib.asynccontextmanager
async def asgi(tools: FastMCP, listener: socket.socket) -> AsyncIterator[None]:
    """Serve the tools over streamable HTTP on that socket."""
    app = tools.streamable_http_app()
    async with tools.session_manager.run(), answering(app, listener):
        yield


async def exchange(url: str, requests: Sequence[bytes]) -> bytes:
    """Everything that comes back for these bytes until the connection ends."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"".join(requests))
    try:
        return await asyncio.wait_for(reader.read(-1), 10)
    finally:
        writer.close()
