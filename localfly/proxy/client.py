"""The client's side of one HTTP/1 connection through a door: its requests in, answers out.

Answers for parsing (h11), keep-alive, noticing that a client is gone, and for what a client gets that does
not speak HTTP. What a request is answered with is `exchange`'s.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from http import HTTPStatus

import h11

from localfly.proxy.body import Body
from localfly.proxy.header import own
from localfly.proxy.load import Held
from localfly.proxy.pipe import CHUNK, Ends, pipe
from localfly.proxy.websocket import Downstream

HEAD_LIMIT = 64 * 1024
LINGER_S = 2.0  # how long an unread upload may still arrive, so that its sender can read the answer


class Gone(Exception):  # noqa: N818 - reads as the sentence it is
    """The client closed the connection; nobody waits for the answer."""


class Client:
    """One client connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        self._reading: asyncio.Task[None] | None = None

    @property
    def peer(self) -> str:
        """The client's IP address."""
        return str(self._writer.get_extra_info("peername")[0])

    @property
    def has_answer_begun(self) -> bool:
        """Whether the client has seen the head of an answer to its present request."""
        return self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    async def request(self) -> h11.Request | None:
        """The next request, or None when no further one will come; raises h11.RemoteProtocolError."""
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                if not event.http_version.startswith(b"1."):
                    raise h11.RemoteProtocolError("not HTTP/1", error_status_hint=505)
                return event
            if event is not h11.NEED_DATA:
                return None
            self._http.receive_data(await self._read())

    def start_reading(self, body: Body, owner: asyncio.TaskGroup) -> None:
        """Read the present request's body in a task of `owner`; then watch for the client's end.

        The task raises Gone when the client leaves and h11.RemoteProtocolError when it talks nonsense.
        """
        self._reading = owner.create_task(self._read_into(body))

    async def send(self, *events: h11.Event) -> None:
        """Write events of an answer; raises Gone when the client has left."""
        try:
            for event in events:
                self._writer.write(self._http.send(event) or b"")
            await self._writer.drain()
        except ConnectionError:
            raise Gone from None

    async def refuse(self, status: int, headers: Iterable[tuple[bytes, bytes]], text: bytes = b"") -> None:
        """A whole answer of the proxy's own; without `text` the body is empty."""
        reason = HTTPStatus(status).phrase
        head = h11.Response(status_code=status, headers=list(headers), reason=reason)
        body = [h11.Data(data=text)] if text else []
        await self.send(head, *body, h11.EndOfMessage())

    async def refuse_malformed(self, error: h11.RemoteProtocolError) -> None:
        """400 (or what h11 hints at) for bytes that are not HTTP, if an answer is still possible."""
        if not self.has_answer_begun:
            with contextlib.suppress(Gone, h11.LocalProtocolError):
                await self.refuse(error.error_status_hint, [*own(None), (b"connection", b"close")])

    def is_ready_for_next(self) -> bool:
        """Make ready for another request on this connection; False when there can be none."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def switch(
        self, head: h11.InformationalResponse, machine: Ends, *, ahead: bytes, held: Held
    ) -> None:
        """Answer 101 and carry raw bytes both ways until both sides are done; `ahead` came with the 101.

        `held` is told of the WebSocket, so that it can be ended before its machine is.
        """
        await self.stop_reading()
        await self.send(head)
        sent_early, _ = self._http.trailing_data
        held.websocket = Downstream(self._writer.write)
        held.websocket.pass_on(ahead)
        machine[1].write(sent_early)
        await pipe((self._reader, self._writer), machine, to_one=held.websocket.pass_on)

    async def stop_reading(self) -> None:
        """Take the connection back from the task that reads the present request."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def finish(self, body: Body) -> None:
        """The answer is out: let an upload that nobody wants run on a little, so that its sender reads it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await body.discard()
        await self.stop_reading()

    async def _read_into(self, body: Body) -> None:
        while not body.is_whole:
            if self._http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                await body.feed(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                body.end()
            elif event is h11.NEED_DATA:
                data = await self._read()
                if not data:
                    raise Gone
                self._http.receive_data(data)
            else:
                raise Gone
        while len(self._http.trailing_data[0]) < HEAD_LIMIT:  # a pipelined request waits there
            data = await self._read()
            if not data:
                raise Gone
            self._http.receive_data(data)

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(CHUNK)
        except ConnectionError:
            return b""
