"""Requests that no client of sound mind sends: each gets the contract's error, nothing hangs or breaks."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from localfly.api.routes import ROUTES
from tests import virtual_time
from tests.localfly.inprocess import TOKEN, laptop
from tests.localfly.requests import create_app, create_machine, said
from tests.wire import PYTHON, Program, started, until

KNOWN_ERRORS = {400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 501}
BODIES = [
    *(b"{", b"nonsense", b"\xff\xfe", b"[]", b"null", b"7", b'"text"', b"\x00", b'{"a": NaN}', b"[" * 50_000),
    *(b'{"config": []}', b'{"config": {"image": 7}}', b'{"name": [], "org_slug": {}}', b'{"values": [1]}'),
    *(b'{"ttl": "soon"}', b'{"metadata": {"a": 1}}', b'{"size_gb": 1e99}', b'{"a": "\xed\xa0\x80"}'),
    b'{"signal": 9, "timeout": {}, "command": {}, "config": {"image": "x", "mounts": {}}}',
]
WRITES = [route for route in ROUTES if route[0] in ("POST", "PUT", "PATCH")]


def concrete(path: str, machine_id: str) -> str:
    """A path of the table with things that exist."""
    return path.format(
        app_name="alice",
        machine_id=machine_id,
        org_slug="acme",
        volume_id="vol_x",
        key="k",
        name="N",
        hostname="a.example",
        ip="1.2.3.4",
    )


@pytest.mark.parametrize(("method", "path"), WRITES, ids=[f"{method} {path}" for method, path in WRITES])
async def test_no_body_however_odd_breaks_an_operation(method: str, path: str) -> None:
    """Malformed JSON, wrong types and bad UTF-8 are refused in the error envelope; nothing is written."""
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly)
        await asyncio.sleep(2)
        where = concrete(path, machine["id"])
        for body in BODIES:
            answer = await fly.client.request(
                method, where, content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code in KNOWN_ERRORS, (body[:40], answer.text)
            assert isinstance(answer.json()["error"], str)
        assert [len(app.machines) for app in fly.world.apps.values()] == [1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *("name", "org_slug", "network", "config", "region", "lease_ttl", "skip_launch", "current_version"),
        *("min_secrets_version", "values", "value", "ttl", "description", "metadata", "size_gb", "signal"),
        *("timeout", "command", "type", "hostname", "machine_version", "snapshot_retention", "compute"),
    ]
)


@settings(max_examples=60, deadline=None)
@given(route=st.sampled_from(WRITES), body=st.dictionaries(FIELDS, JSON, max_size=4))
def test_no_value_of_any_type_in_any_field_is_a_fault_of_localfly(
    route: tuple[str, str], body: dict[str, Any]
) -> None:
    virtual_time.run(_try(route, body))


async def _try(route: tuple[str, str], body: dict[str, Any]) -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly)
        await asyncio.sleep(2)
        answer = await fly.client.request(
            route[0],
            concrete(route[1], machine["id"]),
            content=json.dumps(body).encode("utf-8", "surrogatepass"),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code < 500 or answer.status_code == 501, (route, body, answer.text)


QUERIES = (
    "limit",
    "cursor",
    "updated_after",
    "timeout",
    "state",
    "region",
    "version",
    "ttl",
    "min_version",
    "org_slug",
)
READS = [route for route in ROUTES if route[0] in ("GET", "DELETE")]


@settings(max_examples=60, deadline=None)
@given(
    route=st.sampled_from(READS),
    query=st.dictionaries(
        st.sampled_from(QUERIES),
        st.text(max_size=12)
        | st.integers().map(str)
        | st.sampled_from(["nan", "inf", "9" * 5000, "MA", "0001-01-01T00:00:00+14:00"]),
        max_size=2,
    ),
)
def test_no_query_however_odd_is_a_fault_of_localfly(route: tuple[str, str], query: dict[str, str]) -> None:
    virtual_time.run(_ask(route, query))


async def _ask(route: tuple[str, str], query: dict[str, str]) -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly)
        await asyncio.sleep(2)
        answer = await fly.client.request(route[0], concrete(route[1], machine["id"]), params=query)
        assert answer.status_code < 500 or answer.status_code == 501, (route, query, answer.text)


async def test_a_body_that_never_comes_is_refused_after_a_while() -> None:
    """Somebody announces a body and falls silent: 408 by half a minute, and the connection ends."""
    async with laptop() as fly:
        sent: list[Message] = []
        pieces = [b'{"name":']

        async def receive() -> Message:
            if pieces:
                return {"type": "http.request", "body": pieces.pop(), "more_body": True}
            await asyncio.sleep(3600)
            raise AssertionError("nobody should wait that long")

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [
            (b"host", b"localhost"),
            (b"authorization", f"Bearer {TOKEN}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"900"),
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/apps",
            "query_string": b"",
            "headers": headers,
        }
        before = fly.world.clock()
        await fly.api(scope, receive, send)
        waited_s = fly.world.clock() - before

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert 25 < waited_s < 35


async def test_a_fault_of_localfly_itself_is_one_json_answer() -> None:
    """Even what nobody thought of ends in a 500 in the envelope."""
    async with laptop() as fly:
        await create_app(fly)
        app = fly.world.apps["alice"]
        number = app.org.networks.pop("default")  # no lawful world is like this
        status, text = said(await fly.client.get("/v1/apps/alice"))
        app.org.networks["default"] = number

    assert (status, text.startswith("internal: ")) == (500, True)


HEAD = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
JSON_HEAD = f"{HEAD}Content-Type: application/json\r\n"
MESSAGES = {
    "malformed JSON": (
        f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Content-Length: 1\r\n\r\n{{",
        400,
        "invalid JSON",
    ),
    "a list": (
        f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Content-Length: 2\r\n\r\n[]",
        400,
        "cannot unmarshal array",
    ),
    "no token": ("GET /v1/apps HTTP/1.1\r\nHost: localhost\r\n\r\n", 401, "token validation error"),
    "wrong token": (
        "GET /v1/apps HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n",
        401,
        "token",
    ),
    "token in latin-1": (
        "GET /v1/apps HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\r\n\r\n",
        401,
        "token",
    ),
    "unknown route": (f"GET /v2/nothing HTTP/1.1\r\n{HEAD}\r\n", 404, "404 page not found"),
    "odd method": (f"PROPFIND /v1/apps HTTP/1.1\r\n{HEAD}\r\n", 404, "404 page not found"),
    "too large": (
        f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Content-Length: 10000001\r\n\r\n",
        413,
        "larger than",
    ),
    "absurdly large": (
        f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Content-Length: {10**18}\r\n\r\n",
        413,
        "larger than",
    ),
    "length in words": (f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Content-Length: many\r\n\r\n", 400, ""),
    "a negative length": (f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Content-Length: -1\r\n\r\n", 400, ""),
    "not HTTP": ("\x16\x03\x01 hello\r\n\r\n", 400, ""),
    "dots": (f"GET /v1/apps/../../etc/passwd HTTP/1.1\r\n{HEAD}\r\n", 404, "404 page not found"),
    "slashes": (f"GET //v1///apps HTTP/1.1\r\n{HEAD}\r\n", 404, "404 page not found"),
    "a zero byte": (f"GET /v1/apps/%00 HTTP/1.1\r\n{HEAD}\r\n", 404, "app not found"),
    "bad UTF-8 in the path": (f"GET /v1/apps/%ff%fe HTTP/1.1\r\n{HEAD}\r\n", 404, "app not found"),
    "raw bytes in the path": (f"GET /v1/apps/\xff\xfe HTTP/1.1\r\n{HEAD}\r\n", 400, ""),
    "a line break in the path": (
        f"GET /v1/apps/a%0d%0aSet-Cookie:x HTTP/1.1\r\n{HEAD}\r\n",
        404,
        "app not found",
    ),
    "a long path": (f"GET /v1/apps/{'a' * 30_000} HTTP/1.1\r\n{HEAD}\r\n", 404, "app not found"),
    "bad UTF-8 in the query": (
        f"GET /v1/apps?org_slug=%ff HTTP/1.1\r\n{HEAD}\r\n",
        404,
        "organization not found",
    ),
}


@asynccontextmanager
async def localfly() -> AsyncIterator[tuple[Program, int]]:
    """The program, without rate limits, and its port."""
    env = {"FLY_API_TOKEN": TOKEN}
    argv = (PYTHON, "-m", "localfly", "--api", "127.0.0.1:0", "--no-rate-limits")
    async with started(*argv, env=env) as program:
        await program.said(r"^localfly ready$")
        yield program, int((await program.said(r"^localfly api http://.*:(\d+)$"))[1])


async def reply(port: int, message: str) -> str:
    """All that comes back for these bytes until the connection ends, or the answer is whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(message.encode("latin-1"))
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b":0"
            )
            return (head + await reader.readexactly(int(length.partition(b":")[2]))).decode()
    finally:
        writer.close()


@pytest.mark.wire
async def test_raw_nonsense_on_the_wire_gets_answers_and_leaves_no_trace() -> None:
    """Each odd message has its error, lost clients and endless bodies harm nobody, stderr stays empty."""
    async with localfly() as (program, port):
        for name, (message, status, text) in MESSAGES.items():
            answer = await reply(port, message)
            assert answer.startswith(f"HTTP/1.1 {status} "), (name, answer)
            assert text in answer, (name, answer)

        for begun in ("POST", "PO", f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Content-Length: 99\r\n\r\n{{"):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun.encode())
            await writer.drain()
            writer.transport.abort()

        assert await is_cut_off(port)
        began = time.monotonic()
        assert "200 OK" in await reply(port, f"GET /_localfly/world HTTP/1.1\r\n{HEAD}\r\n")
        assert time.monotonic() - began < 2

        fault = json.dumps({"answer": "lost", "operation": "POST /v1/apps", "after_effect": True})
        made = f"POST /_localfly/faults HTTP/1.1\r\n{JSON_HEAD}Content-Length: {len(fault)}\r\n\r\n{fault}"
        assert "201" in await reply(port, made)
        app = '{"name": "alice", "org_slug": "personal"}'
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reply(port, f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Content-Length: {len(app)}\r\n\r\n{app}")
        assert "200 OK" in await reply(port, f"GET /v1/apps/alice HTTP/1.1\r\n{HEAD}\r\n")

        journal = await until(lambda: reply(port, f"GET /_localfly/requests HTTP/1.1\r\n{HEAD}\r\n"))
        assert '"path":"/v1/apps","status":0' in journal
        assert program.err == []


async def is_cut_off(port: int) -> bool:
    """Whether somebody who sends a body without an end is cut off before a hundred megabytes."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"POST /v1/apps HTTP/1.1\r\n{JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(1600):
            writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            await writer.drain()
    except ConnectionError:
        return True
    finally:
        writer.close()
    return False
