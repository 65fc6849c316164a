"""HTTP itself through a door: streams both ways, long connections, clients that leave or talk nonsense."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from localfly.proxy.edge import ProxySettings
from tests.localfly.backend import Says, backend, raw, replaying, saying
from tests.localfly.edge import edge, service

NONSENSE = (
    b"GARBAGE\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 4 + b"\r\n\r\n",
)


@pytest.mark.parametrize("sent", NONSENSE)
async def test_what_is_not_a_request_gets_a_400(sent: bytes) -> None:
    """Malformed heads and bodies, TLS on a plain door, requests for elsewhere: none reaches the app."""
    async with (
        backend(saying("ok")) as app,
        edge(app.attached("app")) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(sent)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        assert app.seen == []


async def test_another_version_of_http_is_refused() -> None:
    """HTTP/2 without TLS begins with a line that says so: 505."""
    async with (
        backend(saying("ok")) as app,
        edge(app.attached("app")) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 505 ")


async def test_a_head_without_end_is_refused() -> None:
    """A request head beyond 64 KiB is answered 431, not collected for ever."""
    async with (
        backend(saying("ok")) as app,
        edge(app.attached("app")) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")


async def test_one_connection_carries_request_after_request() -> None:
    """Kept alive, and pipelined without waiting: every answer comes, in order."""
    async with (
        backend(lambda saw: Says(200, [], saw.path.encode())) as app,
        edge(app.attached("app")) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % at for at in range(5)))
        writer.write(b"POST /last HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
        everything = await reader.read()
        assert everything.count(b"HTTP/1.1 200") == 6
        assert [saw.path for saw in app.seen] == ["/0", "/1", "/2", "/3", "/4", "/last"]
        assert [everything.index(b"/%d\r\n" % at) for at in range(5)] == sorted(
            everything.index(b"/%d\r\n" % at) for at in range(5)
        )


async def test_http_1_0_is_answered_and_closed() -> None:
    """No Host, no chunks: the app gets its own name, the client a body that the connection ends."""
    async with (
        backend(lambda _: Says(200, [], b"plain")) as app,
        edge(app.attached("app")) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert body == b"plain"
        assert b"chunked" not in head
        assert app.seen[0].header("host") == "app.fly.dev"


@pytest.mark.parametrize(("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD")])
async def test_answers_without_a_body_do_not_hang(status: int, method: str) -> None:
    """204, 304 and every answer to HEAD end with their head; the next request on the connection works."""
    async with (
        backend(lambda _: Says(status, [("content-length", "7")] if status != 204 else [])) as app,
        edge(app.attached("app")) as fly,
    ):
        for _ in range(2):
            answer = await fly.ask(method=method)
            assert (answer.status_code, answer.content) == (status, b"")


async def test_an_answer_streams_without_being_collected() -> None:
    """The first event arrives while the app has not made the last one yet."""
    may_end = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        yield b"data: first\n\n"
        await may_end.wait()
        yield b"data: last\n\n"

    async with (
        backend(replaying("app=app")) as router,
        backend(lambda _: Says(200, [("content-type", "text/event-stream")], events())) as app,
        edge(router.attached("router"), app.attached("app")) as fly,
        fly.client.stream("GET", f"http://127.0.0.1:{fly.ports[0]}/") as answer,
    ):
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"data: first\n\n"
        may_end.set()
        assert await anext(pieces) == b"data: last\n\n"


async def test_a_request_streams_without_being_collected() -> None:
    """The app sees the first byte of an upload before the client has sent the last."""
    arrived = asyncio.Event()

    async def read_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        arrived.set()
        await reader.readuntil(b"last")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nboth")

    async def upload() -> AsyncIterator[bytes]:
        yield b"first"
        await arrived.wait()
        yield b"last"

    async with raw(read_slowly) as app, edge(app.attached("app")) as fly:
        assert (await fly.ask(method="POST", content=upload())).text == "both"


async def test_a_client_that_leaves_ends_the_request_at_the_app() -> None:
    """The app's connection closes, so that it can stop working for nobody."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"tick\n"
            await asyncio.sleep(1)

    async with (
        backend(lambda _: Says(200, [], endless())) as app,
        edge(app.attached("app")) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"tick")
        assert not app.lost.is_set()
        writer.close()
        await asyncio.wait_for(app.lost.wait(), 10)


async def test_a_client_that_leaves_before_the_answer_frees_the_app_too() -> None:
    """Nobody waits for a head that will have no reader."""
    gone = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        gone.set()

    async with raw(never_answer) as app, edge(app.attached("app")) as fly, fly.connection() as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(1)
        writer.close()
        await asyncio.wait_for(gone.wait(), 10)


async def test_a_client_that_waits_for_100_continue_is_told_to() -> None:
    """Large uploads of curl begin with a question."""
    async with (
        backend(saying("ok")) as app,
        edge(app.attached("app")) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"abc")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        assert app.seen[0].body == b"abc"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n\r\n"])
async def test_an_app_that_breaks_off_is_a_502(said: bytes) -> None:
    """No head, half a head, no HTTP: an empty 502, and the reason in the app's log."""

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)

    async with raw(break_off) as app, edge(app.attached("app")) as fly:
        answer = await fly.ask()
        assert (answer.status_code, answer.content) == (502, b"")
        assert fly.errors("app")[0].startswith("[PU02] could not complete HTTP request to instance")


async def test_an_answer_that_ends_early_ends_the_connection() -> None:
    """The client can tell a cut answer from a whole one."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    async with raw(cut) as app, edge(app.attached("app")) as fly, fly.connection() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.read()).endswith(b"only this")


async def test_an_early_answer_to_an_upload_reaches_its_sender() -> None:
    """A refusal before the end of the body is read, not lost in a reset connection."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read(-1)

    async with (
        raw(refuse) as app,
        edge(app.attached("app"), settings=ProxySettings(replayable_size=1000)) as fly,
    ):
        answer = await fly.ask(method="POST", content=b"z" * 3_000_000)
        assert answer.status_code == 413


async def test_a_client_that_leaves_frees_an_app_that_does_not_read() -> None:
    """What of an upload the app has not read is thrown away, so its place is free again."""
    is_deaf = True

    async def hears_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal is_deaf
        if is_deaf:
            is_deaf = False
            await asyncio.sleep(1_000)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    limited = service(concurrency={"type": "requests", "hard_limit": 1})
    settings = ProxySettings(replayable_size=50_000_000)
    async with raw(hears_the_second) as program, edge(settings=settings) as fly:
        fly.app("app")
        await fly.machine("app", limited, program=program)
        async with fly.connection() as (_, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: app.fly.dev\r\nContent-Length: 40000000\r\n\r\n")
            writer.write(b"x" * 30_000_000)
            await writer.drain()
        assert (await fly.ask(host="app.fly.dev")).status_code == 204


async def test_a_log_tells_what_broke_without_the_state_in_it() -> None:
    """A header line that is not HTTP may be a replay with its secret."""

    async def misspell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nfly-replay : app=a;state=hush\r\nContent-Length: 0\r\n\r\n")

    async with raw(misspell) as app, edge(app.attached("app")) as fly:
        assert (await fly.ask()).status_code == 502
        (line,) = fly.errors("app")
        assert "illegal header line" in line
        assert "hush" not in line
