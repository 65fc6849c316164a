"""What carries our calls fastest behind httpx: its own transport, or aiohttp's client.

Run it as `python -m bench.transport`. Answers for the figures of docs/benchmarks.md. The server is a process
of its own that answers every request at once, so that the client is what is measured.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import cast

import httpx
import uvloop
from httpx_aiohttp import AiohttpTransport

from reconciler.fly.client import FlyClient
from reconciler.fly.pace import Pace

CALLS = 4_000
AT_ONCE = 64
ROUNDS = 3
MACHINE = (
    b'{"id": "d891234567e890", "name": "web-0", "state": "started", "region": "iad", "instance_id": '
    b'"01HXXXXXXXXXXXXXXXXXXXXXXX", "config": {"image": "registry.fly.io/studio:1", "metadata": {'
    + b", ".join(b'"key_%02d": "%s"' % (n, b"x" * 32) for n in range(20))
    + b'}}, "events": [], "checks": []}'
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(MACHINE),
    MACHINE,
)
LIMITS = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)

Transport = Callable[[], httpx.AsyncBaseTransport]
TRANSPORTS: dict[str, Transport] = {
    "httpx's own": lambda: httpx.AsyncHTTPTransport(limits=LIMITS),
    "httpx-aiohttp": lambda: AiohttpTransport(limits=LIMITS),
}


class Server(asyncio.Protocol):
    """Answers every request head with a machine."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            _, _, self._read = self._read.partition(b"\r\n\r\n")
            self._transport.write(ANSWER)


def serve(told: Connection) -> None:
    """Be the server until killed; tells its port."""

    async def for_ever() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(for_ever())


async def calls_per_s(transport: Transport, port: int) -> float:
    """Read machines, so many at once, with everything that our client does besides."""
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(transport=transport(), base_url=base, trust_env=False) as http:
        fly = FlyClient(http, token="x", pace=Pace(None))  # noqa: S106 - no secret of anybody's
        left = iter(range(CALLS))

        async def work() -> None:
            for number in left:
                await fly.get_machine("acme-alice", f"d{number}")

        begun = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return CALLS / (time.perf_counter() - begun)


async def main(port: int) -> None:
    """Measure in turns, so that a busy moment of the computer meets all, and print."""
    found: dict[str, list[float]] = {name: [] for name in TRANSPORTS}
    for _ in range(ROUNDS):
        for name, transport in TRANSPORTS.items():
            found[name].append(await calls_per_s(transport, port))
    for name, rates in found.items():
        print(f"{name}: {statistics.median(rates):.0f} calls/s at {AT_ONCE} at once")


if __name__ == "__main__":
    hears, tells = multiprocessing.get_context("spawn").Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(tells,), daemon=True)
    server.start()
    uvloop.run(main(hears.recv()))
    server.terminate()
