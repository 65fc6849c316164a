"""Programs that run for as long as a block of code, and free ports for them.

Answers for ending what it started, also when it is killed itself. Which programs, and what their words mean,
is `demo`'s.
"""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE_S = 15  # from SIGTERM to SIGKILL

# Each program has a keeper beside it, which reads what nobody writes: only we hold the other end, so should
# we be killed, it ends the program's group. The program begins when its keeper is there, else never.
GATED = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")
ENDING = f'kill -TERM "-$1" && sleep {GRACE_S} && kill -KILL "-$1"'
KEEPER = ("/bin/sh", "-c", f"read -r _; {ENDING}", "sh")


class EndedError(Exception):
    """A program is gone that should run; str() is the one line to show."""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program; what it says on stderr is kept in a file."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def lines(self) -> AsyncIterator[str]:
        """What it says, also kept in its log, until it ends; then EndedError."""
        assert self.process.stderr  # noqa: S101 (started with a pipe, see `program`)
        with self.log.open("a", encoding="utf-8") as log:
            async for raw in self.process.stderr:
                line = raw.decode(errors="replace")
                log.write(line)
                log.flush()
                yield line.rstrip()
        code = await self.process.wait()
        said = self.log.read_text("utf-8").strip().rpartition("\n")[2] or "it said nothing"
        raise EndedError(f"{self.name} ended with status {code}: {said}")

    async def outlived(self) -> None:
        """Keep its log until it ends; then EndedError."""
        async for _ in self.lines():
            pass


@contextlib.asynccontextmanager
async def program(name: str, argv: list[str], env: dict[str, str], log: Path) -> AsyncIterator[Program]:
    """Run a program for as long as the block; it sees no Ctrl-C, and is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(*GATED, *argv),
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=1 << 20,
    )
    async with _kept(process.pid):
        try:
            assert process.stdin  # noqa: S101 (started with a pipe)
            process.stdin.write(b"\n")
            process.stdin.close()
            yield Program(name, process, log)
        finally:
            await _end(process)


@contextlib.asynccontextmanager
async def _kept(group: int) -> AsyncIterator[None]:
    """Should we be killed during the block, the process group ends all the same."""
    keeper = await asyncio.create_subprocess_exec(
        *(*KEEPER, str(group)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            keeper.kill()
        await keeper.wait()


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(GRACE_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def first(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Run them until one ends; the others are cancelled, and what it raised is raised."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def free_port(wanted: int = 0) -> int:
    """`wanted` when nothing listens there on this laptop, else a port where nothing does."""
    try:
        with socket.create_server(("127.0.0.1", wanted)) as four:
            port = int(four.getsockname()[1])
        with socket.create_server(("::1", port), family=socket.AF_INET6):
            return port
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # a laptop without IPv6
            return port
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
    return free_port()
