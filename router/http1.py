"""One HTTP/1 connection: bytes in, one answer per request out; so strict that nobody can read them otherwise.

Answers for framing, limits and time-outs. What a request gets is the handler's, what a page says is `page`'s.
A bad request gets a fixed refusal and a closed connection; nothing that a client sends reaches a traceback.
"""

import asyncio
import enum
import re
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from router.page import Answer, Refusal, refusal_page
from router.request import READ, Request, parse_host

_DIGITS = re.compile(rb"[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may use; times in seconds, sizes in bytes."""

    head_bytes: int = 65_536
    headers: int = 200
    body_bytes: int = 1_000_000  # what Fly replays; more would be an opaque 502 there
    idle_s: float = 75.0
    head_s: float = 10.0
    body_s: float = 60.0
    linger_s: float = 2.0  # after a refusal: long enough for a client that is still sending to read it
    linger_bytes: int = 16_000_000


class Handler(Protocol):
    """Whoever decides what a request gets."""

    def answer(self, request: Request) -> Answer:
        """The answer to a well-formed request whose body has arrived whole."""
        ...

    def refused(self, refusal: Refusal) -> None:
        """A request was refused before anyone could decide about it."""
        ...

    def opened(self, connection: "Connection") -> None:
        """A connection begins."""
        ...

    def closed(self, connection: "Connection") -> None:
        """A connection is gone."""
        ...


BAD_REQUEST = Refusal(400, "BadRequest", "This is not a request that the router can read.")
BAD_TARGET = Refusal(400, "BadTarget", "A request's target is a path.")
BAD_HOST = Refusal(400, "BadHost", "A request names its host in exactly one plain Host header.")
BAD_FRAMING = Refusal(400, "BadFraming", "The length of this request's body is not clear.")
SLOW = Refusal(408, "TooSlow", "The request took too long to arrive.")
BODY_TOO_LARGE = Refusal(
    413,
    "BodyTooLarge",
    "Fly can pass on request bodies of at most 1 MB to your machine. Send less at a time.",
)
BAD_EXPECTATION = Refusal(417, "BadExpectation", "The only expectation that is met here is 100-continue.")
HEAD_TOO_LARGE = Refusal(431, "HeadersTooLarge", "The request's headers are too large.")
BROKEN = Refusal(500, "RouterError", "The router failed to answer this request.")
BAD_VERSION = Refusal(505, "BadVersion", "The router speaks HTTP/1.0 and HTTP/1.1.")


class _RefusedError(Exception):
    """Leaves the parser; the connection knows why."""


class _Stage(enum.Enum):
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    ENDED = enum.auto()  # nothing more is read as a request


class Connection(asyncio.Protocol):
    """Reads requests off one transport and writes what the handler answers, in order."""

    def __init__(self, handler: Handler, *, limits: Limits | None = None) -> None:
        self._handler = handler
        self._limits = limits or Limits()
        # per connection
        self._stage = _Stage.IDLE
        self._out: list[bytes] = []
        self._refusal: Refusal | None = None
        self._linger = False
        self._lingered = 0
        self._draining = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # per request
        self._request = Request()
        self._head_bytes = 0
        self._head_fed = 0
        self._header_count = 0
        self._body_bytes = 0
        self._body_fed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # a stream server gives no other kind
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._wait(self._limits.idle_s)
        self._handler.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._stage is _Stage.ENDED:
            self._discard(data)
            return
        before = (self._stage, self._request)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # answered without 101, and ended: what follows is another protocol's
        except httptools.HttpParserCallbackError:
            if not self._has_ended():  # else: a request behind the last one that is answered here
                self._refuse(self._refusal or BROKEN)
        except httptools.HttpParserError:
            if not self._has_ended():
                self._refuse(BAD_REQUEST)
        else:
            self._measure(before, len(data))
        self._flush()

    def eof_received(self) -> bool:
        return False  # whatever could be answered has been written; the transport sends it and closes

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._stage = _Stage.ENDED
        if self._timer is not None:
            self._timer.cancel()
        self._handler.closed(self)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def on_message_begin(self) -> None:
        if self._stage is _Stage.ENDED:
            raise _RefusedError
        self._stage = _Stage.HEAD
        self._request = Request()
        self._head_bytes = self._head_fed = self._header_count = self._body_bytes = self._body_fed = 0
        self._wait(self._limits.head_s)

    def on_url(self, part: bytes) -> None:
        self._request.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._head_bytes += len(name) + len(value) + 4
        if self._header_count > self._limits.headers or self._head_bytes > self._limits.head_bytes:
            self._leave(HEAD_TOO_LARGE)
        if self._stage is not _Stage.HEAD:
            return  # a trailer: nothing in it may count as a header
        name = name.lower()
        if name in READ:
            self._request.headers.setdefault(name, []).append(value)

    def on_headers_complete(self) -> None:
        request = self._request
        request.method = self._parser.get_method()
        version = self._parser.get_http_version()
        if len(request.target) + self._head_bytes > self._limits.head_bytes:
            self._leave(HEAD_TOO_LARGE)
        if version not in {"1.0", "1.1"}:
            self._leave(BAD_VERSION)
        if not request.target.startswith(b"/") and not (
            request.target == b"*" and request.method == b"OPTIONS"
        ):
            self._leave(BAD_TARGET)
        hosts = request.all(b"host")
        host = parse_host(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            self._leave(BAD_HOST)
        else:
            request.host = host
        self._check_framing(is_old=version == "1.0")
        self._stage = _Stage.BODY
        self._wait(self._limits.body_s)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._leave(BODY_TOO_LARGE)

    def on_message_complete(self) -> None:
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade() and not self._draining
        answer = self._handler.answer(self._request)
        if not keep:
            connection = b"connection: close\r\n\r\n"
        elif self._parser.get_http_version() == "1.0":
            connection = b"connection: keep-alive\r\n\r\n"
        else:
            connection = b"\r\n"
        self._out += (answer.head, connection)
        if self._request.method != b"HEAD":
            self._out.append(answer.body)
        self._stage = _Stage.IDLE if keep else _Stage.ENDED
        self._wait(self._limits.idle_s)

    def drain(self) -> None:
        """Answer what has begun to arrive, then close; an idle connection closes at once."""
        self._draining = True
        if self._stage is _Stage.IDLE:
            self._stage = _Stage.ENDED
            self._transport.close()

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self._transport.abort()

    def _check_framing(self, *, is_old: bool) -> None:
        lengths = self._request.all(b"content-length")
        codings = self._request.all(b"transfer-encoding")
        if len(lengths) + len(codings) > 1:
            self._leave(BAD_FRAMING)
        if codings and (is_old or codings[0].lower() != b"chunked"):
            self._leave(BAD_FRAMING)
        if lengths and not _DIGITS.match(lengths[0]):
            self._leave(BAD_FRAMING)
        if lengths and int(lengths[0]) > self._limits.body_bytes:
            self._leave(BODY_TOO_LARGE)
        expectations = self._request.all(b"expect")
        if expectations and not is_old:
            if [value.lower() for value in expectations] != [b"100-continue"]:
                self._leave(BAD_EXPECTATION)
            if codings or (lengths and int(lengths[0])):
                self._out.append(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _has_ended(self) -> bool:
        return self._stage is _Stage.ENDED

    def _measure(self, before: tuple[_Stage, Request], fed: int) -> None:
        """Bound what the parser keeps or skips without telling: half a header, chunk extensions."""
        if before[0] is not self._stage or before[1] is not self._request:
            return  # something was completed, and its own limits have looked at it
        if self._stage is _Stage.HEAD:
            self._head_fed += fed
            if self._head_fed > self._limits.head_bytes:
                self._refuse(HEAD_TOO_LARGE)
        elif self._stage is _Stage.BODY:
            self._body_fed += fed
            if self._body_fed > 8 * self._limits.body_bytes:
                self._refuse(BODY_TOO_LARGE)

    def _leave(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _RefusedError

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal; what the client still sends is thrown away for a moment, then closed."""
        self._refusal = None
        self._stage = _Stage.ENDED
        self._linger = True
        answer = refusal_page(refusal, accept=self._request.first(b"accept"))
        self._out += (answer.head, b"connection: close\r\n\r\n")
        if self._request.method != b"HEAD":
            self._out.append(answer.body)
        self._handler.refused(refusal)

    def _flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()
        if self._stage is not _Stage.ENDED:
            return
        if self._linger and self._transport.can_write_eof():
            self._transport.write_eof()
            self._wait(self._limits.linger_s)
        else:
            self._transport.close()

    def _discard(self, data: bytes) -> None:
        self._lingered += len(data)
        if self._lingered > self._limits.linger_bytes:
            self._transport.abort()

    def _wait(self, seconds: float) -> None:
        """Allow `seconds` from now; one timer runs per connection, and most moves of it cost nothing."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        left = self._deadline - self._loop.time()
        if left > 0:
            self._wait(left)
        elif self._stage in {_Stage.HEAD, _Stage.BODY}:
            self._refuse(SLOW)
            self._flush()
        elif self._stage is _Stage.ENDED:
            self._transport.abort()
        else:
            self._stage = _Stage.ENDED
            self._transport.close()
            self._wait(self._limits.linger_s)
