"""Real processes in the place of machines: started in a group of their own, and never left behind.

Answers for command, environment, output, signals and exit codes of one machine's process, and for a watchdog
that ends all of them should localfly be killed. Which machines get a process is `runtime`'s.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from localfly.guest import internal_ports
from localfly.lifecycle import CannotStart
from localfly.world import Machine

FROM_OUR_ENVIRONMENT = ("PATH", "HOME", "LANG")
LINE_LIMIT = 8 * 1024
LAST_WORDS_S = 0.5  # how long output is still read after the process has ended
FATAL = 128  # an exit code above it means: ended by signal (code - 128)

# The process waits for a line before it becomes the command, so that the watchdog knows it first; should
# localfly be killed in between, the line never comes and the shell ends.
GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")

_handed_out: set[int] = set()

Output = Callable[[str], None]


class Watchdog:
    """A process that outlives localfly only to end the groups it was told of."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._pipe = -1
        self._starting = asyncio.Lock()

    async def watch(self, group: int) -> None:
        """End this process group when localfly ends."""
        async with self._starting:
            if self._process is None:
                await self._start()
        os.write(self._pipe, f"+{group}\n".encode())

    def forget(self, group: int) -> None:
        """The group is gone."""
        with contextlib.suppress(OSError):
            os.write(self._pipe, f"-{group}\n".encode())

    async def close(self) -> None:
        """End what is left, and the watchdog."""
        if self._process is not None:
            os.close(self._pipe)
            await self._process.wait()
            self._process = None

    async def _start(self) -> None:
        reading, self._pipe = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-ISu",
                str(Path(__file__).with_name("watchdog.py")),
                stdin=reading,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C at the terminal is not for it
            )
        finally:
            os.close(reading)


class Process:
    """The process of one machine; start it once."""

    def __init__(
        self, machine: Machine, command: Sequence[str], *, output: Output, exited: Callable[[int], None]
    ) -> None:
        self._machine = machine
        self._command = command
        self._output = output
        self._exited = exited
        self._ports = {port: free_port() for port in internal_ports(machine)}
        self._process: asyncio.subprocess.Process | None = None
        self._living: asyncio.Task[int] | None = None
        self._is_stopping = False
        self._is_suspended = False

    def address(self, internal_port: int) -> tuple[str, int] | None:
        """Where the process was told to listen for that internal port."""
        port = self._ports.get(internal_port)
        return ("127.0.0.1", port) if port else None

    @property
    def ports(self) -> dict[int, int]:
        """Its ports on this laptop by internal port."""
        return self._ports

    @property
    def group(self) -> int | None:
        """The id of its process group, once started."""
        return self._process.pid if self._process else None

    async def start(self, watchdog: Watchdog) -> None:
        """Run the command; raises CannotStart; raising or cancelled it leaves nothing running."""
        refuse_what_is_not_imitated(self._machine)
        reading, writing = os.pipe()
        gate, opener = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *GATE,
                *self._command,
                stdin=gate,
                stdout=writing,
                stderr=writing,
                env=environment(self._machine, self._ports),
                start_new_session=True,
            )
            await watchdog.watch(self._process.pid)
            os.write(opener, b"\n")
        except BaseException as error:  # the gate stays shut, so the process ends without having begun
            os.close(reading)
            _handed_out.difference_update(self._ports.values())
            if isinstance(error, OSError):
                raise CannotStart(f"cannot run {self._command[0]}: {error.strerror or error}") from None
            if isinstance(error, ValueError):  # a zero byte in its environment
                raise CannotStart(f"cannot run {self._command[0]}: {error}") from None
            raise
        finally:
            for end in (gate, opener, writing):
                os.close(end)
        self._living = asyncio.create_task(self._live(self._process, reading, watchdog))

    async def stop(self, *, signal_name: str, timeout_s: float) -> int:
        """Signal the whole group, kill it after `timeout_s`; the exit code, when all of it is gone."""
        self._is_stopping = True
        if self._process is None or self._living is None:
            return 0
        if not self._living.done():
            self.signal("SIGKILL" if self._is_suspended else signal_name)
            done, _ = await asyncio.wait({self._living}, timeout=timeout_s)
            if not done:
                _signal_group(self._process.pid, signal.SIGKILL)
        await asyncio.wait({self._living})  # to await the task itself would cancel it with a cancelled stop
        return self._living.result()

    def signal(self, name: str) -> None:
        """Signal the whole group."""
        if self._process is not None:
            _signal_group(self._process.pid, signal.Signals[name])

    def suspend(self) -> None:
        """Stop the whole group in its tracks, memory and sockets kept."""
        self._is_suspended = True
        self.signal("SIGSTOP")

    def resume(self) -> None:
        """Let the whole group go on."""
        self._is_suspended = False
        self.signal("SIGCONT")

    async def _live(self, process: asyncio.subprocess.Process, reading: int, watchdog: Watchdog) -> int:
        """Follow the process to its end and its group's; tell of an exit that nobody asked for."""
        words = asyncio.create_task(_read_lines(reading, self._output))
        code = await process.wait()
        _signal_group(process.pid, signal.SIGKILL)  # the machine is off: nothing of it runs on
        watchdog.forget(process.pid)
        await asyncio.wait({words}, timeout=LAST_WORDS_S)
        words.cancel()
        await asyncio.wait({words})
        _handed_out.difference_update(self._ports.values())
        code = code if code >= 0 else FATAL - code
        if not self._is_stopping:
            self._exited(code)
        return code


def environment(machine: Machine, ports: dict[int, int]) -> dict[str, str]:
    """All that a process is started with: nothing of ours but PATH, HOME and LANG.

    Config env, app secrets (which win), Fly's own variables, and the ports: `LOCALFLY_PORT_{internal_port}`
    for each, `PORT` for the first. Source: behaviour.md §6.
    """
    config = machine.config
    guest, metadata = config.get("guest") or {}, config.get("metadata") or {}
    everything = {
        **{name: os.environ[name] for name in FROM_OUR_ENVIRONMENT if name in os.environ},
        **{name: str(value) for name, value in (config.get("env") or {}).items()},
        **{name: secret.value for name, secret in machine.secrets.items()},
        "FLY_APP_NAME": machine.app.name,
        "FLY_MACHINE_ID": machine.id,
        "FLY_ALLOC_ID": machine.id,
        "FLY_REGION": machine.region,
        "FLY_PUBLIC_IP": "2001:db8::1",  # of the range for documentation: a laptop's machine has none
        "FLY_IMAGE_REF": str(config.get("image", "")),
        "FLY_MACHINE_VERSION": machine.instance_id,
        "FLY_PRIVATE_IP": machine.private_ip,
        "FLY_PROCESS_GROUP": str(metadata.get("fly_process_group", "")),
        "FLY_VM_MEMORY_MB": str(guest.get("memory_mb", 256)),
        **{f"LOCALFLY_PORT_{internal}": str(port) for internal, port in ports.items()},
    }
    if ports:
        everything["PORT"] = str(next(iter(ports.values())))
    return everything


def refuse_what_is_not_imitated(machine: Machine) -> None:
    """Raise CannotStart for parts of a config that would change what runs and are not followed."""
    init = machine.config.get("init") or {}
    parts = [f"init.{part}" for part in ("cmd", "entrypoint", "exec") if init.get(part)]
    parts += [part for part in ("processes", "containers", "files", "statics") if machine.config.get(part)]
    if parts:
        raise CannotStart(
            f"localfly does not imitate config.{parts[0]} for an image that --image gives a command; "
            "put it into the COMMAND of --image instead"
        )


def free_port() -> int:
    """A loopback port that nothing listens on and that no other process of ours was given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _read_lines(reading: int, output: Output) -> None:
    """Hand on output line by line, long lines cut into pieces; closes `reading`."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
    )
    try:
        rest = b""
        while data := await reader.read(LINE_LIMIT):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LINE_LIMIT:
                lines, rest = [*lines, rest], b""
            for line in lines:
                output(line.decode(errors="replace").rstrip("\r"))
        if rest:
            output(rest.decode(errors="replace"))
    finally:
        transport.close()
