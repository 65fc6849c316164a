"""Rows 36 to 38 of the list of edge behaviours: what an edge remembers of replays, for whom and how long."""

from typing import Any

import pytest

from localfly.proxy.door import Door
from localfly.proxy.edge import ProxySettings
from tests.localfly.backend import Answer, Backend, Saw, Says, backend, replaying, replaying_json, saying
from tests.localfly.edge import Edge, edge, service
from tests.localfly.inprocess import laptop
from tests.localfly.requests import config, create_app

ROUTER = [Door("127.0.0.1", 0, 443, "router")]
SKIP = ("fly-replay-cache-control", "skip")


def cached(value: str = "app=alice", *, pattern: str = "/*", ttl: object = 60, **more: str) -> Answer:
    """A router that lets its replay be remembered."""
    extra = [(f"fly-replay-cache-{name.replace('_', '-')}", text) for name, text in more.items()]
    pair = (("fly-replay-cache", pattern), ("fly-replay-cache-ttl-secs", str(ttl)))
    return replaying(value, *pair, *extra)


def status(saw: Saw) -> tuple[str | None, bool]:
    """What the target heard of the cache, and whether of a source."""
    return saw.header("fly-replay-cache-status"), saw.header("fly-replay-src") is not None


async def test_row_36_a_remembered_replay_spares_the_router_and_carries_no_source() -> None:
    """The first request is a miss through the router; the second a hit past it, without `fly-replay-src`."""
    async with (
        backend(cached()) as router,
        backend(saying("ok")) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        for path in ("/", "/", "/a/b?c"):
            assert (await fly.ask(path, method="POST", content=b"x")).text == "ok"
        assert len(router.seen) == 1
        assert [status(saw) for saw in alice.seen] == [("miss", True), ("hit", False), ("hit", False)]
        assert [(saw.method, saw.path, saw.body) for saw in alice.seen][2] == ("POST", "/a/b?c", b"x")


@pytest.mark.parametrize(("ttl", "asked"), [(9, 2), (10, 1), (0, 2), ("x", 2), ("10.5", 2), ("", 2)])
async def test_row_36_a_time_to_live_below_ten_seconds_is_not_followed(ttl: object, asked: int) -> None:
    """Ten seconds are kept; less, or no number, is replayed all the same, with a warning."""
    async with (
        backend(cached(ttl=ttl)) as router,
        backend(saying("ok")) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        assert [(await fly.ask()).text for _ in range(2)] == ["ok", "ok"]
        assert len(router.seen) == asked
        text = "the replay is not cached: fly-replay-cache-ttl-secs is not 10 seconds or more"
        assert fly.warnings("router") == ([] if asked == 1 else [text] * 2)


async def test_row_36_what_is_remembered_expires() -> None:
    """Until its time to live is over the router is not asked, then again."""
    async with backend(cached(ttl=30)) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        await fly.machine("alice")
        asked = []
        for seconds in (0, 29, 2, 29, 2):
            await fly.world.clock.sleep(seconds)
            await fly.ask()
            asked.append(len(router.seen))
        assert asked == [1, 1, 2, 2, 3]


PATTERNS: dict[str, tuple[list[str], list[str]]] = {
    "/*": (["/", "/a", "/docs/x"], []),
    "/": (["/", "/a", "/docs/x"], []),
    "/docs": (["/docs", "/docs/", "/docs/x/y?z"], ["/", "/docsy", "/doc", "/DOCS"]),
    "/docs/*": (["/docs", "/docs/x"], ["/", "/docsy"]),
    "x.example/docs/*": (["/docs", "/docs/x"], ["/a"]),
    "X.Example/docs": (["/docs"], ["/a"]),
}


@pytest.mark.parametrize("pattern", PATTERNS)
async def test_row_36_a_pattern_is_a_path_with_everything_below_it(pattern: str) -> None:
    """Whole parts of a path, with or without `/*`, with or without the host in front."""
    inside, outside = PATTERNS[pattern]

    def answer(saw: Saw) -> Says:
        return (cached(pattern=pattern) if saw.path == "/docs/first" else replaying("app=alice"))(saw)

    async with (
        backend(answer) as router,
        edge(router.attached("router")) as fly,
    ):
        fly.app("alice")
        await fly.machine("alice")
        await fly.ask("/docs/first")
        for path in (*inside, *outside):
            await fly.ask(path)
        assert [saw.path for saw in router.seen] == ["/docs/first", *outside]
        assert fly.warnings("router") == []


@pytest.mark.parametrize(
    "pattern",
    ["/other", "/doc", "other.example/docs", "x.example:443/docs", "x.example", "/do*", "/*/x", "docs", ""],
)
async def test_row_36_a_pattern_must_match_the_request(pattern: str) -> None:
    """One for another path or host, with a port or a stray star, is replayed, not kept, and warned of."""
    async with backend(cached(pattern=pattern)) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        await fly.machine("alice")
        assert [(await fly.ask("/docs/x")).status_code for _ in range(2)] == [200, 200]
        assert len(router.seen) == 2
        assert all(
            line.startswith("the replay is not cached: its pattern") for line in fly.warnings("router")
        )
        assert len(fly.warnings("router")) == 2


async def test_row_36_the_longest_pattern_wins() -> None:
    """Of two that cover a request the more exact one is followed."""

    def answer(saw: Saw) -> Says:
        app, pattern = ("bob", "/a/b") if saw.path == "/a/b" else ("alice", "/")
        return cached(f"app={app}", pattern=pattern)(saw)

    async with backend(answer) as router, edge(router.attached("router")) as fly:
        for name in ("alice", "bob"):
            fly.app(name)
            await fly.machine(name)
        apps = [
            (await fly.ask(path)).json()["app"] for path in ("/a/b", "/", "/a/b/c", "/a/bc", "/a/b", "/a")
        ]
        assert apps == ["bob", "alice", "bob", "alice", "bob", "alice"]
        assert len(router.seen) == 2


async def test_row_36_a_replay_is_remembered_for_one_host() -> None:
    """Another host, though the same app and path, is asked for again; case and port of a host are nothing."""
    async with backend(cached()) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        await fly.machine("alice")
        for host in ("one.example", "ONE.example:443", "one.example.", "two.example", "one.example"):
            await fly.ask(host=host)
        assert [saw.header("host") for saw in router.seen] == ["one.example", "two.example"]


async def test_row_36_a_replay_is_remembered_for_one_public_port() -> None:
    """Another public port of the same app asks the router for itself."""
    doors = [Door("127.0.0.1", 0, port, "router") for port in (443, 80)]
    async with (
        backend(cached()) as router,
        edge(
            *(router.attached("router", public_port=door.public_port) for door in doors), doors=doors
        ) as fly,
    ):
        fly.app("alice")
        await fly.machine("alice", service(), service(port=80, handlers=["http"]))
        for door in (0, 1, 0, 1):
            await fly.ask(door=door)
        assert len(router.seen) == 2


@pytest.mark.parametrize("part", ["state=x", "timeout=5s", "fallback=force_self"])
@pytest.mark.parametrize("form", ["header", "json"])
async def test_row_36_what_excludes_a_replay_from_the_cache(part: str, form: str) -> None:
    """With `state`, `timeout` or `fallback` it is replayed and not kept, and a warning says why."""
    name, _, value = part.partition("=")
    answer = cached(f"app=alice;{part}")
    if form == "json":
        answer = replaying_json({"app": "alice", name: value, "cache": {"prefix": "/", "ttl": 60}})
    await _is_not_kept(answer, name)


async def test_row_36_a_transform_excludes_a_replay_from_the_cache() -> None:
    """It is replayed, transformed, and not kept; a warning says why."""
    document = {"app": "alice", "transform": {"path": "/"}, "cache": {"prefix": "/", "ttl": 60}}
    await _is_not_kept(replaying_json(document), "transform")


async def _is_not_kept(answer: Answer, name: str) -> None:
    async with backend(answer) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        await fly.machine("alice")
        assert [(await fly.ask()).status_code for _ in range(2)] == [200, 200]
        assert len(router.seen) == 2
        assert fly.warnings("router") == [f"the replay is not cached: {name} excludes it"] * 2


async def test_row_36_the_json_form_is_remembered_too() -> None:
    """`cache` with prefix and ttl is the same as the headers; a ttl that is too short is not kept."""
    for ttl, asked in ((60, 1), (10.5, 1), (9.5, 2)):
        document = {"app": "alice", "cache": {"prefix": "x.example/a/*", "ttl": ttl}}
        async with backend(replaying_json(document)) as router, edge(router.attached("router")) as fly:
            fly.app("alice")
            await fly.machine("alice")
            assert [(await fly.ask("/a/b")).status_code for _ in range(2)] == [200, 200]
            assert len(router.seen) == asked


@pytest.mark.parametrize("form", ["header", "json"])
@pytest.mark.parametrize(
    ("allows", "statuses"), [(True, ["miss", "hit", "bypass", "hit"]), (False, ["miss", "hit", "hit", "hit"])]
)
async def test_row_36_a_client_may_skip_the_cache_only_where_that_is_allowed(
    form: str, allows: bool, statuses: list[str]
) -> None:
    """With leave, `skip` asks the router and the target hears `bypass`; without, it changes nothing."""
    answer = cached(**({"allow_bypass": "yes"} if allows else {}))
    if form == "json":
        cache = {"prefix": "/", "ttl": 60, "allow_bypass": allows}
        answer = replaying_json({"app": "alice", "cache": cache, "allow_bypass": allows})
    async with (
        backend(answer) as router,
        backend(saying("ok")) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        for headers in ([SKIP], [], [SKIP], []):
            await fly.ask(headers=headers)
        assert [status(saw) for saw in alice.seen] == [(one, one != "hit") for one in statuses]
        assert len(router.seen) == (2 if allows else 1)


@pytest.mark.parametrize("form", ["header", "json"])
async def test_row_36_a_target_invalidates_what_led_to_it(form: str) -> None:
    """Its replay back to the router's app, with the word for it, has the router asked anew."""
    home = "alice"

    def route(saw: Saw) -> Says:
        return cached(f"app={home}")(saw)

    def moved(saw: Saw) -> Says:
        if saw.path == "/stay":
            return saying("alice")(saw)
        if form == "json":
            return replaying_json({"app": "router", "cache": {"invalidate": True}})(saw)
        return replaying("app=router", ("fly-replay-cache", "invalidate"))(saw)

    async with (
        backend(route) as router,
        backend(moved) as alice,
        backend(saying("bob")) as bob,
        edge(router.attached("router"), alice.attached("alice"), bob.attached("bob")) as fly,
    ):
        assert [(await fly.ask("/stay")).text for _ in range(2)] == ["alice", "alice"]
        home = "bob"
        assert [(await fly.ask("/moved")).text for _ in range(3)] == ["bob"] * 3
        assert (await fly.ask("/stay")).text == "bob"
        assert len(router.seen) == 2
        assert (router.seen[1].header("fly-replay-src") or "").startswith(
            f"instance={alice.attached('alice').machine_id};"
        )
        assert [status(saw) for saw in bob.seen] == [("miss", True), *[("hit", False)] * 3]


async def test_row_36_only_a_target_invalidates_and_only_towards_the_router() -> None:
    """The router's own word, or a target's towards a third app, leaves what is kept, with a warning."""
    word = ("fly-replay-cache", "invalidate")

    def route(saw: Saw) -> Says:
        return (cached() if saw.path == "/" else replaying("app=alice", word))(saw)

    async with (
        backend(route) as router,
        backend(replaying("app=bob", word)) as alice,
        backend(saying("bob")) as bob,
        edge(router.attached("router"), alice.attached("alice"), bob.attached("bob")) as fly,
    ):
        for host, path in (("a.example", "/"), ("b.example", "/x"), ("a.example", "/")):
            assert (await fly.ask(path, host=host)).text == "bob"
        assert [saw.path for saw in router.seen] == ["/", "/x"]
        assert len(fly.warnings("alice")) == 3
        assert len(fly.warnings("router")) == 1


async def test_row_36_a_targets_own_replay_is_not_remembered() -> None:
    """Only what the app of the door says is kept: a target that asks for more is warned."""
    async with (
        backend(cached()) as router,
        backend(cached("app=bob")) as alice,
        backend(saying("bob")) as bob,
        edge(router.attached("router"), alice.attached("alice"), bob.attached("bob")) as fly,
    ):
        assert [(await fly.ask()).text for _ in range(3)] == ["bob"] * 3
        assert (len(router.seen), len(alice.seen)) == (1, 3)
        assert len(fly.warnings("alice")) == 3


async def test_row_36_a_hit_that_reaches_nobody_is_a_502_and_forgotten() -> None:
    """The visitor sees the failure, the router is asked by the next one."""
    async with (
        backend(cached()) as router,
        edge(router.attached("router"), settings=ProxySettings(give_up_s=1)) as fly,
    ):
        fly.app("alice")
        machine = await fly.machine("alice")
        assert (await fly.ask()).status_code == 200
        fly.lifecycle.destroy(machine, force=True)
        assert ((await fly.ask()).status_code, len(router.seen)) == (502, 1)
        assert ((await fly.ask()).status_code, len(router.seen)) == (502, 2)


async def test_row_36_a_replay_that_reached_nobody_is_not_remembered() -> None:
    """What failed is asked for again."""
    async with (
        backend(cached()) as router,
        edge(router.attached("router"), settings=ProxySettings(give_up_s=1)) as fly,
    ):
        fly.app("alice")
        assert [(await fly.ask()).status_code for _ in range(2)] == [502, 502]
        assert len(router.seen) == 2


async def test_row_36_what_is_remembered_is_still_refused_across_networks() -> None:
    """A hit is checked like a replay: a switch that was turned off since counts."""
    async with backend(cached()) as router, edge(router.attached("router")) as fly:
        fly.app("alice", network="alice")
        await fly.machine("alice")
        fly.world.orgs["acme"].cross_network_replays = True
        assert (await fly.ask()).status_code == 200
        fly.world.orgs["acme"].cross_network_replays = False
        assert ((await fly.ask()).status_code, len(router.seen)) == (502, 1)


async def _with_rules(fly: Edge, router: Backend, *rules: dict[str, Any]) -> None:
    """The router as a machine whose public port has session rules; alice and bob as targets."""
    fly.app("router")
    port = {"port": 443, "handlers": ["tls", "http"], "http_options": {"replay_cache": list(rules)}}
    await fly.machine("router", service(ports=[port]), program=router)
    for name in ("alice", "bob"):
        fly.app(name)
        await fly.machine(name)


def _rule(**changes: Any) -> dict[str, Any]:
    return {"path_prefix": "/", "ttl_seconds": 60, "type": "cookie", "name": "session"} | changes


async def test_row_37_the_api_takes_rules_that_can_be_followed_and_no_others() -> None:
    """A rule is echoed; too short a time, another type, no name or a pattern with a port is refused."""
    wrong: list[dict[str, Any]] = [
        {"ttl_seconds": 9},
        {"type": "query"},
        {"name": ""},
        {"path_prefix": "x.example:443/a"},
        {"path_prefix": "/a*b"},
        {"path_prefix": "a.example"},
    ]
    async with laptop() as fly:
        await create_app(fly)
        for changes in ({}, {"path_prefix": "x.example/a/*", "allow_bypass": True}, *wrong):
            port = {"port": 443, "handlers": ["http"], "http_options": {"replay_cache": [_rule(**changes)]}}
            body = {"config": config(services=[service(ports=[port])])}
            answer = await fly.client.post("/v1/apps/alice/machines", json=body)
            if changes in wrong:
                assert answer.status_code == 400
            else:
                shown = answer.json()["config"]["services"][0]["ports"][0]["http_options"]
                assert shown == {"replay_cache": [_rule(**changes)]}


@pytest.mark.parametrize("kind", ["cookie", "header"])
async def test_row_37_a_replay_is_remembered_per_value_of_a_cookie_or_header(kind: str) -> None:
    """Each value has its own replay; a request without one always asks the router."""

    def carrying(value: str) -> list[tuple[str, str]]:
        return [("cookie", f"theme=dark; session={value}")] if kind == "cookie" else [("session", value)]

    def route(saw: Saw) -> Says:
        value = saw.header(kind if kind == "cookie" else "session") or ""
        return replaying("app=alice" if value.endswith("a") else "app=bob")(saw)

    async with backend(route) as router, edge(doors=ROUTER) as fly:
        await _with_rules(fly, router, _rule(type=kind))
        told = [(await fly.ask("/x", headers=carrying(value))).json() for value in "abab"]
        assert [one["app"] for one in told] == ["alice", "bob", "alice", "bob"]
        assert len(router.seen) == 2
        statuses = [dict(one["saw"]["headers"])["fly-replay-cache-status"] for one in told]
        assert statuses == ["miss", "miss", "hit", "hit"]
        assert "fly-replay-src" not in dict(told[-1]["saw"]["headers"])
        for headers in (
            [],
            [("other", "a")],
            [("cookie", "sessions=a; x")],
            [*carrying("a"), *carrying("b")],
        ):
            await fly.ask("/x", headers=headers)
        assert len(router.seen) == 6


async def test_row_37_a_session_is_remembered_per_host_and_expires() -> None:
    """The same cookie on another host is another session; after its time the router is asked again."""
    async with backend(replaying("app=alice")) as router, edge(doors=ROUTER) as fly:
        await _with_rules(fly, router, _rule(ttl_seconds=20))
        asked = []
        for host, seconds in (("a.example", 0), ("b.example", 0), ("a.example", 19), ("a.example", 2)):
            await fly.world.clock.sleep(seconds)
            await fly.ask(host=host, headers=[("cookie", "session=1")])
            asked.append(len(router.seen))
        assert asked == [1, 2, 2, 3]


async def test_row_37_the_longest_prefix_decides_which_session_counts() -> None:
    """Under `/admin` the header counts, elsewhere the cookie; a prefix may name one host only."""
    rules = [
        _rule(),
        _rule(path_prefix="/admin/*", type="header", name="X-Admin"),
        _rule(path_prefix="other.example/only", type="header", name="x-only"),
    ]
    async with backend(replaying("app=alice")) as router, edge(doors=ROUTER) as fly:
        await _with_rules(fly, router, *rules)

        async def asks(path: str, *headers: tuple[str, str], host: str = "x.example") -> int:
            before = len(router.seen)
            await fly.ask(path, host=host, headers=headers)
            return len(router.seen) - before

        both = [("cookie", "session=1"), ("x-admin", "1")]
        assert await asks("/", *both) == 1
        assert await asks("/any", both[0]) == 0
        assert await asks("/admin", *both) == 1
        assert await asks("/admin/x", both[1]) == 0
        assert await asks("/", both[1]) == 1
        assert await asks("/only", ("x-only", "1")) == 1
        assert await asks("/only", ("x-only", "1")) == 1
        assert await asks("/only", ("x-only", "1"), host="other.example") == 1
        assert await asks("/only/x", ("x-only", "1"), host="other.example") == 0


@pytest.mark.parametrize("part", ["state=x", "timeout=5s", "fallback=force_self"])
async def test_row_37_the_same_parts_exclude_a_replay_from_a_session(part: str) -> None:
    """It is replayed and not kept, and a warning says why."""
    async with backend(replaying(f"app=alice;{part}")) as router, edge(doors=ROUTER) as fly:
        await _with_rules(fly, router, _rule())
        for _ in range(2):
            assert (await fly.ask(headers=[("cookie", "session=1")])).status_code == 200
        assert len(router.seen) == 2
        assert (
            fly.warnings("router") == [f"the replay is not cached: {part.partition('=')[0]} excludes it"] * 2
        )


@pytest.mark.parametrize("allows", [True, False])
async def test_row_37_a_session_is_skipped_only_where_its_rule_allows_that(allows: bool) -> None:
    """`allow_bypass` is off unless the rule has it."""
    async with backend(replaying("app=alice")) as router, edge(doors=ROUTER) as fly:
        await _with_rules(fly, router, _rule(allow_bypass=True) if allows else _rule())
        for headers in ([], [SKIP]):
            await fly.ask(headers=[("cookie", "session=1"), *headers])
        assert len(router.seen) == (2 if allows else 1)


async def test_row_37_a_target_invalidates_a_session_too() -> None:
    """The session of the request is forgotten, another one's is not."""

    def moved(saw: Saw) -> Says:
        if saw.path == "/moved":
            return replaying("app=router", ("fly-replay-cache", "invalidate"))(saw)
        return saying("old")(saw)

    async with (
        backend(
            lambda saw: replaying("app=bob" if saw.header("fly-replay-src") else "app=old")(saw)
        ) as router,
        backend(moved) as old,
        edge(old.attached("old"), doors=ROUTER) as fly,
    ):
        await _with_rules(fly, router, _rule())
        one, two = [("cookie", "session=1")], [("cookie", "session=2")]
        assert [(await fly.ask(headers=each)).text for each in (one, two)] == ["old", "old"]
        assert (await fly.ask("/moved", headers=one)).json()["app"] == "bob"
        assert (await fly.ask(headers=one)).json()["app"] == "bob"
        assert (await fly.ask(headers=two)).text == "old"
        assert len(router.seen) == 3


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_row_38_a_forgetful_cache_asks_the_router_more_often_and_changes_nothing_else(
    seed: int,
) -> None:
    """Some requests hit and some ask again, the same in every run of a seed; every one is answered."""
    runs = []
    for _ in range(2):
        async with (
            backend(cached()) as router,
            backend(saying("ok")) as alice,
            edge(
                router.attached("router"),
                alice.attached("alice"),
                settings=ProxySettings(forgetful_cache=seed),
            ) as fly,
        ):
            assert [(await fly.ask()).text for _ in range(30)] == ["ok"] * 30
            runs.append([status(saw)[0] for saw in alice.seen])
            assert len(router.seen) == runs[-1].count("miss")
    assert runs[0] == runs[1]
    assert 5 < runs[0].count("miss") < 25


async def test_row_38_different_seeds_forget_differently() -> None:
    """The order of forgetting follows the seed."""
    seen = set()
    for seed in range(4):
        async with (
            backend(cached()) as router,
            edge(router.attached("router"), settings=ProxySettings(forgetful_cache=seed)) as fly,
        ):
            fly.app("alice")
            await fly.machine("alice")
            seen.add(
                tuple(
                    [
                        (await fly.ask()).json()["saw"]["headers"].count(["fly-replay-cache-status", "hit"])
                        for _ in range(20)
                    ]
                )
            )
    assert len(seen) > 1
