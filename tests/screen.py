"""A program on a terminal of its own, as a person would see it."""

import asyncio
import contextlib
import os
import signal
import termios
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import wire

SHOWS_CURSOR, HIDES_CURSOR = "\x1b[?25h", "\x1b[?25l"


@dataclass(slots=True)
class Screen:
    """All that a program wrote to its terminal, colours and all; `\\n` stands for each line's end."""

    process: asyncio.subprocess.Process
    master: int
    before: list[object]
    written: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return self.written.decode(errors="replace").replace("\r\n", "\n")

    async def shows(self, text: str, *, within_s: float = 10) -> None:
        await wire.until(
            lambda: text in self.text, within_s=within_s, what=f"{text!r} in {self.text[-600:]!r}"
        )

    async def ended(self, *, within_s: float = 10) -> int:
        async with asyncio.timeout(within_s):
            code = await self.process.wait()
        await asyncio.sleep(0)
        return code

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    @property
    def is_sane(self) -> bool:
        """The cursor is shown, and keys are echoed as before."""
        cursor = self.text.rfind(SHOWS_CURSOR) >= self.text.rfind(HIDES_CURSOR)
        return cursor and termios.tcgetattr(self.master)[:4] == self.before[:4]


@contextlib.asynccontextmanager
async def on_a_terminal(*argv: str | Path, env: Mapping[str, str]) -> AsyncIterator[Screen]:
    """Run a program with a terminal of 120 columns for all three streams; with the block it ends."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (40, 120))
    clean = {name: value for name, value in wire.clean_env(env).items() if name != "NO_COLOR"}
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={**clean, "TERM": "xterm-256color"},
        cwd=wire.ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    screen = Screen(process, master, termios.tcgetattr(master))
    os.set_blocking(master, False)

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            screen.written += os.read(master, 1 << 16)

    loop = asyncio.get_running_loop()
    loop.add_reader(master, read)
    try:
        yield screen
    finally:
        loop.remove_reader(master)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        os.close(slave)
        os.close(master)
