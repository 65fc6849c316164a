"""The router on real sockets: doors open and close, tables change underneath, IPv6 stays shut."""

import asyncio
import socket

import pytest

from router.http1 import Connection
from router.server import Answered, Door, Listener, ListenError, Router
from router.table import Route, Table
from tests.router.wireless import NOW, PRIVATE, PUBLIC, TABLE, connected, get, signer


def router(log: list[Answered] | None = None) -> Router:
    made = Router(signer("none"), now=lambda: NOW, on_answer=None if log is None else log.append)
    made.publish(TABLE)
    return made


async def ask(port: int, data: bytes) -> bytes:
    """The head of the answer to `data` on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.wire
async def test_two_doors_of_one_router() -> None:
    """Each listener answers at the port it was given and by its own rules."""
    log: list[Answered] = []
    async with router(log).listening([PUBLIC, PRIVATE]) as ports:
        public = await ask(ports["public"], get())
        private = await ask(ports["management"], get(b"gateway.flycast", b"X-User-App: alice"))
        closed = await ask(ports["management"], get())
    assert b"fly-replay: app=acme-alice\r\n" in public
    assert b"fly-replay: app=acme-alice\r\n" in private
    assert closed.startswith(b"HTTP/1.1 400 ")
    assert [each.listener for each in log] == ["public", "management", "management"]


@pytest.mark.wire
async def test_a_table_changes_under_an_open_connection() -> None:
    """Between two requests of one connection a new table takes effect."""
    made = router()
    async with made.listening([PUBLIC]) as ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports["public"])
        answers = []
        for app in ("acme-one", "acme-two"):
            made.publish(Table(hosts={"alice.example.com": Route(app)}))
            writer.write(get())
            answers.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5))
        writer.close()
    assert [b"app=acme-one\r\n" in answers[0], b"app=acme-two\r\n" in answers[1]] == [True, True]


@pytest.mark.wire
async def test_closing_lets_a_request_under_way_finish() -> None:
    """At the end idle connections close at once, and one in the middle of a request is answered first."""
    opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    finish = asyncio.Event()

    async def serve() -> None:
        async with router().listening([PUBLIC]) as ports:
            opened.set_result(ports["public"])
            await finish.wait()

    serving = asyncio.create_task(serve())
    port = await opened
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
    idle_writer.write(get())
    await asyncio.wait_for(idle_reader.readuntil(b"\r\n\r\n"), 5)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(get(b"alice.example.com", b"Expect: 100-continue", b"Content-Length: 3", method=b"POST"))
    await asyncio.wait_for(reader.readuntil(b"100 Continue\r\n\r\n"), 5)
    finish.set()
    assert await asyncio.wait_for(idle_reader.read(), 5) == b""
    writer.write(b"abc")
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 307 ")
    assert b"connection: close\r\n" in answer
    await asyncio.wait_for(serving, 5)
    idle_writer.close()
    writer.close()


@pytest.mark.wire
async def test_all_doors_close_at_once() -> None:
    """While one door waits for a request under way, no other takes anything new or waits its turn."""
    opened: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    finish = asyncio.Event()

    async def serve() -> None:
        async with router().listening([PUBLIC, PRIVATE]) as ports:
            opened.set_result([ports["public"], ports["management"]])
            await finish.wait()

    serving = asyncio.create_task(serve())
    ports = await opened
    idle = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
    for reader, writer in idle:
        writer.write(get(method=b"HEAD"))
        assert b"HTTP/1.1 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    reader, under_way = await asyncio.open_connection("127.0.0.1", ports[1])
    under_way.write(get(b"a.example.com", b"Expect: 100-continue", b"Content-Length: 3", method=b"POST"))
    await asyncio.wait_for(reader.readuntil(b"100 Continue\r\n\r\n"), 5)
    finish.set()
    for reader, writer in idle:
        assert await asyncio.wait_for(reader.read(), 1) == b""
        writer.close()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
    under_way.write(b"abc")
    await asyncio.wait_for(serving, 5)
    under_way.close()


async def test_a_connection_that_was_accepted_too_late_is_closed() -> None:
    """What the event loop still hands over after the end is not served, and is not left open."""
    door = Door(router(), PUBLIC, frozenset())
    await door.close()
    transport, connection = connected(lambda: Connection(door))
    assert (transport.is_closed, transport.written) == (True, b"")
    connection.connection_lost(None)


@pytest.mark.wire
async def test_a_large_upload_reads_its_413() -> None:
    """A client that sends far too much still gets to read why, instead of a reset connection."""
    async with router().listening([PUBLIC]) as ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports["public"])
        writer.write(get(b"alice.example.com", b"Content-Length: 4000000", method=b"POST") + b"x" * 4_000_000)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"1 MB" in answer


@pytest.mark.wire
async def test_an_ipv6_neighbour_cannot_connect() -> None:
    """A router on 0.0.0.0 is not there over IPv6, where it could be reached past Fly's proxy."""
    everywhere = Listener("public", "acme-router", "0.0.0.0", 0)
    async with router().listening([everywhere]) as ports:
        assert b"307" in await ask(ports["public"], get())
        with pytest.raises(OSError, match=r"refused|Connect call failed|unreachable|Cannot assign"):
            await asyncio.open_connection("::1", ports["public"])


@pytest.mark.wire
@pytest.mark.parametrize("host", ["::", "[::]", "::1", "fdaa:0:1::2", "::ffff:0.0.0.0", "0::0"])
async def test_a_listener_on_ipv6_is_refused(host: str) -> None:
    """One line names the listener, says why and what to write instead."""
    with pytest.raises(ListenError) as refused:
        async with router().listening([Listener("public", "acme-router", host, 0)]):
            pass
    assert str(refused.value).startswith(f"listener public: cannot bind {host}:0: ")
    assert "IPv4" in str(refused.value)
    assert "0.0.0.0" in str(refused.value)


@pytest.mark.wire
async def test_a_port_that_is_taken_is_one_clear_line_and_opens_nothing() -> None:
    """The error names listener and port, and a listener that was open already is closed again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            other = free.getsockname()[1]
        doors = [
            Listener("public", "acme-router", "127.0.0.1", other),
            Listener("management", "acme-gateway", "127.0.0.1", port, private=True),
        ]
        with pytest.raises(ListenError) as refused:
            async with router().listening(doors):
                pass
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", other)
    assert str(refused.value) == (
        f"listener management: cannot bind 127.0.0.1:{port}: another program has this port; "
        "stop it, or change `bind` in the Router document"
    )


@pytest.mark.wire
@pytest.mark.parametrize("host", ["localhost", "", "0.0.0.0.0", "router.internal"])
async def test_a_listener_is_bound_to_an_address(host: str) -> None:
    """A name could resolve to IPv6, so only addresses are taken."""
    with pytest.raises(ListenError, match="not an IP address"):
        async with router().listening([Listener("public", "acme-router", host, 0)]):
            pass


@pytest.mark.wire
async def test_an_address_of_another_host_is_one_clear_line() -> None:
    """An address that is not here is said to be so."""
    with pytest.raises(ListenError, match="no such address"):
        async with router().listening([Listener("public", "acme-router", "192.0.2.1", 0)]):
            pass
