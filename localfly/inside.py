"""Commands run inside a running machine, beside its own process, and what its processes use.

Answers for `exec`: a group of processes of its own that never outlives its machine, its time or localfly.
Which machine may be asked, and by whom, is the API's.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from localfly.process import FATAL, LAST_WORDS_S, Watchdog, environment
from localfly.world import Machine

OUTPUT_LIMIT = 1_000_000  # bytes of stdout, and as many of stderr
MEGABYTE = 2**20

# As `process.GATE`, but what follows the first line on standard input is the command's.
_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@"', "sh")


class NotRunning(Exception):  # noqa: N818 - reads as the sentence it is
    """Nothing runs that a command could run in."""


class WentDown(Exception):  # noqa: N818 - reads as the sentence it is
    """The machine went down before the command had ended."""


class CannotRun(Exception):  # noqa: N818 - reads as the sentence it is
    """This computer does not take the command or its environment; the text says why."""


class TooMuchOutput(Exception):  # noqa: N818 - reads as the sentence it is
    """The command printed more than OUTPUT_LIMIT, and was ended."""


@dataclass(frozen=True, slots=True)
class Where:
    """What a machine runs as: its ports on this laptop by internal port, and its process's group, if any."""

    ports: Mapping[int, int]
    group: int | None


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: its code, or 128 + the signal that ended it."""

    exit_code: int
    exit_signal: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Used:
    """One process of a machine: times in whole seconds, `cpu` in percent since its start, `rss` in bytes."""

    pid: int
    system_s: int
    running_s: int
    command: str
    directory: str
    cpu: int
    rss: int
    listens: tuple[tuple[str, str], ...]  # (protocol, address)


class Inside:
    """The insides of one localfly's machines."""

    def __init__(self, watchdog: Watchdog, where: Callable[[str], Where | None]) -> None:
        """`where` knows what runs by machine id."""
        self.memory_limits_mb: dict[str, int] = {}  # of machines whose limit was set since they came up
        self._watchdog = watchdog
        self._where = where
        self._groups: dict[str, set[int]] = {}

    async def run(self, machine: Machine, command: Sequence[str], *, stdin: str, timeout_s: float) -> Ran:
        """Run a command in the machine's environment to its end.

        Raises NotRunning, CannotRun, WentDown, TooMuchOutput, and TimeoutError when it takes longer than
        `timeout_s` of real time. With its end, whatever that was, its process group ends too.
        """
        where = self._where(machine.id)
        if where is None:
            raise NotRunning
        out, err = _Output(), _Output()
        try:
            process = await asyncio.create_subprocess_exec(
                *_GATE,
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=out.writing,
                stderr=err.writing,
                env=environment(machine, dict(where.ports)),
                start_new_session=True,
            )
        except BaseException as error:
            for output in (out, err):
                os.close(output.reading)
            if isinstance(error, (OSError, ValueError)):  # too long, or a zero byte in the environment
                raise CannotRun(getattr(error, "strerror", None) or str(error)) from None
            raise
        finally:
            for output in (out, err):
                os.close(output.writing)
        groups = self._groups.setdefault(machine.id, set())
        groups.add(process.pid)
        readers = {asyncio.create_task(output.read()) for output in (out, err)}
        try:
            await self._watchdog.watch(process.pid)
            async with asyncio.timeout(timeout_s):
                await _feed(process, stdin.encode())
                code = await _end_of(process, readers)
        finally:
            _kill(process.pid)
            await process.wait()
            self._watchdog.forget(process.pid)
            await asyncio.wait(readers, timeout=LAST_WORDS_S)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            is_down = process.pid not in groups
            groups.discard(process.pid)
            if not groups:
                self._groups.pop(machine.id, None)
        if is_down:
            raise WentDown
        return Ran(code if code >= 0 else FATAL - code, max(-code, 0), out.text, err.text)

    async def processes(self, machine: Machine) -> list[Used]:
        """What runs in it, by process id; the built-in guest is no process of its own."""
        roots = self._roots(machine.id)
        return await asyncio.to_thread(_look, roots)

    async def memory_mb(self, machine: Machine) -> tuple[int, int]:
        """Its limit, and how much of that its processes leave; raises NotRunning."""
        if self._where(machine.id) is None:
            raise NotRunning
        size = int(machine.config["guest"]["memory_mb"])
        limit = self.memory_limits_mb.get(machine.id, size)
        used = sum(one.rss for one in await self.processes(machine)) // MEGABYTE
        return limit, max(limit - used, 0)

    def end(self, machine_id: str) -> None:
        """The machine goes down: end what was run in it."""
        self.memory_limits_mb.pop(machine_id, None)
        groups = self._groups.pop(machine_id, set())
        for group in groups:
            _kill(group)
        groups.clear()

    def _roots(self, machine_id: str) -> list[int]:
        where = self._where(machine_id)
        own = [where.group] if where is not None and where.group is not None else []
        return own + sorted(self._groups.get(machine_id, ()))


class _Output:
    """A pipe for what a command prints, and what was read of it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self._read = bytearray()

    @property
    def text(self) -> str:
        return self._read.decode(errors="replace")

    async def read(self) -> None:
        """Read to the end of all who hold the other end; raises TooMuchOutput."""
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(self.reading, "rb", 0)
        )
        try:
            while data := await stream.read(65536):
                self._read += data
                if len(self._read) > OUTPUT_LIMIT:
                    raise TooMuchOutput
        finally:
            transport.close()


async def _feed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    """Open the gate and hand over standard input; the command need not read it."""
    assert process.stdin  # noqa: S101 - asked for as a pipe
    with contextlib.suppress(ConnectionError):
        process.stdin.write(b"\n" + stdin)
        await process.stdin.drain()
    process.stdin.close()


async def _end_of(process: asyncio.subprocess.Process, readers: set[asyncio.Task[None]]) -> int:
    """The code it ends with; raises what a reader raises before that."""
    end = asyncio.create_task(process.wait())
    ahead: set[asyncio.Task[None] | asyncio.Task[int]] = {end, *readers}
    try:
        while not end.done():
            done, ahead = await asyncio.wait(ahead, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        return end.result()
    finally:
        end.cancel()


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _look(roots: Sequence[int]) -> list[Used]:
    found: dict[int, Used] = {}
    for root in roots:
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(root)
            for process in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.Error):  # it ended while we looked
                    found[process.pid] = _used(process)
    return [found[pid] for pid in sorted(found)]


def _used(process: psutil.Process) -> Used:
    with process.oneshot():
        times, running_s = process.cpu_times(), max(time.time() - process.create_time(), 0.01)
        listens = [
            ("udp" if one.type == socket.SOCK_DGRAM else "tcp", f"{one.laddr.ip}:{one.laddr.port}")
            for one in process.net_connections(kind="inet")
            if one.laddr and one.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
        ]
        return Used(
            pid=process.pid,
            system_s=int(times.system),
            running_s=int(running_s),
            command=" ".join(process.cmdline()) or process.name(),
            directory=process.cwd(),
            cpu=int(100 * (times.user + times.system) / running_s),
            rss=process.memory_info().rss,
            listens=tuple(sorted(set(listens))),
        )
