"""The machine's side of one request: a connection of its own, the request out, the answer in.

Answers for speaking HTTP/1.1 to the machine (h11) without holding a whole answer. Which machine it is
was decided by `select`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import h11

from localfly.proxy.body import Body
from localfly.proxy.header import Headers
from localfly.proxy.pipe import CHUNK

HEAD_LIMIT = 64 * 1024


class Broke(Exception):  # noqa: N818 - reads as the sentence it is
    """The machine closed the connection, or did not speak HTTP, before its answer was complete."""


class Upstream:
    """One exchange with a machine over an open connection; `async with` closes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Upstream":
        return self

    async def __aexit__(self, why: type[BaseException] | None, *_: object) -> None:
        if why is not None:  # else a machine that does not read what is left would keep it open, and counted
            self.writer.transport.abort()
        self.writer.close()  # first: the wait below may be cancelled
        if self._sending:
            self._sending.cancel()
            await asyncio.wait({self._sending})

    async def ask(
        self, method: bytes, target: bytes, headers: Headers, body: Body
    ) -> h11.Response | h11.InformationalResponse:
        """Send the request and return the head of the answer, or of a 101; raises Broke."""
        request = h11.Request(method=method, target=target, headers=headers)
        self.writer.write(self._http.send(request) or b"")
        self._sending = asyncio.create_task(self._send(body))
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise Broke("connection closed before the answer began")
            if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                return event

    async def answer(self) -> AsyncIterator[bytes]:
        """The answer's body as it comes; raises Broke when it ends early."""
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Broke("connection closed before the answer was complete")
            yield bytes(event.data)

    @property
    def ahead(self) -> bytes:
        """What the machine said after its 101."""
        return self._http.trailing_data[0]

    async def _next(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            while True:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                self._http.receive_data(await self.reader.read(CHUNK))
        except h11.RemoteProtocolError as error:
            raise Broke(str(error).partition(": ")[0]) from None  # then comes the line: it may hold a state
        except ConnectionError:
            raise Broke("connection reset by the machine") from None

    async def _send(self, body: Body) -> None:
        # A machine may answer before it has read everything, and close: its answer counts, not our loss.
        with contextlib.suppress(ConnectionError, h11.LocalProtocolError):
            async for chunk in body.from_start():
                self.writer.write(self._http.send(h11.Data(data=chunk)) or b"")
                await self.writer.drain()
            self.writer.write(self._http.send(h11.EndOfMessage()) or b"")
            await self.writer.drain()
