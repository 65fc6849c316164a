"""Rows 1 to 7, 39 and 43 of the list of edge behaviours: doors, handlers and headers."""

import re
from typing import Any

import pytest

from localfly.proxy.door import BadFlag, Direct, Door, parse_direct, refuse_beyond_loopback
from tests import wire
from tests.localfly.backend import Answer, Saw, Says, backend, replaying, saying
from tests.localfly.edge import edge, service

REQUEST = b"GET / HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n"
FORGED = [
    ("fly-client-ip", "6.6.6.6"),
    ("fly-forwarded-port", "1"),
    ("fly-region", "xxx"),
    ("fly-request-id", "mine"),
    ("x-forwarded-proto", "gopher"),
    ("x-forwarded-ssl", "maybe"),
    ("fly-replay-failed", "reason=timeout"),
    ("fly-replay-cache-status", "hit"),
    ("fly-preferred-instance-unavailable", "1"),
]


async def test_row_01_the_door_or_the_host_picks_the_app() -> None:
    """A door of one app leads there whatever the Host says; at a shared one the Host decides, or nobody."""
    doors = [
        Door("127.0.0.1", 0, 443, "one"),
        Door("127.0.0.1", 0, 443, "two"),
        Door("127.0.0.1", 0, 80),
        Door("127.0.0.1", 0, 443, "inner", is_flycast=True),
    ]
    async with (
        backend(saying("one")) as one,
        backend(saying("two")) as two,
        backend(saying("inner")) as inner,
        edge(one.attached("one"), two.attached("two"), inner.attached("inner"), doors=doors) as fly,
    ):
        assert [(await fly.ask(door=at, host="same.example")).text for at in (0, 1)] == ["one", "two"]
        assert [(await fly.ask(host=f"{app}.fly.dev")).text for app in ("one", "two")] == ["one", "two"]
        for door, host in ((2, "unknown.example"), (0, "nobody.fly.dev"), (0, "inner.fly.dev")):
            answer = await fly.ask(door=door, host=host)
            assert (answer.status_code, answer.content) == (502, b"")
        assert [(await fly.ask(door=3, host=host)).text for host in ("inner.flycast", "any")] == ["inner"] * 2


async def test_row_02_a_service_is_found_by_its_public_port_and_without_one_the_door_is_shut() -> None:
    """Both ends of a range count; a port that no service names ends the connection without an answer."""
    ports = (443, 9089, 9090, 9099, 9100)
    doors = [Door("127.0.0.1", 0, port, "shop") for port in ports]
    ranged = service(internal_port=7000, ports=[{"start_port": 9090, "end_port": 9099, "handlers": ["http"]}])
    async with edge(doors=doors) as fly:
        fly.app("shop")
        await fly.machine("shop", service(), ranged)
        found: dict[int, int | None] = {}
        for at, port in enumerate(ports):
            async with fly.connection(door=at) as (reader, writer):
                writer.write(REQUEST)
                answer = (await reader.read()).decode()
                match = re.search(r'"internal_port": (\d+)', answer)
                found[port] = int(match[1]) if match else None
                assert match or not answer
        assert found == {443: 8080, 9089: None, 9090: 7000, 9099: 7000, 9100: None}
        assert "nothing from app shop serves port tcp/9089" in fly.errors("shop")[0]


@pytest.mark.parametrize("handlers", [[], ["tls"]])
async def test_row_03_only_behind_the_http_handler_is_a_replay_executed(handlers: list[str]) -> None:
    """Elsewhere the router's raw answer comes, with its `fly-replay` header for everyone to read."""
    doors = [Door("127.0.0.1", 0, 443, "router"), Door("127.0.0.1", 0, 444, "router")]
    ports = [{"port": 443, "handlers": ["tls", "http"]}, {"port": 444, "handlers": handlers}]
    async with backend(replaying("app=target;state=secret")) as router, edge(doors=doors) as fly:
        fly.app("router")
        fly.app("target")
        await fly.machine("router", service(ports=ports), program=router)
        target = await fly.machine("target")
        executed, raw = await fly.ask(), await fly.ask(door=1)
        assert executed.json()["machine"] == target.id
        assert (raw.status_code, raw.headers["fly-replay"]) == (307, "app=target;state=secret")
        assert "via" not in raw.headers


async def test_row_04_force_https_redirects_before_the_app_is_asked() -> None:
    """301 to the same path at https on a plain door; the app sees nothing, on the TLS one it does."""
    doors = [Door("127.0.0.1", 0, 80, "shop"), Door("127.0.0.1", 0, 443, "shop")]
    ports = [
        {"port": 80, "handlers": ["http"], "force_https": True},
        {"port": 443, "handlers": ["tls", "http"], "force_https": True},
    ]
    async with backend(saying("secure")) as app, edge(doors=doors) as fly:
        fly.app("shop")
        await fly.machine("shop", service(ports=ports), program=app)
        answer = await fly.ask("/a?b=c", host="shop.example:80")
        assert (answer.status_code, answer.headers["location"]) == (301, "https://shop.example/a?b=c")
        assert app.seen == []
        assert (await fly.ask("/a?b=c", door=1)).text == "secure"


async def test_row_05_a_machine_sees_the_true_headers_in_place_of_forged_ones() -> None:
    """Peer, port, region, scheme and id are the proxy's; what it adds only sometimes cannot be sent in."""
    async with backend(saying("ok")) as app, edge(app.attached("app")) as fly:
        answer = await fly.ask(headers=[*FORGED, ("x-forwarded-for", "6.6.6.6"), ("via", "1.1 before")])
        saw = {name: app.seen[0].header(name) for name, _ in FORGED}
        assert saw == {
            "fly-client-ip": "127.0.0.1",
            "fly-forwarded-port": "443",
            "fly-region": "iad",
            "fly-request-id": answer.headers["fly-request-id"],
            "x-forwarded-proto": "https",
            "x-forwarded-ssl": "on",
            "fly-replay-failed": None,
            "fly-replay-cache-status": None,
            "fly-preferred-instance-unavailable": None,
        }
        assert app.seen[0].header("x-forwarded-for") == "6.6.6.6, 127.0.0.1, 127.0.0.1"
        assert app.seen[0].header("via") == "1.1 before, 1.1 fly.io"
        assert app.seen[0].header("x-forwarded-port") == "443"


async def test_row_06_a_request_id_is_a_ulid_with_the_region_alike_for_both_sides_and_used_once() -> None:
    """Machine and client see the same one, through a replay too."""
    async with (
        backend(replaying("app=app")) as router,
        backend(saying("ok")) as app,
        edge(router.attached("router"), app.attached("app")) as fly,
    ):
        answers = [(await fly.ask()).headers["fly-request-id"] for _ in range(20)]
        assert len(set(answers)) == 20
        assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}-iad", one) for one in answers)
        assert [saw.header("fly-request-id") for saw in router.seen] == answers
        assert [saw.header("fly-request-id") for saw in app.seen] == answers


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"server": "Fly/", "via": "1.1 cache, 1.1 fly.io", "fly-request-id": "-iad", "x-own": "1"}),
        (
            {"response": {"pristine": True}},
            {"server": "own/1", "via": "1.1 cache", "fly-request-id": "mine", "x-own": "1"},
        ),
        (
            {"response": {"headers": {"Fly-Request-Id": False, "X-Own": ["2", "3"], "X-New": "4"}}},
            {"server": "Fly/", "via": "1.1 cache, 1.1 fly.io", "x-own": "2, 3", "x-new": "4"},
        ),
        (
            {"response": {"headers": {"fly-replay": "app=x", "Content-Length": "0"}}},
            {"server": "Fly/", "via": "1.1 cache, 1.1 fly.io", "fly-request-id": "-iad", "x-own": "1"},
        ),
    ],
)
async def test_row_07_an_answer_names_the_edge_unless_the_port_wants_it_pristine(
    options: dict[str, Any], expected: dict[str, str]
) -> None:
    """Server, Via and Fly-Request-Id are the proxy's; `response.headers` sets, repeats and removes."""
    said = [("server", "own/1"), ("via", "1.1 cache"), ("fly-request-id", "mine"), ("x-own", "1")]
    ports = [{"port": 443, "handlers": ["tls", "http"], "http_options": options}]
    async with backend(saying("ok", *said)) as app, edge(doors=[Door("127.0.0.1", 0, 443, "app")]) as fly:
        fly.app("app")
        await fly.machine("app", service(ports=ports), program=app)
        answer = await fly.ask()
        assert answer.text == "ok"
        found = {name: value for name, value in answer.headers.items() if name != "content-length"}
        assert found.keys() == expected.keys()
        assert all(text in found[name] for name, text in expected.items())


async def test_row_39_a_direct_door_shows_what_the_flycast_door_hides() -> None:
    """At the machine's own address the router's `fly-replay` with its state is there to read."""
    answer: Answer = replaying("app=target;state=secret")
    seen: list[Saw] = []

    def remembering(saw: Saw) -> Says:
        seen.append(saw)
        return answer(saw)

    flycast = Door("127.0.0.1", 0, 443, "router", is_flycast=True)
    async with backend(remembering) as router:
        past = [
            Direct("127.0.0.1", 0, "router", None, 8080),
            Direct("127.0.0.1", 0, "router", "m0", 8080),
            Direct("127.0.0.1", 0, "router", "other", 8080),
            Direct("127.0.0.1", 0, "router", None, 9999),
        ]
        async with edge(doors=[flycast], past=past) as fly:
            fly.app("router")
            fly.app("target")
            machine = await fly.machine("router", program=router)
            target = await fly.machine("target")
            assert (await fly.ask()).json()["machine"] == target.id
            for at in (1, 2):
                seen.clear()
                leak = await fly.ask(door=at)
                assert (leak.status_code, leak.headers["fly-replay"]) == (307, "app=target;state=secret")
                assert seen[0].header("fly-client-ip") is None
            fly.lifecycle.stop(machine)
            for at in (1, 3, 4):
                async with fly.connection(door=at) as (reader, _):
                    assert await reader.read() == b""
            assert machine.state in ("stopping", "stopped")


def test_row_39_a_direct_door_is_written_as_such() -> None:
    """`HOST:PORT=direct:APP[/MACHINE]:INTERNAL_PORT`, and nothing like it passes for one."""
    for text in ("127.0.0.1:9=direct:router:8080", "127.0.0.1:9=direct:router/web-0:8080"):
        assert str(parse_direct(text)) == text
    assert parse_direct("127.0.0.1:9=443") is None
    for text in ("127.0.0.1:9=direct:router", "127.0.0.1:9=direct:R:1", "127.0.0.1:9=direct:a:0"):
        with pytest.raises(BadFlag, match="--listen"):
            parse_direct(text)


@pytest.mark.wire
async def test_row_43_it_listens_on_loopback_only_unless_told() -> None:
    """Doors of every kind and the API are refused elsewhere, before anything listens."""
    for flag in (
        ("--api", "0.0.0.0:0"),
        ("--listen", "0.0.0.0:0=443"),
        ("--listen", "[::]:0=direct:router:8080"),
    ):
        done = await wire.finished(wire.PYTHON, "-m", "localfly", "--token", "t", *flag)
        assert done.code == 1
        assert done.err.startswith(f"localfly: {flag[0]} ")
        assert "--allow-non-loopback" in done.err
    for host in ("127.0.0.1", "::1", "127.8.9.10"):
        refuse_beyond_loopback([("--api", host)])
