"""The grammar of `fly-replay`, and where a replay leads or why it fails."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from localfly.proxy import replay_header
from localfly.proxy.door import Door
from localfly.proxy.edge import ProxySettings
from localfly.proxy.replay import Malformed, Replay
from tests.localfly.backend import Saw, Says, backend, raw, replaying, saying
from tests.localfly.edge import Edge, edge, service

GOOD = {
    'app=a;region="iad,ord,any"': Replay(app="a", regions=("iad", "ord", "any")),
    "app=a;elsewhere=true": Replay(app="a", elsewhere=True),
    "app=a;timeout=800ms": Replay(app="a", timeout_s=0.8),
    "app=a;timeout=10s;fallback=prefer_self": Replay(app="a", timeout_s=10, fallback="prefer_self"),
    "app=alice": Replay(app="alice"),
    "app=alice;state=v1.ab_c-d.1": Replay(app="alice", state="v1.ab_c-d.1"),
    "state=x;app=alice": Replay(app="alice", state="x"),
    'app="alice";instance=0123456789abcd': Replay(app="alice", instance="0123456789abcd"),
    "prefer_instance=0123456789abcd": Replay(prefer_instance="0123456789abcd"),
    "state=only": Replay(state="only"),
    "app=a;cache_key=x": Replay(app="a"),
    'app=a;note="b,c"': Replay(app="a"),
}
BAD = (
    "",
    ";",
    "app",
    "app=",
    "app=a;",
    ";app=a",
    "app=a,state=b",
    "app=a;state=b=c",
    "app=a;state=bb==",
    "app=a; state=b",
    "app =a",
    "app= a",
    "APP=a",
    "app=a;app=b",
    "app=a;app=a",
    'app="a',
    'app=a";state=b',
    "app=a;state=b:c",
    "app=a;state=%62",
    "app=a;state=é",
    "app=a;instance=1;prefer_instance=2",
    '"app"=a',
    'app="a,b"',
    "region=iad,ord",
    'region="iad,"',
    "elsewhere=false",
    "timeout=1500",
    "timeout=1.5s",
    "timeout=1m",
    "fallback=force",
)


@pytest.mark.parametrize("value", GOOD)
def test_a_replay_in_the_grammar_is_read(value: str) -> None:
    """Fields stand between semicolons in any order, values bare or quoted; unknown keys are ignored."""
    assert replay_header.parse(value) == GOOD[value]


@pytest.mark.parametrize("value", BAD)
def test_a_replay_outside_the_grammar_is_malformed(value: str) -> None:
    """Commas, blanks, doubled keys, empty values and a second `=` are refused."""
    with pytest.raises(Malformed):
        replay_header.parse(value)


async def test_a_replay_reaches_the_machine_of_the_app_it_names() -> None:
    """The target gets the client's request, and the client the target's answer only."""
    async with (
        backend(replaying("app=alice;state=v1.k.2.m")) as router,
        edge(router.attached("router")) as fly,
    ):
        fly.app("alice")
        machine = await fly.machine("alice")
        answer = await fly.ask("/a/b?c=d", method="PUT", content=b"x" * 200_000, headers=[("x-mine", "1")])
        told = answer.json()
        saw = told["saw"]
        headers = dict(saw["headers"])
        assert (answer.status_code, told["machine"], told["internal_port"]) == (200, machine.id, 8080)
        assert (saw["method"], saw["path"], saw["body"]["size"]) == ("PUT", "/a/b?c=d", 200_000)
        assert (headers["host"], headers["x-mine"]) == ("x.example", "1")
        src = headers["fly-replay-src"]
        issuer = router.attached("router").machine_id
        assert re.fullmatch(rf"instance={issuer};region=iad;t=\d{{16}};state=v1\.k\.2\.m", src)
        assert router.seen[0].header("fly-replay-src") is None
        assert "set-cookie" not in answer.headers
        assert answer.headers["via"] == "1.1 fly.io, 1.1 fly.io"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("app=alice,state=x", "[PA03] could not parse 'fly-replay' response header returned by app"),
        ("app=alice;timeout=1", "[PA03] could not parse 'fly-replay' response header returned by app"),
        (
            "app=nobody",
            "[PA04] app 'router' used 'fly-replay' response header to target app 'nobody', "
            "which we cannot find",
        ),
        (
            "app=empty",
            "app router tried to fly-replay to app empty, but nothing from that app serves port tcp/443",
        ),
        (
            "app=only80",
            "app router tried to fly-replay to app only80, but nothing from that app serves port tcp/443",
        ),
        (
            "app=tlsonly",
            "app router tried to fly-replay to app tlsonly, but nothing from that app serves port tcp/443",
        ),
        (
            "app=alice;instance=00000000000000",
            "app router tried to fly-replay to app alice, but no instance 00000000000000 from that app "
            "serves port tcp/443",
        ),
        (
            "app=isolated",
            "app 'router' used 'fly-replay' response header to target app 'isolated', "
            "but cross-network replays are not allowed",
        ),
        (
            "app=stranger",
            "[PA05] app 'router' used 'fly-replay' response header to target app 'stranger', "
            "but it doesn't have permission to do so",
        ),
    ],
)
async def test_a_replay_that_fails_is_an_empty_502_and_a_line_for_the_app_that_asked(
    value: str, reason: str
) -> None:
    """The client learns nothing; the reason stands in the log of the app that issued the replay."""
    async with backend(replaying(value)) as router, edge(router.attached("router")) as fly:
        await _neighbours(fly)
        answer = await fly.ask()
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (502, b"", "0")
        assert answer.headers["via"] == "1.1 fly.io"
        assert not [name for name in answer.headers if name.startswith("fly-replay") or name == "set-cookie"]
        assert fly.errors("router") == [reason]
        line = fly.journal.lines[-1]
        assert line["subject"] == f"logs.router.iad.{router.attached('router').machine_id}"
        assert (line["event"], line["log"]) == ({"provider": "proxy"}, {"level": "error"})


@pytest.mark.parametrize("target", ["nobody", "empty"])
async def test_the_proxy_looks_for_a_missing_target_until_its_give_up_time(target: str) -> None:
    """A target that is not there costs the visitor that time, 7.5 s unless told."""
    async with (
        backend(replaying(f"app={target}")) as router,
        edge(router.attached("router"), settings=ProxySettings(give_up_s=3.0)) as fly,
    ):
        await _neighbours(fly)
        began = fly.world.clock()
        await fly.ask()
        assert 2.9 < fly.world.clock() - began < 3.6


async def test_an_app_that_appears_before_the_give_up_time_is_reached() -> None:
    """A machine that comes up while the proxy is still looking gets the request."""
    async with backend(replaying("app=late")) as router, edge(router.attached("router")) as fly:
        asking = asyncio.create_task(fly.ask())
        fly.app("late")
        machine = await fly.machine("late")
        assert (await asking).json()["machine"] == machine.id


@pytest.mark.parametrize("is_open", [False, True])
async def test_the_switch_opens_all_networks_of_one_organisation(is_open: bool) -> None:
    """A replay into another network passes only with the organisation's switch."""
    async with backend(replaying("app=isolated")) as router, edge(router.attached("router")) as fly:
        await _neighbours(fly)
        fly.world.orgs["acme"].cross_network_replays = is_open
        assert (await fly.ask()).status_code == (200 if is_open else 502)


@pytest.mark.parametrize("allowance", [("platform", "acme"), ("acme", "platform"), None])
async def test_an_allowance_between_organisations_has_one_direction(
    allowance: tuple[str, str] | None,
) -> None:
    """A replay into another organisation needs that organisation's leave, and then no network switch."""
    async with (
        backend(replaying("app=isolated")) as router,
        edge(router.attached("router", org="platform")) as fly,
    ):
        fly.world.add_org("platform")
        await _neighbours(fly)
        if allowance:
            fly.world.orgs[allowance[1]].replay_sources.add(allowance[0])
        expected = 200 if allowance == ("platform", "acme") else 502
        assert (await fly.ask()).status_code == expected


async def test_ten_replays_pass_and_the_eleventh_does_not() -> None:
    """A chain of replays ends at ten; a router that replays to itself by an unknown key ends there too."""
    hops = 0

    def ping(_: Saw) -> Says:
        nonlocal hops
        hops += 1
        return (
            Says(204, [("fly-replay", "cache_key=x")]) if hops <= 10 else Says(200, [("content-length", "0")])
        )

    async with backend(ping) as router, edge(router.attached("router")) as fly:
        assert (await fly.ask()).status_code == 200
        hops = -1
        assert (await fly.ask()).status_code == 502
        assert hops == 10
        assert fly.errors("router") == [
            "[PA02] 'fly-replay' response header was returned too many times, stopping there"
        ]


async def test_the_last_hop_of_a_chain_is_the_source_that_the_target_sees() -> None:
    """One `fly-replay-src` describes the last replay, whatever came before."""
    async with (
        backend(replaying("app=second;state=one")) as first,
        backend(replaying("app=third;state=two")) as second,
        backend(saying("here")) as third,
        edge(first.attached("first"), second.attached("second"), third.attached("third")) as fly,
    ):
        assert (await fly.ask()).text == "here"
        src = third.seen[0].header("fly-replay-src")
        assert src is not None
        assert src.startswith(f"instance={second.attached('second').machine_id};")
        assert src.endswith(";state=two")


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 502)])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_up_to_the_limit_is_replayed_whole(size: int, status: int, is_chunked: bool) -> None:
    """With or without a declared length, a body one byte beyond the limit is not replayed: PA01."""
    body = bytes(range(256)) * 4

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, size, 100):
            yield body[at : min(at + 100, size)]

    async with (
        backend(replaying("app=alice")) as router,
        backend(saying("ok")) as alice,
        edge(
            router.attached("router"), alice.attached("alice"), settings=ProxySettings(replayable_size=1000)
        ) as fly,
    ):
        content = pieces() if is_chunked else body[:size]
        assert (await fly.ask(method="POST", content=content)).status_code == status
        if status == 200:
            assert alice.seen[0].body == body[:size]
        else:
            assert fly.errors("router")[0].startswith("[PA01]")


@pytest.mark.parametrize(("size", "status"), [(900, 200), (1100, 502)])
async def test_a_router_that_answers_before_the_body_has_come_replays_all_of_it(
    size: int, status: int
) -> None:
    """The proxy first learns whether the whole body can be sent again; a longer one reaches no target."""
    may_go_on = asyncio.Event()

    async def answer_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        writer.write(b"HTTP/1.1 204 No Content\r\nfly-replay: app=alice\r\n\r\n")
        may_go_on.set()

    async def upload() -> AsyncIterator[bytes]:
        yield b"first"
        await may_go_on.wait()
        for _ in range((size - 5) // 5):
            await asyncio.sleep(0.01)
            yield b"later"

    async with (
        raw(answer_early) as router,
        backend(saying("ok")) as alice,
        edge(
            router.attached("router"), alice.attached("alice"), settings=ProxySettings(replayable_size=1000)
        ) as fly,
    ):
        assert (await fly.ask(method="POST", content=upload())).status_code == status
        assert [len(saw.body) for saw in alice.seen] == ([size] if status == 200 else [])
        assert alice.met == (1 if status == 200 else 0)


async def test_a_body_beyond_the_limit_streams_through_when_nobody_replays() -> None:
    """The limit is one of replays, not of requests."""
    async with backend(saying("ok")) as app, edge(app.attached("app")) as fly:
        answer = await fly.ask(method="POST", content=b"y" * 5_000_000)
        assert (answer.text, len(app.seen[0].body)) == ("ok", 5_000_000)


async def test_an_instance_is_exact_and_a_preferred_one_is_a_wish() -> None:
    """`instance` reaches that machine; a missing `prefer_instance` is named to the one that answers."""
    wanted = ""
    async with (
        backend(lambda _: Says(204, [("fly-replay", f"app=alice;{wanted}")])) as router,
        edge(router.attached("router")) as fly,
    ):
        fly.app("alice")
        machines = [await fly.machine("alice") for _ in range(3)]
        for key in ("instance", "prefer_instance"):
            for machine in (*machines, *reversed(machines)):
                wanted = f"{key}={machine.id}"
                told = (await fly.ask()).json()
                assert told["machine"] == machine.id
                assert "fly-preferred-instance-unavailable" not in dict(told["saw"]["headers"])
        wanted = "prefer_instance=00000000000000"
        headers = dict((await fly.ask()).json()["saw"]["headers"])
        assert headers["fly-preferred-instance-unavailable"] == "00000000000000"


async def test_the_inbound_public_port_selects_the_target_service() -> None:
    """The door's public port is matched, range ends included, never the target's internal port."""
    doors = [Door("127.0.0.1", 0, port, "router") for port in (443, 9090, 10000, 10010, 10011)]
    async with (
        backend(replaying("app=alice")) as router,
        edge(
            *(router.attached("router", public_port=door.public_port) for door in doors), doors=doors
        ) as fly,
    ):
        fly.app("alice")
        ranged = [{"start_port": 10000, "end_port": 10010, "handlers": ["http"]}]
        await fly.machine(
            "alice",
            service(internal_port=8080),
            service(port=9090, internal_port=9090, handlers=["http"]),
            service(internal_port=7000, ports=ranged),
        )
        answers = [await fly.ask(door=at) for at in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 502]
        assert [answer.json()["internal_port"] for answer in answers[:4]] == [8080, 9090, 7000, 7000]


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", "application/vnd.fly.replay+json"), ("fly-replay", "app=alice")],
        [("fly-replay", "app=alice"), ("fly-replay-delete-header", "cookie")],
        [("fly-replay", "app=alice"), ("fly-replay", "app=alice")],
    ],
)
async def test_forms_of_a_replay_that_are_not_imitated_fail_loudly(headers: list[tuple[str, str]]) -> None:
    """Both forms at once, a header that Fly gave up, a doubled one: refused, and nothing leaks."""
    async with backend(lambda _: Says(200, headers, b"{}")) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        await fly.machine("alice")
        answer = await fly.ask()
        assert (answer.status_code, answer.content) == (502, b"")
        assert re.search(r"localfly does not imitate|\[PA03\]", fly.errors("router")[0])


async def test_an_answer_of_the_target_never_shows_replay_headers() -> None:
    """`fly-replay-*` of any answer stays inside; a target's 500 is an answer like any other."""
    leaks = [("fly-replay-cache", "/*"), ("fly-replay-cache-ttl-secs", "60"), ("content-length", "4")]
    async with backend(lambda _: Says(500, leaks, b"sick")) as app, edge(app.attached("app")) as fly:
        answer = await fly.ask()
        assert (answer.status_code, answer.text) == (500, "sick")
        assert not [name for name in answer.headers if name.startswith("fly-replay")]


async def _neighbours(fly: Edge) -> None:
    """Apps of every kind that a replay may meet; `alice` and the default network are the router's own."""
    fly.app("alice")
    fly.app("empty")
    fly.app("only80")
    fly.app("tlsonly")
    fly.app("isolated", network="other")
    fly.app("stranger", org="elsewhere")
    await fly.machine("alice")
    await fly.machine("only80", service(port=80, handlers=["http"]))
    await fly.machine("tlsonly", service(handlers=["tls"]))
    await fly.machine("isolated")
    await fly.machine("stranger")
