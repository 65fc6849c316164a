"""Drives one connection of the router without a socket: bytes in, bytes out, and whether it closed."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from router.http1 import Connection, Limits
from router.server import Answered, Door, Listener, Router
from router.state import Signer
from router.table import Route, Table, Unavailable
from tests import virtual_time

ROOT = bytes(range(32))
NOW = 1_780_000_020
PROXIED = b"Fly-Client-IP: 203.0.113.7\r\nFly-Region: iad\r\nFly-Forwarded-Port: 443\r\n"
MANAGED = PROXIED.replace(b": 443", b": 9090")
TABLE = Table(
    revision=1,
    hosts={
        "alice.example.com": Route("acme-alice", {"web-0": "91851e6b000001"}),
        "pair.example.com": Route("acme-pair", {"web-1": "91851e6b000003", "web-0": "91851e6b000002"}),
        "bob.example.com": Unavailable("Creating", "The app is being created.", 7),
        "self.example.com": Route("acme-router"),
        "evil.example.com": Route("acme;app=other"),
    },
    users={
        "alice": Route("acme-alice", {"web-0": "91851e6b000001"}),
        "bob": Unavailable("Creating", "The app is being created.", 7),
        "gate": Route("acme-gateway"),
        "evil": Route("acme-evil", {"web-0": "x\r\nset-cookie: a=b"}),
    },
)
PUBLIC = Listener("public", "acme-router", "127.0.0.1", 0)
PRIVATE = Listener("management", "acme-gateway", "127.0.0.1", 0, private=True)


class Recorder(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False
        self.is_half_closed = False
        self.reads = True

    def write(self, data: Any) -> None:
        assert not self.is_closed
        assert not self.is_half_closed
        self.written += bytes(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.is_half_closed = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


@dataclass(slots=True)
class Heard:
    """What a client got, and what the access log was told."""

    data: bytes
    is_over: bool  # closed, or nothing more will be written
    log: list[Answered] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def statuses(self) -> list[int]:
        return [int(part.split(b" ", 1)[0]) for part in self.data.split(b"HTTP/1.1 ")[1:]]

    @property
    def replays(self) -> list[bytes]:
        return [line for line in self.data.split(b"\r\n") if line.lower().startswith(b"fly-replay")]


def signer(auth: Any = "signed") -> Signer:
    return Signer(auth=auth, replay_root=ROOT, kid="a1b2c3d4")


def send(
    *chunks: bytes,
    listener: Listener = PUBLIC,
    table: Table | None = TABLE,
    auth: str = "signed",
    limits: Limits | None = None,
    wait_s: float = 0,
    hang_up: bool = False,
) -> Heard:
    """What a fresh router answers to `chunks` on one connection, `wait_s` virtual seconds later."""

    async def talk() -> Heard:
        log: list[Answered] = []
        router = Router(signer(auth), now=lambda: NOW, on_answer=log.append)
        if table is not None:
            router.publish(table)
        door = Door(router, listener, frozenset({"acme-router", "acme-gateway"}))
        transport, connection = connected(lambda: Connection(door, limits=limits))
        for chunk in chunks:
            connection.data_received(chunk)
        if hang_up:
            connection.eof_received()
        await asyncio.sleep(wait_s)
        heard = Heard(transport.written, transport.is_closed or transport.is_half_closed, log)
        connection.connection_lost(None)
        return heard

    return virtual_time.run(talk())


def connected(make: Callable[[], Connection]) -> tuple[Recorder, Connection]:
    transport, connection = Recorder(), make()
    connection.connection_made(transport)
    return transport, connection


def get(
    host: bytes = b"alice.example.com",
    *lines: bytes,
    target: bytes = b"/",
    method: bytes = b"GET",
    marks: bytes = PROXIED,
    body: bytes = b"",
) -> bytes:
    """A request as Fly's proxy would pass it on."""
    head = b"%s %s HTTP/1.1\r\nHost: %s\r\n%s" % (method, target, host, marks)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def split_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` in pieces, cut at the given offsets."""
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a != b]
