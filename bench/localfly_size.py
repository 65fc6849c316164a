"""How large a world localfly holds, and how fast: `python bench/localfly_size.py [MACHINES]`, else 100,000.

Method. A localfly process of its own (`--fast --no-rate-limits`, all in memory) is filled through its API
over kept-alive connections: for each machine POST an app, then POST a machine into it with the built-in
guest and `skip_launch`, so that it ends asleep (`stopped`). Reported:

- writes a second: both POSTs of each pair, from the first request to the last answer;
- one page of 1,000 rows of the organisation's machine list: the median over pages spread over the whole list;
- the processor time that localfly itself spent on a write and on a page, which other programs disturb less;
- bytes a machine: growth of the process's proportional set size (PSS, from /proc) over filling, once every
  machine has come to rest, divided by the number of machines. The app that it is in counts as well.

Machines are noisy, so the same client first asks a bare Starlette app under the same uvicorn that reads each
body and answers constant JSON of the same length; the ratio says what localfly itself costs. The client is a
process of its own and takes one core; with two cores, nothing else should be running.
"""

import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

TOKEN = "bench"  # noqa: S105 - made up, for a process of our own
CONNECTIONS = 16
PAGES = 21
ROWS = 1000
BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def answer(request):
    await request.json()
    return JSONResponse({"value": "x" * 800})

app = Starlette(routes=[Route("/{rest:path}", answer, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""


@dataclass(slots=True)
class Connection:
    """One kept-alive HTTP/1.1 connection that knows no more than the bench needs."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer, which has a content-length."""
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at : head.index(b"\r", at)])
        return int(head[9:12]), await self.reader.readexactly(length)


async def main(machines: int) -> None:
    """Measure, and print one line for each figure."""
    bare = await rate_of_bare(min(machines, 10_000))
    async with localfly() as (port, pid):
        empty, idle_s = pss_bytes(pid), cpu_s(pid)
        began = time.monotonic()
        await fill(port, machines)
        writes = 2 * machines / (time.monotonic() - began)
        write_us = (cpu_s(pid) - idle_s) / (2 * machines) * 1e6
        await come_to_rest(port)
        size = (pss_bytes(pid) - empty) / machines
        idle_s = cpu_s(pid)
        page, pages = await page_ms(port, machines)
        page_cpu_ms = (cpu_s(pid) - idle_s) / pages * 1000
    print(f"machines, each in an app of its own     {machines:>9,}")
    print(f"bare Starlette and uvicorn, POSTs/s     {bare:>9,.0f}")
    print(f"localfly, writes/s                      {writes:>9,.0f}   {writes / bare:.2f} of bare")
    print(f"processor time of a write, µs           {write_us:>9,.0f}")
    print(f"page of {min(ROWS, machines):>5,} machines, ms             {page:>9,.1f}")
    print(f"processor time of a page, ms            {page_cpu_ms:>9,.1f}")
    print(f"PSS a machine with its app, bytes       {size:>9,.0f}")


async def fill(port: int, machines: int) -> None:
    """All apps and machines, over several connections at a time."""
    names = iter(range(machines))
    guest = {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
    config = {"image": "registry.fly.io/tenant:v1", "guest": guest}

    async def work() -> None:
        async with connected(port) as connection:
            for number in names:
                app = f"tenant-{number:06}"
                born = {"name": app, "org_slug": "acme", "network": app}
                status, said = await connection.ask(post("/v1/apps", born))
                expect(HTTPStatus.CREATED, status, said)
                slept = {"name": "web-0", "region": "ams", "config": config, "skip_launch": True}
                status, said = await connection.ask(post(f"/v1/apps/{app}/machines", slept))
                expect(HTTPStatus.OK, status, said)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(work())


async def come_to_rest(port: int) -> None:
    """Wait until no machine is on its way any more."""
    async with connected(port) as connection:
        while True:
            _, body = await connection.ask(get("/v1/orgs/acme/machines?limit=1&state=created"))
            if not json.loads(body)["machines"]:
                return


async def page_ms(port: int, machines: int) -> tuple[float, int]:
    """Milliseconds for one full page, the median over the list; and how many pages were asked for."""
    async with connected(port) as connection:
        times, query = [], ""
        for _ in range(max(1, machines // ROWS)):
            began = time.perf_counter()
            _, body = await connection.ask(get(f"/v1/orgs/acme/machines?limit={ROWS}{query}"))
            times.append((time.perf_counter() - began) * 1000)
            page = json.loads(body)
            expect(min(ROWS, machines), len(page["machines"]), body)
            query = f"&cursor={page.get('next_cursor', '')}"
        step = max(1, len(times) // PAGES)
        return statistics.median(times[::step]), len(times)


async def rate_of_bare(requests: int) -> float:
    """POSTs a second of a constant answer."""
    port = free_port()
    async with program("-c", BARE, str(port)):
        await listening(port)
        left = iter(range(requests))
        asked = post("/v1/apps", {"name": "tenant-000000", "org_slug": "acme", "network": "tenant-000000"})

        async def work() -> None:
            async with connected(port) as connection:
                for _ in left:
                    await connection.ask(asked)

        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(work())
        return requests / (time.monotonic() - began)


@asynccontextmanager
async def localfly() -> AsyncIterator[tuple[int, int]]:
    """Port and process id of a localfly that is ready."""
    port = free_port()
    flags = ("--fast", "--no-rate-limits", "--org", "acme", "--token", TOKEN)
    async with program("-m", "localfly", "--api", f"127.0.0.1:{port}", *flags) as pid:
        await listening(port)
        yield port, pid


@asynccontextmanager
async def program(*argv: str) -> AsyncIterator[int]:
    """The process id of a Python program, ended with the block."""
    process = await asyncio.create_subprocess_exec(sys.executable, *argv, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def listening(port: int) -> None:
    """Wait until something accepts connections there."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """A connection for the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


def expect(wanted: int, got: int, said: bytes) -> None:
    """End the bench when localfly did not do what is measured."""
    if wanted != got:
        raise SystemExit(f"wanted {wanted}, got {got}: {said[:300].decode(errors='replace')}")


def post(path: str, content: object) -> bytes:
    """A POST with a JSON body."""
    body = json.dumps(content).encode()
    return head("POST", path, f"content-type: application/json\r\ncontent-length: {len(body)}\r\n") + body


def get(path: str) -> bytes:
    """A GET."""
    return head("GET", path)


def head(method: str, path: str, more: str = "") -> bytes:
    """The head of a request to localfly."""
    return (
        f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n{more}\r\n".encode()
    )


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int:
    """The proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell a process's PSS; run it on Linux")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
