"""Rows 8 to 18 of the list of edge behaviours: what a replay may say, what it carries, and its limits."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from localfly.proxy.door import Door
from localfly.proxy.edge import ProxySettings
from tests.localfly.backend import Answer, Saw, Says, backend, replaying, replaying_json, saying
from tests.localfly.edge import edge, service

UNPARSED = "[PA03] could not parse 'fly-replay' response header returned by app"
VALUES = {
    "app=alice": 200,
    "app=alice;state=v1.a_b-c": 200,
    "state=x;app=alice": 200,
    'app="alice"': 200,
    'app=alice;region="fra,iad"': 200,
    "app=alice;timeout=800ms;fallback=prefer_self": 200,
    "app=alice;elsewhere=true": 200,
    "app=alice,state=x": 502,
    "app=alice;state=a=b": 502,
    "app=alice;state=YQ==": 502,
    "app=alice;app=alice": 502,
    "app=alice;region=fra,iad": 502,
    "app=alice; state=x": 502,
    "app = alice": 502,
    "APP=alice": 502,
    "app=": 502,
    "app=alice;": 502,
    'app="alice': 502,
    "app=alice;state=%41": 502,
    "app=alice;state=a:b": 502,
    "app=alice;instance=1;prefer_instance=2": 502,
    "app=alice;elsewhere=yes": 502,
    "app=alice;fallback=self": 502,
    "": 502,
}


@pytest.mark.parametrize("value", VALUES)
async def test_row_08_the_header_grammar_is_strict(value: str) -> None:
    """Semicolons, quoted lists, no key twice, no second `=`: everything else is a 502 and PA03."""
    async with backend(replaying(value)) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        machine = await fly.machine("alice")
        answer = await fly.ask()
        assert answer.status_code == VALUES[value]
        if answer.status_code == 200:
            assert answer.json()["machine"] == machine.id
            assert fly.errors("router") == []
        else:
            assert answer.content == b""
            assert fly.errors("router") == [UNPARSED]


async def test_row_09_an_unknown_key_does_not_fail_but_loops() -> None:
    """A typo in a key is a replay to the app itself, until the limit of replays ends it."""
    async with backend(replaying("cache_key=x")) as router, edge(router.attached("router")) as fly:
        assert (await fly.ask()).status_code == 502
        assert len(router.seen) == 11
        assert [line[:6] for line in fly.errors("router")] == ["[PA02]"]


@pytest.mark.parametrize(
    ("header", "document"),
    [
        ("app=alice;state=v1.x", {"app": "alice", "state": "v1.x"}),
        ('app=alice;region="syd,fra"', {"app": "alice", "region": "syd,fra"}),
        ("app=alice;instance={far}", {"app": "alice", "instance": "{far}"}),
        ("app=alice;prefer_instance={far}", {"app": "alice", "prefer_instance": "{far}", "elsewhere": False}),
        ("app=alice;elsewhere=true;timeout=2s", {"app": "alice", "elsewhere": True, "timeout": "2s"}),
        ("app=alice;fallback=force_self", {"app": "alice", "fallback": "force_self"}),
    ],
)
async def test_row_10_the_json_form_says_the_same_as_the_header(
    header: str, document: dict[str, object]
) -> None:
    """Same target and same `fly-replay-src`, from either form; the document itself reaches nobody."""
    forms: list[Answer] = []

    def answer_in_turn(saw: Saw) -> Says:
        return forms.pop(0)(saw)

    async with (
        backend(answer_in_turn) as router,
        edge(router.attached("router")) as fly,
    ):
        fly.app("alice")
        await fly.machine("alice")
        far = await fly.machine("alice", region="fra")
        filled = {
            name: value.replace("{far}", far.id) if isinstance(value, str) else value
            for name, value in document.items()
        }
        told = []
        forms += [replaying(header.format(far=far.id)), replaying_json(filled)]
        while forms:
            answer = await fly.ask("/p?q=1", method="POST", content=b"body")
            assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
            seen = answer.json()
            src = dict(seen["saw"]["headers"])["fly-replay-src"].split(";")
            told.append((seen["machine"], src[:2], src[3:], seen["saw"]["path"], seen["saw"]["body"]))
        assert told[0] == told[1]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b'{"app": 1}',
        b'{"elsewhere": "true"}',
        b'{"timeout": 10}',
        b'{"timeout": "1500"}',
        b'{"state": "a=b"}',
        b'{"state": "a;app=other"}',
        b'{"app": "alice", "application": "alice"}',
        b'{"transform": {"path": "no-slash"}}',
        b'{"transform": {"path": "/a b"}}',
        b'{"transform": {"set_headers": [{"name": "x", "value": "a\\r\\nb: c"}]}}',
        b'{"transform": {"delete_headers": ["a b"]}}',
        b'{"app": "alice", "state": "' + b"x" * 70_000 + b'"}',
    ],
)
async def test_row_10_a_document_that_is_not_understood_is_malformed(document: bytes) -> None:
    """Wrong types, unknown members, nonsense and too much of it: 502 and PA03, and nobody sees it."""
    async with backend(replaying_json(document)) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        await fly.machine("alice")
        answer = await fly.ask()
        assert (answer.status_code, answer.content) == (502, b"")
        assert fly.errors("router") == [UNPARSED]


async def test_row_11_a_transform_changes_path_query_and_headers_for_the_target_only() -> None:
    """The target sees the new path, no cookie and the header that was set; the fallback sees the original."""
    transform = {
        "path": "/new?x=1",
        "delete_headers": ["Cookie", "X-Both"],
        "set_headers": [
            {"name": "X-User", "value": "u 1"},
            {"name": "x-both", "value": "set"},
            {"name": "X-There", "value": "new"},
        ],
    }
    document = {"app": "alice", "transform": transform, "timeout": "300ms", "fallback": "force_self"}

    def answer(saw: Saw) -> Says:
        return saying("mine")(saw) if saw.header("fly-replay-failed") else replaying_json(document)(saw)

    sent = [("cookie", "session=1"), ("x-both", "sent"), ("x-there", "a"), ("x-there", "b"), ("x-kept", "k")]
    async with backend(answer) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        machine = await fly.machine("alice")
        saw = (await fly.ask("/old?y=2", headers=sent)).json()["saw"]
        headers = [(name, value) for name, value in saw["headers"] if name.startswith(("x-", "cookie"))]
        mine = [pair for pair in headers if not pair[0].startswith("x-forwarded")]
        assert saw["path"] == "/new?x=1"
        assert sorted(mine) == [("x-both", "set"), ("x-kept", "k"), ("x-there", "new"), ("x-user", "u 1")]
        fly.lifecycle.destroy(machine, force=True)
        assert (await fly.ask("/old?y=2", headers=sent)).text == "mine"
        back = router.seen[-1]
        assert (back.path, back.header("cookie"), back.header("x-both")) == ("/old?y=2", "session=1", "sent")
        assert back.header("x-user") is None


@pytest.mark.parametrize("name", ["Host", "Fly-Client-IP", "fly-replay-src", "Connection", "Content-Length"])
@pytest.mark.parametrize("how", ["set", "delete"])
async def test_row_11_headers_of_the_proxy_are_not_a_transforms_to_touch(name: str, how: str) -> None:
    """They stay as they are, the rest of the transform counts, and a warning names them."""
    change: dict[str, Any] = {"set_headers": [{"name": "x-user", "value": "1"}]}
    if how == "set":
        change["set_headers"].append({"name": name, "value": "7"})
    else:
        change["delete_headers"] = [name]
    document = {"app": "alice", "transform": change}
    async with (
        backend(replaying_json(document)) as router,
        backend(saying("ok")) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        assert (await fly.ask(method="POST", content=b"four")).status_code == 200
        saw = alice.seen[0]
        assert (saw.header("host"), saw.header("fly-client-ip"), saw.body) == (
            "x.example",
            "127.0.0.1",
            b"four",
        )
        assert saw.header("x-user") == "1"
        assert (saw.header("fly-replay-src") or "").startswith("instance=")
        assert fly.warnings("router") == [
            f"the transform does not touch {name.lower()}: it is the proxy's own"
        ]


async def test_row_12_method_body_host_and_headers_are_the_clients() -> None:
    """A POST of 200 kB arrives with its hash, its Host, its path and what else the client sent."""
    body = bytes(range(256)) * 800
    async with backend(replaying("app=alice")) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        await fly.machine("alice")
        sent = [("x-mine", "1"), ("cookie", "a=b"), ("authorization", "Bearer t")]
        answer = await fly.ask(
            "/p/%20?q=%26", method="POST", content=body, headers=sent, host="Shop.Example:8"
        )
        saw = answer.json()["saw"]
        headers = dict(saw["headers"])
        assert (saw["method"], saw["path"]) == ("POST", "/p/%20?q=%26")
        assert saw["body"] == {"size": 204_800, "sha256": hashlib.sha256(body).hexdigest()}
        assert {name: headers[name] for name in ("host", *dict(sent))} == {
            "host": "Shop.Example:8",
            **dict(sent),
        }


@pytest.mark.parametrize("status", [200, 204, 307, 409, 500])
async def test_row_13_the_routers_own_answer_is_discarded(status: int) -> None:
    """Status, cookie and body of an answer with `fly-replay` never reach the client, whatever they are."""

    def answer(_: Saw) -> Says:
        body = b"" if status == 204 else b"router's body"
        return Says(status, [("fly-replay", "app=alice"), ("set-cookie", "r=1"), ("x-router", "1")], body)

    async with (
        backend(answer) as router,
        backend(saying("alice's body", ("set-cookie", "a=1"))) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        got = await fly.ask()
        assert (got.status_code, got.text, got.headers["set-cookie"]) == (200, "alice's body", "a=1")
        assert "x-router" not in got.headers


@pytest.mark.parametrize(
    "answer",
    [
        replaying("app=alice;state=secret"),
        replaying("app=alice;state=secret", ("fly-replay-cache", "/*"), ("fly-replay-cache-ttl-secs", "60")),
        replaying("app=nobody;state=secret"),
        replaying("app=nobody;state=secret;fallback=force_self"),
        replaying("app=alice,state=secret"),
        replaying("app=alice;state=secret", ("fly-replay-delete-header", "cookie")),
        replaying_json({"app": "alice", "state": "secret"}),
        replaying_json({"app": "nobody", "state": "secret", "fallback": "prefer_self"}),
        replaying_json(b'{"state": "secret", '),
        saying("x", ("fly-replay-cache", "secret"), ("fly-replay-anything", "secret")),
    ],
)
async def test_row_14_nothing_of_a_replay_reaches_a_client(answer: Answer) -> None:
    """Followed, refused, failed, fallen back or meaningless: no `fly-replay*`, no state in what comes out."""
    async with (
        backend(answer) as router,
        backend(saying("ok", ("fly-replay-cache-ttl-secs", "secret"))) as alice,
        edge(router.attached("router"), alice.attached("alice"), settings=ProxySettings(give_up_s=1)) as fly,
        fly.connection() as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n")
        everything = (await reader.read()).lower()
        assert everything.startswith(b"http/1.1 ")
        assert b"fly-replay" not in everything
        assert b"secret" not in everything
        assert not [line for line in fly.errors("router") if "secret" in line]


@pytest.mark.parametrize("limit", [1_000_000, 10_000_000])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("beyond", [0, 1])
async def test_row_15_a_body_beyond_the_limit_is_not_replayed(
    limit: int, is_chunked: bool, beyond: int
) -> None:
    """1,000,000 bytes, or 10 MB by the switch, pass with and without a length; one more is PA01."""
    body = b"x" * (limit + beyond)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 100_000):
            yield body[at : at + 100_000]

    settings = ProxySettings() if limit == 1_000_000 else ProxySettings(replayable_size=limit)
    async with (
        backend(replaying("app=alice")) as router,
        edge(router.attached("router"), settings=settings) as fly,
    ):
        fly.app("alice")
        await fly.machine("alice")
        answer = await fly.ask(method="POST", content=pieces() if is_chunked else body)
        if beyond:
            assert (answer.status_code, answer.content) == (502, b"")
            assert [line[:6] for line in fly.errors("router")] == ["[PA01]"]
        else:
            assert answer.json()["saw"]["body"]["size"] == limit


@pytest.mark.parametrize(("replays", "status"), [(10, 200), (11, 502)])
async def test_row_16_a_chain_ends_after_ten_replays(replays: int, status: int) -> None:
    """A pair that plays ping-pong: ten replays pass, the eleventh is 502 and PA02."""
    left = replays

    def to(app: str) -> Answer:
        def answer(saw: Saw) -> Says:
            nonlocal left
            left -= 1
            return replaying(f"app={app}")(saw) if left >= 0 else saying("done")(saw)

        return answer

    async with (
        backend(to("pong")) as ping,
        backend(to("ping")) as pong,
        edge(ping.attached("ping"), pong.attached("pong")) as fly,
    ):
        assert (await fly.ask()).status_code == status
        lines = fly.errors("ping") + fly.errors("pong")
        assert [line[:6] for line in lines] == ([] if status == 200 else ["[PA02]"])


async def test_row_17_the_inbound_public_port_selects_the_targets_service() -> None:
    """A target with only 80 fails for a request on 443, and the log says which port nobody serves."""
    doors = [Door("127.0.0.1", 0, port, "router") for port in (443, 80)]
    async with (
        backend(replaying("app=alice")) as router,
        edge(
            *(router.attached("router", public_port=door.public_port) for door in doors), doors=doors
        ) as fly,
    ):
        fly.app("alice")
        await fly.machine("alice", service(port=80, handlers=["http"]))
        assert [(await fly.ask(door=door)).status_code for door in (0, 1)] == [502, 200]
        assert fly.errors("router") == [
            "app router tried to fly-replay to app alice, but nothing from that app serves port tcp/443"
        ]


REFUSALS = {
    "app=nobody": "[PA04] app 'router' used 'fly-replay' response header to target app 'nobody', "
    "which we cannot find",
    "app=empty": "app router tried to fly-replay to app empty, but nothing from that app serves port tcp/443",
    "app=isolated": "app 'router' used 'fly-replay' response header to target app 'isolated', "
    "but cross-network replays are not allowed",
    "app=stranger": "[PA05] app 'router' used 'fly-replay' response header to target app 'stranger', "
    "but it doesn't have permission to do so",
    "app=alice;instance=00000000000000": "app router tried to fly-replay to app alice, "
    "but no instance 00000000000000 from that app serves port tcp/443",
    "app=alice;region=xyz": "app router tried to fly-replay to app alice, "
    "but nothing from that app serves port tcp/443 in region xyz",
    "app=alice,state=x": UNPARSED,
}


@pytest.mark.parametrize("value", REFUSALS)
async def test_row_18_a_failed_replay_is_an_empty_502_and_its_reason_a_line_of_the_router(value: str) -> None:
    """Unknown app, no machine, another network, another organisation: the client cannot tell them apart."""
    async with backend(replaying(value)) as router, edge(router.attached("router")) as fly:
        for name, org, network in (
            ("alice", "acme", "default"),
            ("isolated", "acme", "other"),
            ("stranger", "elsewhere", "default"),
        ):
            fly.app(name, org=org, network=network)
            await fly.machine(name)
        fly.app("empty")
        answer = await fly.ask()
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (502, b"", "0")
        assert (answer.headers["via"], "fly-request-id" in answer.headers) == ("1.1 fly.io", True)
        assert fly.errors("router") == [REFUSALS[value]]
        assert fly.journal.lines[-1]["subject"] == f"logs.router.iad.{router.attached('router').machine_id}"
