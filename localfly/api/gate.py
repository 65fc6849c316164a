"""Who may talk to localfly at all: its own tokens, from this laptop, and no web page.

Answers for 401, for the refusals that keep a browser or another computer out, for the request id on every
answer and the note in the journal. What a token may see inside is `call`'s.
"""

import hashlib
import hmac
import ipaddress
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localfly.api.answer import refusal
from localfly.journal import Journal
from localfly.refusal import Refusal, Unauthenticated
from localfly.world import World


class Kept(Refusal):
    """403: refused for the laptop's safety; Fly has no such answer."""

    http_status = 403

    def __init__(self, why: str) -> None:
        super().__init__(f"localfly refuses this request: {why}; see docs/localfly.md")


class WrongMediaType(Kept):
    """415: a body that is not declared as JSON, which a web page could send without asking."""

    http_status = 415


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is: the organisations it may act in (None: all), and its name as a lease's owner."""

    orgs: Collection[str] | None
    owner: str


class Gate:
    """ASGI middleware; puts a Caller into `scope["caller"]`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        world: World,
        tokens: Mapping[str, Collection[str] | None],
        journal: Journal,
        allow_any_host: bool,
    ) -> None:
        if not all(tokens):
            raise ValueError("an empty token would let everybody in; give localfly a token that is not empty")
        self._app = app
        self._world = world
        self._journal = journal
        self._allow_any_host = allow_any_host
        self._callers = {token.encode(): Caller(orgs, _owner(token)) for token, orgs in tokens.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"{self._world.ids.ulid(self._world.clock())}-local"

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["fly-request-id"] = request_id
                headers["server"] = "localfly"
                self._note(scope, message["status"], request_id)
            await send(message)

        try:
            scope["caller"] = self._admit(scope["path"], scope["method"], Headers(scope=scope))
        except Refusal as refused:
            await refusal(refused)(scope, receive, send_noted)
        else:
            await self._app(scope, receive, send_noted)

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
        return caller

    def _caller(self, authorization: str) -> Caller | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in ("bearer", "flyv1"):
            return None
        token = token.strip().removeprefix("FlyV1 ").strip()
        found = None
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, token.encode()):
                found = caller
        return found


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


def _owner(token: str) -> str:
    digest = hashlib.sha256(b"lease owner\n" + token.encode()).digest()
    return f"{uuid.UUID(bytes=digest[:16], version=4)}@tokens.fly.io"
