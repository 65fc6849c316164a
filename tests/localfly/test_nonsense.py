"""Requests that no client of sound mind sends: each gets the contract's error, nothing hangs or breaks."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from localfly.api.routes import ROUTES
from tests import virtual_time
from tests.localfly.inprocess import TOKEN, laptop
from tests.localfly.requests import create_app, create_machine, said

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
