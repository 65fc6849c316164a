"""Lets into a user's machine only what the router sent: ASGI middleware and the check behind it.

One file of standard library alone, made to be copied into an image; `guard.ts` is its twin, and both agree on
every vector of `guard_vectors.json`. It answers for the `state` of a replay and for the replay headers on the
way in and out; who the visitor is stays the app's own question.

    app = guard(app, purpose="public", port=(80, 443, 4443))
"""

import base64
import hashlib
import hmac
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal

Purpose = Literal["public", "management"]
Auth = Literal["signed", "psk"]
Header = tuple[bytes, bytes]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

KEY_NAMES: Mapping[Purpose, str] = {"public": "PRESHARED_KEY", "management": "PRESHARED_KEY_MANAGEMENT"}
SHORTEST_KEY = 32
LONGEST_SOURCE = 4096
LATE_S = 60  # a machine that resumes has a clock that lags, or runs ahead
EARLY_S = 300

_STATE = re.compile(r"v1\.[0-9a-f]{8}\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})\Z")
_HOST = re.compile(rb"([a-z0-9._-]{1,253}?)\.?(?::[0-9]{1,5})?\Z")
_PRINTABLE = re.compile(rb"[ -~]*\Z")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BREAKS = re.compile(rb"[\r\n\0]")
_REPLAY_TYPE = b"application/vnd.fly.replay+json"


@dataclass(frozen=True, slots=True)
class Settings:
    """What one guard accepts; read once, when it is made."""

    ports: tuple[int, ...]  # public ones, as the visitor sees them
    health: str | None  # the one path that Fly's checks may ask without a state
    auth: Auth
    app: str  # the Fly app's name
    keys: tuple[str, ...] = field(repr=False)  # the current one and, during a rotation, the previous one


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a request: 200 "accepted" or "health", else the refusal's status and reason."""

    status: int
    reason: str


def settings(
    *,
    purpose: Purpose,
    port: int | Collection[int],
    health: str | None = "/healthz",
    auth: Auth = "signed",
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Settings from code and environment; without a key of 32 characters everything is refused.

    The environment holds FLY_APP_NAME and PRESHARED_KEY, or PRESHARED_KEY_MANAGEMENT for the purpose
    "management", and during a rotation the same name with _PREVIOUS.
    """
    if purpose not in KEY_NAMES or auth not in ("signed", "psk"):
        raise ValueError('guard: purpose is "public" or "management", auth is "signed" or "psk"')
    ports = (port,) if isinstance(port, int) else tuple(port)
    if not ports or not all(0 < each < 1 << 16 for each in ports):
        raise ValueError("guard: port is one public port, or several, from 1 to 65535")
    name = KEY_NAMES[purpose]
    current, previous = environ.get(name, ""), environ.get(f"{name}_PREVIOUS", "")
    keys = tuple(key for key in (current, previous) if len(key) >= SHORTEST_KEY)
    return Settings(
        ports=ports,
        health=health,
        auth=auth,
        app=environ.get("FLY_APP_NAME", ""),
        keys=keys if len(current) >= SHORTEST_KEY else (),
    )


def check(method: str, target: str, headers: Iterable[Header], *, settings: Settings, now: float) -> Verdict:
    """Judge one request, or one upgrade, when it begins; `target` is path and query, `now` unix seconds."""
    if settings.health is not None and method == "GET" and target == settings.health:
        return Verdict(200, "health")
    if not settings.keys:
        return Verdict(503, "no_key")
    if not settings.app:
        return Verdict(503, "no_app")
    hosts, sources = [], []
    for name, value in headers:
        lower = name.lower()
        if lower == b"host":
            hosts.append(value)
        elif lower == b"fly-replay-src":
            sources.append(value)
    state = _state_of(sources)
    if isinstance(state, Verdict):
        return state
    if settings.auth == "psk":
        return _accepted_if(_is_any(state, settings.keys), "mismatch")
    return _check_signature(state, hosts, settings, now)


def without_replay(headers: Iterable[Header]) -> list[Header]:
    """Response headers without any that would steer Fly's proxy, or that would smuggle one in."""
    return [(name, value) for name, value in headers if _may_leave(name.lower(), value)]


def guard(
    app: App,
    *,
    purpose: Purpose,
    port: int | Collection[int],
    health: str | None = "/healthz",
    auth: Auth = "signed",
    environ: Mapping[str, str] = os.environ,
    now: Callable[[], float] = time.time,
) -> App:
    """Wrap an ASGI app so that only what came through the router reaches it, over HTTP and WebSocket.

    A GET of exactly `health` is answered here. The environment is read now; see `settings`.
    """
    chosen = settings(purpose=purpose, port=port, health=health, auth=auth, environ=environ)
    if not chosen.keys or not chosen.app:
        logging.getLogger("router.guard").warning(
            "every request is refused without FLY_APP_NAME and %s (%d characters or more) in the environment",
            KEY_NAMES[purpose],
            SHORTEST_KEY,
        )

    async def guarded(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(f"guard: cannot check a {scope['type']} scope, so nothing passes")
        method = scope["method"] if scope["type"] == "http" else "UPGRADE"
        verdict = check(method, _target(scope), scope["headers"], settings=chosen, now=now())
        if verdict.reason != "accepted":
            await _answer(verdict, scope, receive, send)
            return

        async def send_clean(message: Message) -> None:
            if "headers" in message:
                message = {**message, "headers": without_replay(message["headers"])}
            await send(message)

        inward = [pair for pair in scope["headers"] if pair[0].lower() != b"fly-replay-src"]
        await app({**scope, "headers": inward}, receive, send_clean)

    return guarded


def _state_of(sources: list[bytes]) -> str | Verdict:
    """The `state` in the one `fly-replay-src`, which Fly writes as `key=value;key=value` in any order."""
    if not sources:
        return Verdict(401, "missing")
    if len(sources) > 1:
        return Verdict(401, "duplicate")
    if len(sources[0]) > LONGEST_SOURCE or not _PRINTABLE.match(sources[0]):
        return Verdict(401, "malformed")
    parts: dict[str, str] = {}
    for part in sources[0].decode("ascii").split(";"):
        key, equals, value = part.partition("=")
        key = key.strip(" ")
        if not equals or not key or key in parts:
            return Verdict(401, "malformed")
        parts[key] = value.strip(" ")
    return parts.get("state") or Verdict(401, "no_state")


def _check_signature(state: str, hosts: list[bytes], settings: Settings, now: float) -> Verdict:
    match = _STATE.match(state)
    if match is None:
        return Verdict(401, "form")
    host = _HOST.match(hosts[0].lower()) if len(hosts) == 1 else None
    if host is None:
        return Verdict(401, "host")
    exp, mac = match.groups()
    messages = [
        f"v1\n{settings.app}\n{host[1].decode('ascii')}\n{port}\n{exp}".encode() for port in settings.ports
    ]
    macs = [_mac(key, message) for key in settings.keys for message in messages]
    if not _is_any(mac, macs):
        return Verdict(401, "mismatch")
    if int(exp) < now - LATE_S:
        return Verdict(401, "expired")
    return _accepted_if(int(exp) <= now + EARLY_S, "early")


def _mac(key: str, message: bytes) -> str:
    mac = hmac.new(key.encode(), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")


def _is_any(given: str, expected: Iterable[str]) -> bool:
    """Whether `given` is one of `expected`; takes as long for a wrong one as for a right one."""
    digest = hashlib.sha256(given.encode()).digest()
    same = [hmac.compare_digest(digest, hashlib.sha256(each.encode()).digest()) for each in expected]
    return any(same)


def _accepted_if(is_good: bool, reason: str) -> Verdict:
    return Verdict(200, "accepted") if is_good else Verdict(401, reason)


def _may_leave(name: bytes, value: bytes) -> bool:
    if not _TOKEN.match(name) or _BREAKS.search(value):
        return False
    if name == b"fly-replay" or name.startswith(b"fly-replay-"):
        return False
    return name != b"content-type" or _REPLAY_TYPE not in value.lower()


def _target(scope: Mapping[str, Any]) -> str:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")


async def _answer(verdict: Verdict, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    text = {200: b"ok\n", 401: b"401: not through the router\n", 503: b"503: not set up\n"}[verdict.status]
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # the connect event; the socket is never accepted
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        kind = "websocket.http.response"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": f"{kind}.start", "status": verdict.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": text})
