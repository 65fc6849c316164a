"""What runs in a machine: the built-in guest, or the command that `--image` gives for its image.

Answers for that choice and for who runs now. States and their order are the lifecycle's.
"""

import asyncio
import shlex
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence

from localfly.guest import Guest
from localfly.inside import Inside, Where
from localfly.lifecycle import CannotStart
from localfly.process import FATAL, Process, Watchdog
from localfly.proxy.door import BadFlag
from localfly.world import Machine

POLITE = ("SIGINT", "SIGTERM")


class LaptopRuntime:
    """Runs machines on this laptop (the `Runtime` of `localfly.lifecycle`); close it with `aclose()`.

    `commands`: argument lists by image reference. `exited` hears machine id and code of a process that ended
    by itself, `output` each line that one printed.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        *,
        exited: Callable[[str, int], None],
        output: Callable[[Machine, str], None],
    ) -> None:
        self._commands = commands
        self._exited = exited
        self._output = output
        self._running: dict[str, Guest | Process] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._watchdog = Watchdog()
        self.inside = Inside(self._watchdog, self._where)

    async def start(self, machine: Machine) -> None:
        """Run it and return when it is up: the guest listens, the process is started."""
        command = command_for(str(machine.config.get("image", "")), self._commands)
        if command is None:
            guest = Guest(machine)
            await _listen(guest)
            self._running[machine.id] = guest
            return
        process = Process(
            machine,
            command,
            output=lambda line: self._output(machine, line),
            exited=lambda code: self._has_exited(machine.id, code),
        )
        await process.start(self._watchdog)
        self._running[machine.id] = process

    async def stop(self, machine: Machine, *, signal: str, timeout_s: float) -> int:
        """Signal it, kill it after `timeout_s`, return its exit code when all is gone; idempotent."""
        self.inside.end(machine.id)
        running = self._running.get(machine.id)
        if isinstance(running, Process):
            code = await running.stop(signal_name=signal, timeout_s=timeout_s)
        else:
            code = 0
            if running is not None:
                await running.stop()
        self._running.pop(machine.id, None)
        return code

    async def suspend(self, machine: Machine) -> None:
        """Stop its process where it stands, or silence its guest; both keep their memory."""
        self.inside.end(machine.id)
        running = self._running.get(machine.id)
        if isinstance(running, Process):
            running.suspend()
        elif running is not None:
            await running.stop()

    async def resume(self, machine: Machine) -> None:
        """Let its process or guest go on."""
        running = self._running.get(machine.id)
        if isinstance(running, Process):
            running.resume()
        elif running is not None:
            await _listen(running)

    def signal(self, machine: Machine, name: str) -> None:
        """Signal its process's group; the guest ends of any signal: of SIGINT and SIGTERM with 0."""
        running = self._running.get(machine.id)
        if isinstance(running, Process):
            running.signal(name)
        elif running is not None:
            code = 0 if name in POLITE else FATAL + signal.Signals[name]
            ending = asyncio.create_task(self._end_guest(machine.id, running, code))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def address(self, machine_id: str, internal_port: int) -> tuple[str, int] | None:
        """Where that port of a running machine listens on this laptop: (host, port)."""
        running = self._running.get(machine_id)
        return running.address(internal_port) if running else None

    async def aclose(self) -> None:
        """End everything that still runs, at once."""
        await asyncio.gather(*self._ending)
        for running in list(self._running.values()):
            if isinstance(running, Process):
                await running.stop(signal_name="SIGKILL", timeout_s=0)
            else:
                await running.stop()
        for machine_id in self._running:
            self.inside.end(machine_id)
        self._running.clear()
        await self._watchdog.close()

    async def _end_guest(self, machine_id: str, guest: Guest, code: int) -> None:
        await guest.stop()
        self._has_exited(machine_id, code)

    def _where(self, machine_id: str) -> Where | None:
        running = self._running.get(machine_id)
        group = running.group if isinstance(running, Process) else None
        return None if running is None else Where(running.ports, group)

    def _has_exited(self, machine_id: str, code: int) -> None:
        self.inside.end(machine_id)
        self._running.pop(machine_id, None)
        self._exited(machine_id, code)


async def _listen(guest: Guest) -> None:
    try:
        await guest.start()
    except OSError as error:
        raise CannotStart(f"the built-in guest cannot listen: {error.strerror or error}") from None


def command_for(image: str, commands: Mapping[str, Sequence[str]]) -> Sequence[str] | None:
    """The command of the exact reference, else of the reference without digest, else without tag too."""
    without_digest = image.partition("@")[0]
    path, colon, tag = without_digest.rpartition(":")
    name = path if colon and "/" not in tag else without_digest
    return next((commands[ref] for ref in (image, without_digest, name) if ref in commands), None)


def parse_image(text: str) -> tuple[str, tuple[str, ...]]:
    """`REF=COMMAND` as reference and argument list; raises BadFlag, also for a program that is not there."""
    ref, separator, command = text.partition("=")
    try:
        arguments = tuple(shlex.split(command))
    except ValueError as error:
        raise BadFlag(f"--image {text}: {error}") from None
    if not (separator and ref and arguments):
        raise BadFlag(f"--image {text}: not of the form REF=COMMAND")
    if shutil.which(arguments[0]) is None:
        raise BadFlag(f"--image {text}: there is no program {arguments[0]!r}; give its path")
    return ref, arguments
