"""Real processes and sockets for tests marked `wire`: start a program, wait for what it says, poll.

Answers for never waiting longer than told and for leaving no process behind. The only file in `tests/` that
may sleep. What a program must say or do is its tests' matter.
"""

import asyncio
import contextlib
import hashlib
import inspect
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

import httpx

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
POLL_S = 0.03
GRACE_S = 5  # from SIGTERM to SIGKILL when a block ends
KEPT_FROM_THE_CALLER = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SSL_CERT_FILE", "SYSTEMROOT")

_STATES = tempfile.TemporaryDirectory(prefix="reconciler-states-")  # gone with this process

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended and all that it said."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Program:
    """A running program; `out` and `err` grow as it speaks, one entry a line without its newline."""

    argv: tuple[str, ...]
    process: asyncio.subprocess.Process
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    _readers: tuple[asyncio.Task[None], ...] = ()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_over(self) -> bool:
        """It has ended and all its words are read; a living child that holds its pipes keeps it open."""
        return self.process.returncode is not None and all(task.done() for task in self._readers)

    async def said(self, pattern: str, *, within_s: float = 10) -> re.Match[str]:
        """The first line on either stream that `pattern` (searched as a regular expression) is found in."""
        deadline = time.monotonic() + within_s
        while True:
            ended = self.is_over
            for line in (*self.out, *self.err):
                if match := re.search(pattern, line):
                    return match
            if ended or time.monotonic() > deadline:
                why = f"ended with {self.process.returncode}" if ended else f"silent for {within_s} s"
                raise AssertionError(f"{self.argv[:4]} {why}: /{pattern}/\n{self.tail()}")
            await asyncio.sleep(POLL_S)

    async def ended(self, *, within_s: float = 10) -> int:
        """Its exit status, negative for a signal."""
        deadline = time.monotonic() + within_s
        while not self.is_over:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.argv[:4]} still runs after {within_s} s\n{self.tail()}")
            await asyncio.sleep(POLL_S)
        return self.process.returncode or 0

    def send(self, number: int) -> None:
        """Signal this one process, not its children."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def tail(self) -> str:
        """The last lines of both streams, for the message of a failed test."""
        return "\n".join([*self.out[-15:], "-- stderr --", *self.err[-25:]])


@contextlib.asynccontextmanager
async def started(
    *argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> AsyncIterator[Program]:
    """Run a program with a clean environment plus `env`; with the block its whole process group ends."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=clean_env(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        limit=1 << 20,
    )
    program = Program(tuple(map(str, argv)), process)
    assert process.stdout
    assert process.stderr
    program._readers = (
        asyncio.create_task(_read(process.stdout, program.out)),
        asyncio.create_task(_read(process.stderr, program.err)),
    )
    try:
        yield program
    finally:
        await _end(program)


async def finished(
    *argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT, within_s: float = 20
) -> Finished:
    """Run a program to its end."""
    async with started(*argv, env=env, cwd=cwd) as program:
        code = await program.ended(within_s=within_s)
    out, err = ("".join(f"{line}\n" for line in lines) for lines in (program.out, program.err))
    return Finished(code, out, err)


@overload
async def until(
    condition: Callable[[], Awaitable[T]], *, within_s: float = 10, what: str = "the condition"
) -> T: ...


@overload
async def until(condition: Callable[[], T], *, within_s: float = 10, what: str = "the condition") -> T: ...


async def until(condition: Callable[[], Any], *, within_s: float = 10, what: str = "the condition") -> Any:
    """Ask again and again until the answer is truthy, and return it; a refused connection means not yet."""
    deadline = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            answer = condition()
            last = value = await answer if inspect.isawaitable(answer) else answer
            if value:
                return value
        except httpx.TransportError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within_s} s; the last answer was {last!r}")
        await asyncio.sleep(POLL_S)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listened on a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_port() -> int:
    """One loopback port that nothing listened on a moment ago."""
    return free_ports(1)[0]


def tcp_listener() -> socket.socket:
    """A listening socket on a loopback port of its own.

    One of `socket.create_server` does not say that it is TCP, so asyncio leaves Nagle's algorithm on, and
    each answer over it waits 40 ms.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without its tokens and settings, plus `extra`."""
    kept = {name: os.environ[name] for name in KEPT_FROM_THE_CALLER if name in os.environ}
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "XDG_STATE_HOME": str(_state_home()),
        **(extra or {}),
    }


def _state_home() -> Path:
    """Where the programs of this test keep their records, and those of no other test do."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return Path(_STATES.name) / hashlib.sha256(test.encode()).hexdigest()[:16]


def family(pid: int) -> frozenset[int]:
    """Ids of all living descendants of a process, whatever session they moved to."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found: set[int] = set()
    ahead = [pid]
    while ahead:
        below = children.get(ahead.pop(), [])
        found.update(below)
        ahead.extend(below)
    return frozenset(found)


def living(pids: frozenset[int]) -> frozenset[int]:
    """Those of `pids` that still run; a zombie does not."""
    return pids & frozenset(pid for pid, _ in _parents())


def command(pid: int) -> str:
    """The command line of a running process."""
    path = Path(f"/proc/{pid}/cmdline")
    if path.exists():
        return path.read_text().replace("\0", " ")
    return subprocess.run(
        ["ps", "-o", "args=", "-p", str(pid)], check=False, capture_output=True, text=True
    ).stdout


def _parents() -> list[tuple[int, int]]:
    """(id, parent's id) of every process that is not a zombie."""
    pairs = []
    if Path("/proc/self/stat").exists():
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it ended while we looked
                pid, rest = stat.parent.name, stat.read_text().rpartition(")")[2].split()
                if rest[0] != "Z":
                    pairs.append((int(pid), int(rest[1])))
        return pairs
    rows = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], check=True, capture_output=True, text=True)
    for row in rows.stdout.splitlines():
        pid, parent, state = row.split()[:3]
        if not state.startswith("Z"):
            pairs.append((int(pid), int(parent)))
    return pairs


async def _read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode(errors="replace").rstrip("\r\n"))  # noqa: PERF401 (others read it as it grows)


async def _end(program: Program) -> None:
    """Ask the process to stop, then end its group. `Process.wait` would wait for its children's pipes too."""
    program.send(signal.SIGTERM)
    with contextlib.suppress(AssertionError):
        await until(lambda: program.process.returncode is not None, within_s=GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    await program.process.wait()
    for reader in program._readers:
        reader.cancel()
    await asyncio.gather(*program._readers, return_exceptions=True)
