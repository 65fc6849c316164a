"""What localfly's proxy costs: time added to a request, memory for idle and for slow clients.

Run it as `python -m bench.localfly_proxy`. Answers for the figures of docs/benchmarks.md; Linux only, as it
reads /proc.
"""

import asyncio
import contextlib
import resource
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

IDLE = 10_000
SLOW = 1_000
REQUESTS = 2_000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 100000\r\n\r\n"


class Backend(asyncio.Protocol):
    """Answers every request head at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP server's is one
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            if head.startswith(b"POST"):
                return
            self._transport.write(ANSWER)


async def main() -> None:
    """Measure and print."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", 0, backlog=4096)
    backend = server.sockets[0].getsockname()[1]
    async with localfly(backend) as (pid, door):
        times = {"direct": [], "through the proxy": []}  # type: dict[str, list[float]]
        for _ in range(5):  # in turns, so that a busy moment of the computer meets both
            for name, port in (("direct", backend), ("through the proxy", door)):
                times[name] += await asyncio.to_thread(ask, port, REQUESTS // 5)
        direct, through = (statistics.median(found) * 1000 for found in times.values())
        print(
            f"median of {REQUESTS}: direct {direct:.3f} ms, through {through:.3f} ms, x{through / direct:.1f}"
        )
        before = memory_kb(pid)
        slow = await crowd(door, SLOW, UPLOAD + b"x" * 1000)
        for _ in range(3):
            for _, writer in slow:
                writer.write(b"x" * 10)
            await asyncio.sleep(1)
        print(f"{SLOW} slow uploads: {(memory_kb(pid) - before) / SLOW:.1f} kB each")
        await leave(slow)
        before = memory_kb(pid)
        idle = await crowd(door, IDLE, b"")
        print(f"{IDLE} idle: {(memory_kb(pid) - before) / IDLE:.1f} kB each, {before // 1024} MB before")
        answered = await asyncio.to_thread(ask, door, 20)
        print(f"among them a request takes {statistics.median(answered) * 1000:.3f} ms")
        await leave(idle)
    server.close()


@contextlib.asynccontextmanager
async def localfly(backend: int) -> AsyncIterator[tuple[int, int]]:
    """A localfly with one public app: its process id and the port of its door."""
    flags = ("--api", "127.0.0.1:0", "--token", "t", "--listen", "127.0.0.1:0=80", "--org", "acme")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localfly", *flags, "--attach", f"app@acme:80=127.0.0.1:{backend}"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout  # noqa: S101 - it was asked for
    try:
        await process.stdout.readline()
        door = int((await process.stdout.readline()).split()[2].rpartition(b":")[2])
        yield process.pid, door
    finally:
        process.terminate()
        await process.wait()


def ask(port: int, count: int) -> list[float]:
    """Seconds that each of so many requests takes, one after the other on one connection."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            began, answer = time.perf_counter(), b""
            connection.sendall(REQUEST)
            while not answer.endswith(b"\r\n\r\nok"):
                answer += connection.recv(65536)
            times.append(time.perf_counter() - began)
    return times


Connections = list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]


async def crowd(port: int, count: int, words: bytes) -> Connections:
    """That many open connections that have said these words."""
    found: Connections = []
    for _ in range(0, count, 100):
        opening = (asyncio.open_connection("127.0.0.1", port) for _ in range(100))
        found += await asyncio.gather(*opening)
    for _, writer in found:
        writer.write(words)
    await asyncio.sleep(3)
    return found


async def leave(connections: Connections) -> None:
    """Close them all."""
    for _, writer in connections:
        writer.close()
    await asyncio.sleep(3)


def memory_kb(pid: int) -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    asyncio.run(main())
