"""A small scripted HTTP server in the test's own loop: what an app answers, and what reached it.

Answers for nothing of the product; the proxy's tests attach it in the place of a router or an app.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import h11

from localfly.proxy.door import Attached

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Saw:
    """One request as it reached the server, header names in lower case."""

    method: str
    path: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that is there at most once."""
        values = [value for found, value in self.headers if found == name]
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Says:
    """An answer; a body in pieces is sent piece by piece, without a length."""

    status: int = 200
    headers: Headers = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""


Answer = Callable[[Saw], Says]


@dataclass(slots=True)
class Backend:
    """A running server; `lost` is set when a client went away before the whole answer."""

    port: int = 0
    met: int = 0  # connections
    seen: list[Saw] = field(default_factory=list)
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def attached(self, app: str, *, org: str = "acme", public_port: int = 443) -> Attached:
        """This server as a backend of an app."""
        return Attached(app, org, public_port, "127.0.0.1", self.port)


@contextlib.asynccontextmanager
async def backend(answer: Answer) -> AsyncIterator[Backend]:
    """A server on a free loopback port; one request a connection."""
    running = Backend()
    tasks: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        running.met += 1
        try:
            await _serve(running, answer, reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def raw(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Backend]:
    """A server that speaks whatever `handler` writes; the connection ends with it."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield Backend(port=server.sockets[0].getsockname()[1])
    finally:
        server.close()


def replaying(value: str, *more: tuple[str, str]) -> Answer:
    """A router that answers everything with this `fly-replay`, beside things that no client may see."""
    headers = [("fly-replay", value), ("set-cookie", "router=secret"), ("content-length", "9"), *more]
    return lambda _: Says(307, headers, b"not yours")


def replaying_json(document: object) -> Answer:
    """A router that answers everything with this replay in its JSON form."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = [("content-type", "application/vnd.fly.replay+json"), ("set-cookie", "router=secret")]
    return lambda _: Says(200, [*headers, ("content-length", str(len(text)))], text)


def saying(text: str, *headers: tuple[str, str]) -> Answer:
    """An app that answers everything with this text."""
    return lambda _: Says(200, [*headers, ("content-length", str(len(text)))], text.encode())


async def _serve(
    running: Backend, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    http = h11.Connection(h11.SERVER)

    async def event() -> object:
        while (found := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        return found

    request = await event()
    if not isinstance(request, h11.Request):
        return
    body = b""
    while isinstance(part := await event(), h11.Data):
        body += part.data
    assert isinstance(part, h11.EndOfMessage), part
    headers = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
    saw = Saw(request.method.decode(), request.target.decode(), headers, body)
    running.seen.append(saw)
    said = answer(saw)
    writer.write(http.send(h11.Response(status_code=said.status, headers=said.headers)) or b"")
    if isinstance(said.body, bytes):
        writer.write(http.send(h11.Data(data=said.body)) or b"")
    else:
        client_left = asyncio.create_task(reader.read())
        client_left.add_done_callback(lambda _: running.lost.set())
        try:
            async for piece in said.body:
                writer.write(http.send(h11.Data(data=piece)) or b"")
                await writer.drain()
        finally:
            client_left.cancel()
    writer.write(http.send(h11.EndOfMessage()) or b"")
    await writer.drain()
