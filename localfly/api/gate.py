"""Who may talk to localfly at all: its own tokens, from this laptop, and no web page.

Answers for 401, for the refusals that keep a browser or another computer out, for bodies too large or too
slow, for the request id on every answer, the note in the journal, and that nothing ends in a traceback. What
a token may see inside is `call`'s.
"""

import asyncio
import functools
import hashlib
import ipaddress
import logging
import uuid
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localfly.api.answer import ConnectionEnded, refusal
from localfly.journal import NO_ANSWER, Journal
from localfly.refusal import Invalid, Refusal, TooLarge, TooSlow, Unauthenticated, Unauthorized
from localfly.token import Scope as TokenScope
from localfly.token import Tokens, bare
from localfly.world import World

BODY_LIMIT = 10_000_000
BODY_WITHIN_S = 30.0  # between two pieces of a body
_log = logging.getLogger("localfly")


class Kept(Refusal):
    """403: refused for the laptop's safety; Fly has no such answer."""

    http_status = 403

    def __init__(self, why: str) -> None:
        super().__init__(f"localfly refuses this request: {why}; see docs/localfly.md")


class WrongMediaType(Kept):
    """415: a body that is not declared as JSON, which a web page could send without asking."""

    http_status = 415


class _Failed(Refusal):
    """500: a fault of localfly itself."""

    http_status = 500

    def __init__(self) -> None:
        super().__init__("internal: localfly failed at this request; its log has a line about it")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is: what its token may do, and its name as a lease's owner."""

    scope: TokenScope
    owner: str


class Gate:
    """ASGI middleware; puts a Caller into `scope["caller"]`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        world: World,
        tokens: Tokens,
        journal: Journal,
        allow_any_host: bool,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._world = world
        self._journal = journal
        self._allow_any_host = allow_any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"{self._world.ids.ulid(self._world.clock())}-local"

        is_noted = False

        async def send_noted(message: Message) -> None:
            nonlocal is_noted
            if message["type"] == "http.response.start":
                is_noted = True
                headers = MutableHeaders(scope=message)
                headers["fly-request-id"] = request_id
                headers["server"] = "localfly"
                self._note(scope, message["status"], request_id)
            await send(message)

        try:
            scope["caller"] = self._admit(scope["path"], scope["method"], Headers(scope=scope))
            await self._app(scope, _bounded(receive), send_noted)
        except Refusal as refused:
            await refusal(refused)(scope, receive, send_noted)
        except ConnectionEnded:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of localfly is an answer and a line, no traceback
            _log.error(
                "%s %s failed by a fault of localfly, please report it: %r",
                scope["method"],
                scope["path"],
                error,
            )
            if not is_noted:
                await refusal(_Failed())(scope, receive, send_noted)
        finally:
            if not is_noted:
                self._note(scope, NO_ANSWER, request_id)

    def _note(self, scope: Scope, status: int, request_id: str) -> None:
        if not scope["path"].startswith("/_localfly/"):
            self._journal.asked(
                method=scope["method"], path=scope["path"], status=status, request_id=request_id
            )

    def _admit(self, path: str, method: str, headers: Headers) -> Caller:
        if "origin" in headers:
            raise Kept("it carries an Origin header, as only a web page's would")
        host = headers.get("host", "")
        if not self._allow_any_host and not is_loopback(host):
            raise Kept(f"its Host {host[:100]!r} is not this computer; ask localhost or 127.0.0.1")
        caller = self._caller(headers.get("authorization", ""))
        if caller is None:
            raise Unauthenticated
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and media_type != "application/json":
            raise WrongMediaType(f"the body of {method} {path} is not declared as application/json")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise Invalid(f"Content-Length {length[:100]!r} is not a number")
        if int(length) > BODY_LIMIT:
            raise _too_large()
        if path.startswith("/_localfly/") and not caller.scope.is_unlimited:
            raise Unauthorized
        if caller.scope.is_read_only and method not in ("GET", "HEAD"):
            raise Unauthorized
        return caller

    def _caller(self, authorization: str) -> Caller | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in ("bearer", "flyv1"):
            return None
        token = bare(token)
        allowed = self._tokens.scope(token)
        return None if allowed is None else Caller(allowed, _owner(token))


def _bounded(receive: Receive) -> Receive:
    """The request's messages, as long as its body is neither too large nor too slow."""
    received, is_whole = 0, False

    async def bounded() -> Message:
        nonlocal received, is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                message = await receive()
        except TimeoutError:
            raise TooSlow(
                f"deadline_exceeded: nothing of the request body came for {BODY_WITHIN_S:.0f} s"
            ) from None
        received += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if received > BODY_LIMIT:
            raise _too_large()
        return message

    return bounded


def _too_large() -> TooLarge:
    return TooLarge(f"request body is larger than {BODY_LIMIT} bytes")


def is_loopback(host: str) -> bool:
    """Whether a Host header names this computer: localhost, a name below it, 127.0.0.0/8 or [::1]."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


@functools.lru_cache(maxsize=256)
def _owner(token: str) -> str:
    digest = hashlib.sha256(b"lease owner\n" + token.encode()).digest()
    return f"{uuid.UUID(bytes=digest[:16], version=4)}@tokens.fly.io"
