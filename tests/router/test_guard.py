"""The Python guard around an ASGI app: what reaches it, and what leaves it."""

import asyncio
import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

import httpx
import pytest

from router.guard import App, Message, Receive, Send, guard, settings
from router.state import app_key, sign
from tests.router.wireless import NOW, ROOT

KEY = app_key(ROOT, "public", "acme-alice")
ENVIRON = {"FLY_APP_NAME": "acme-alice", "PRESHARED_KEY": KEY}
STATE = sign(KEY, kid="a1b2c3d4", app="acme-alice", host="alice.example.com", port=443, now=NOW)
SOURCE = {"fly-replay-src": f"instance=a;region=iad;t=1;state={STATE}"}
STEERING = [
    (b"Fly-Replay", b"app=acme-bob"),
    (b"fly-replay-cache", b"alice.example.com/*"),
    (b"content-type", b"application/vnd.fly.replay+json"),
    (b"x-own", b"kept"),
]


def studio(seen: list[list[tuple[bytes, bytes]]]) -> App:
    """An app that notes the headers it gets and tries to steer Fly's proxy."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        seen.append(scope["headers"])
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "headers": STEERING})
            return
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 201, "headers": STEERING})
        await send({"type": "http.response.body", "body": b"hello " + body})

    return app


def guarded(seen: list[list[tuple[bytes, bytes]]], environ: Mapping[str, str] = ENVIRON) -> App:
    return guard(studio(seen), purpose="public", port=(80, 443), environ=environ, now=lambda: NOW)


async def ask(app: App, path: str = "/", *, method: str = "GET", headers: Any = None) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://alice.example.com") as client:
        return await client.request(
            method, path, headers=headers, content=b"body" if method == "POST" else None
        )


async def test_a_request_through_the_router_reaches_the_app_without_its_state() -> None:
    """The app gets body and headers as sent, except for what would let it pose as the router."""
    seen: list[list[tuple[bytes, bytes]]] = []
    answer = await ask(guarded(seen), method="POST", headers=SOURCE | {"x-mine": "1"})
    assert (answer.status_code, answer.content) == (201, b"hello body")
    assert (b"x-mine", b"1") in seen[0]
    assert [name for name, _ in seen[0] if name.startswith(b"fly-")] == []


async def test_an_app_cannot_steer_flys_proxy() -> None:
    """Replay headers and the replay type do not leave the machine; the rest does."""
    answer = await ask(guarded([]), headers=SOURCE)
    assert list(answer.headers.items()) == [("x-own", "kept")]


@pytest.mark.parametrize(
    ("headers", "environ", "status"),
    [
        ({}, ENVIRON, 401),
        ({"fly-replay-src": "state=x"}, ENVIRON, 401),
        (SOURCE, ENVIRON | {"FLY_APP_NAME": "acme-bob"}, 401),
        (SOURCE, {"FLY_APP_NAME": "acme-alice"}, 503),
        (SOURCE, ENVIRON | {"PRESHARED_KEY": "short"}, 503),
        (SOURCE, {"PRESHARED_KEY": KEY}, 503),
    ],
)
async def test_a_refused_request_never_reaches_the_app(
    headers: dict[str, str], environ: dict[str, str], status: int
) -> None:
    """401 for what did not come through the router, 503 where no key is: and the app hears nothing."""
    seen: list[list[tuple[bytes, bytes]]] = []
    answer = await ask(guarded(seen, environ), headers=headers)
    assert (answer.status_code, seen) == (status, [])
    assert len(answer.content) < 40


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 401),
        ("POST", "/healthz", 401),
        ("GET", "/healthz?x=1", 401),
        ("GET", "/healthz/", 401),
        ("GET", "/%68ealthz", 401),
        ("GET", "/HEALTHZ", 401),
    ],
)
async def test_exactly_one_health_path_is_open(method: str, path: str, status: int) -> None:
    """Fly's checks get a constant answer from the guard; nothing near that path is open."""
    seen: list[list[tuple[bytes, bytes]]] = []
    answer = await ask(guarded(seen), path, method=method)
    assert (answer.status_code, seen) == (status, [])
    if status == 200:
        assert answer.content == b"ok\n"


async def websocket(app: App, *, source: bool, extensions: Mapping[str, Any]) -> list[Message]:
    """What a server would be told about an upgrade request."""
    sent: list[Message] = []
    headers = [(b"host", b"alice.example.com")]
    if source:
        headers.append((b"fly-replay-src", SOURCE["fly-replay-src"].encode()))

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": headers, "extensions": extensions}
    await app(scope, receive, send)
    return sent


async def test_a_websocket_through_the_router_is_the_apps() -> None:
    """The app accepts it, and its replay headers stay here too."""
    seen: list[list[tuple[bytes, bytes]]] = []
    sent = await websocket(guarded(seen), source=True, extensions={})
    assert sent == [{"type": "websocket.accept", "headers": [(b"x-own", b"kept")]}]
    assert [name for name, _ in seen[0]] == [b"host"]


async def test_a_websocket_past_the_router_is_refused_before_it_is_accepted() -> None:
    """The server answers the upgrade with a refusal: 401 where it can say so, a close where it cannot."""
    seen: list[list[tuple[bytes, bytes]]] = []
    said = await websocket(guarded(seen), source=False, extensions={"websocket.http.response": {}})
    closed = await websocket(guarded(seen), source=False, extensions={})
    assert [message.get("status") for message in said] == [401, None]
    assert closed == [{"type": "websocket.close", "code": 1008}]
    assert seen == []


async def test_only_known_kinds_of_traffic_pass() -> None:
    """Lifespan passes, since no client can send it; anything unknown is an error, not an open door."""
    reached = []

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:  # noqa: ARG001 (ASGI's signature)
        reached.append(scope["type"])

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    wrapped = guard(app, purpose="public", port=443, environ=ENVIRON)
    await wrapped({"type": "lifespan"}, receive, send)
    with pytest.raises(ValueError, match="nothing passes"):
        await wrapped({"type": "webtransport", "headers": []}, receive, send)
    assert reached == ["lifespan"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"purpose": "Public"},
        {"auth": "none"},
        {"auth": ""},
        {"port": 0},
        {"port": ()},
        {"port": (443, 65_536)},
    ],
)
def test_a_guard_that_is_set_up_wrongly_does_not_start(wrong: dict[str, Any]) -> None:
    """A slip in the configuration is an error when the machine starts."""
    right: dict[str, Any] = {"purpose": "public", "port": 443, "environ": ENVIRON}
    with pytest.raises(ValueError, match="guard: "):
        settings(**(right | wrong))


def test_a_guard_without_a_key_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """The operator reads which variable is missing; the key itself is in no log and no repr."""
    with caplog.at_level(logging.WARNING):
        guarded([], {"FLY_APP_NAME": "acme-alice", "PRESHARED_KEY": "too-short-a-key"})
        guarded([])
    (record,) = caplog.records
    assert "PRESHARED_KEY" in record.getMessage()
    assert "too-short-a-key" not in record.getMessage()
    assert KEY not in repr(settings(purpose="public", port=443, environ=ENVIRON))


async def test_each_request_is_judged_on_its_own() -> None:
    """Many at once, good and bad mixed: each gets its own verdict."""
    app = guarded([])
    answers = await asyncio.gather(*(ask(app, headers=SOURCE if i % 3 else {}) for i in range(30)))
    assert [answer.status_code for answer in answers] == [201 if i % 3 else 401 for i in range(30)]
