"""Nonsense as bytes on a real socket: each message has the contract's error, and nothing is left behind."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.localfly.inprocess import TOKEN
from tests.wire import PYTHON, Program, started, until

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
