"""What the proxy tells a machine about a request, what it tells a client, and what nobody can forge."""

import re

import pytest

from localfly.proxy.door import Door
from localfly.proxy.edge import ProxySettings
from localfly.proxy.exchange import Choices
from tests.localfly.backend import backend, replaying, replaying_json, saying
from tests.localfly.edge import edge, service

FORGED = [
    ("fly-client-ip", "6.6.6.6"),
    ("fly-forwarded-port", "1"),
    ("fly-region", "xxx"),
    ("fly-request-id", "mine"),
    ("fly-replay-failed", "reason=timeout"),
    ("fly-replay-cache-status", "hit"),
    ("fly-preferred-instance-unavailable", "1"),
    ("x-forwarded-proto", "gopher"),
    ("x-forwarded-ssl", "maybe"),
]


async def test_forged_headers_of_a_client_are_replaced_by_the_true_ones() -> None:
    """A machine sees the peer, the door's public port, the edge's region and the request id, each once."""
    async with backend(saying("ok")) as app, edge(app.attached("app")) as fly:
        answer = await fly.ask(headers=FORGED)
        saw = app.seen[0]
        assert saw.header("fly-client-ip") == "127.0.0.1"
        assert saw.header("fly-forwarded-port") == "443"
        assert saw.header("fly-region") == "iad"
        assert saw.header("x-forwarded-proto") == "https"
        assert saw.header("x-forwarded-ssl") == "on"
        assert saw.header("fly-replay-failed") is None
        assert saw.header("fly-replay-cache-status") is None
        assert saw.header("fly-preferred-instance-unavailable") is None
        assert saw.header("fly-request-id") == answer.headers["fly-request-id"]


async def test_request_ids_are_ulids_with_the_region_and_never_repeat() -> None:
    """26 characters of Crockford's base 32, a dash, the region."""
    async with backend(saying("ok")) as app, edge(app.attached("app")) as fly:
        ids = {(await fly.ask()).headers["fly-request-id"] for _ in range(20)}
        assert len(ids) == 20
        assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}-iad", one) for one in ids)


async def test_forwarding_headers_grow_at_the_right() -> None:
    """X-Forwarded-For and Via keep what came; X-Forwarded-Port is the client's to set."""
    async with backend(saying("ok")) as app, edge(app.attached("app")) as fly:
        await fly.ask(
            headers=[("x-forwarded-for", "1.2.3.4"), ("via", "1.1 before"), ("x-forwarded-port", "5")]
        )
        await fly.ask()
        forged, plain = app.seen
        assert forged.header("x-forwarded-for") == "1.2.3.4, 127.0.0.1, 127.0.0.1"
        assert forged.header("via") == "1.1 before, 1.1 fly.io"
        assert forged.header("x-forwarded-port") == "5"
        assert plain.header("x-forwarded-for") == "127.0.0.1, 127.0.0.1"
        assert plain.header("x-forwarded-port") == "443"


async def test_answers_carry_the_edge_and_not_the_app_server() -> None:
    """Server, Via and Fly-Request-Id are the proxy's; a machine's own Via stays in front."""
    headers = [("server", "secret/1.0"), ("via", "1.1 cache"), ("fly-request-id", "mine"), ("x-own", "1")]
    async with backend(saying("ok", *headers)) as app, edge(app.attached("app")) as fly:
        answer = await fly.ask()
        assert answer.headers["server"].startswith("Fly/")
        assert answer.headers["via"] == "1.1 cache, 1.1 fly.io"
        assert answer.headers["fly-request-id"].endswith("-iad")
        assert answer.headers["x-own"] == "1"


@pytest.mark.parametrize("keeps", [False, True])
async def test_a_forged_replay_source_passes_only_with_the_switch(keeps: bool) -> None:
    """A client's own `fly-replay-src` is removed, unless told; a real replay replaces it in any case."""
    forged = [("fly-replay-src", "instance=x;state=forged")]
    async with (
        backend(replaying("app=target;state=true")) as router,
        backend(saying("ok")) as target,
        edge(
            router.attached("router"),
            target.attached("target"),
            settings=ProxySettings(choices=Choices(keeps_forged_replay_src=keeps)),
        ) as fly,
    ):
        await fly.ask(headers=forged, host="target.fly.dev")
        await fly.ask(headers=forged)
        direct, replayed = target.seen
        assert direct.header("fly-replay-src") == ("instance=x;state=forged" if keeps else None)
        assert (replayed.header("fly-replay-src") or "").endswith(";state=true")
        assert replayed.header("fly-replay-cache-status") == "miss"


async def test_what_belongs_to_one_connection_stays_there() -> None:
    """Connection, what it names, Keep-Alive, TE and an Upgrade that is no WebSocket go no further."""
    headers = [
        ("connection", "keep-alive, x-hop, upgrade"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("x-hop", "1"),
        ("x-stays", "1"),
    ]
    async with backend(saying("ok", ("keep-alive", "timeout=9"))) as app, edge(app.attached("app")) as fly:
        answer = await fly.ask(headers=headers)
        names = {name for name, _ in app.seen[0].headers}
        assert names.isdisjoint({"keep-alive", "te", "upgrade", "x-hop"})
        assert "x-stays" in names
        assert "keep-alive" not in answer.headers


async def test_the_handlers_of_the_door_decide_the_forwarded_scheme() -> None:
    """Behind a `tls` handler the scheme is https; `force_https` redirects plain requests."""
    doors = [
        Door("127.0.0.1", 0, 80, "shop"),
        Door("127.0.0.1", 0, 443, "shop"),
        Door("127.0.0.1", 0, 81, "shop"),
    ]
    async with edge(doors=doors) as fly:
        fly.app("shop")
        ports = [
            {"port": 80, "handlers": ["http"]},
            {"port": 443, "handlers": ["tls", "http"]},
            {"port": 81, "handlers": ["http"], "force_https": True},
        ]
        await fly.machine("shop", service(ports=ports))
        plain, secure = [dict((await fly.ask(door=at)).json()["saw"]["headers"]) for at in (0, 1)]
        assert (plain["x-forwarded-proto"], plain["x-forwarded-ssl"]) == ("http", "off")
        assert (secure["x-forwarded-proto"], secure["x-forwarded-ssl"]) == ("https", "on")
        answer = await fly.ask("/a?b=c", door=2, host="shop.example:81")
        assert (answer.status_code, answer.headers["location"]) == (301, "https://shop.example/a?b=c")


async def test_no_client_strikes_out_a_header_that_a_transform_sets() -> None:
    """`Connection` names what belongs to the client's connection; a router's header does not."""
    sets = {"app": "app", "transform": {"set_headers": [{"name": "X-Identity", "value": "alice"}]}}
    async with (
        backend(replaying_json(sets)) as router,
        backend(saying("ok")) as app,
        edge(router.attached("router"), app.attached("app")) as fly,
    ):
        await fly.ask(headers=[("connection", "x-identity"), ("x-identity", "mallory")])
        assert app.seen[0].header("x-identity") == "alice"


async def test_a_client_writes_no_line_of_its_own_into_a_log() -> None:
    """HTTP lets control characters into a header's value; a line of the log stays one line, and plain."""
    async with (
        backend(saying("ok")) as app,
        edge(app.attached("app")) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nFly-Force-Region: ams\x85[error] \x1b[31m\x9b\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
        (line,) = fly.errors("app")
        assert line.isprintable(), line
        assert line.isascii(), line
