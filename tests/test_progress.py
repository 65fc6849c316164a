"""How far a long reading has come: a bar on a terminal, nothing in a pipe."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest

from reconciler.exit import Exit
from reconciler.source import Source
from tests import wire
from tests.stage import FLEET, MACHINE, user

USERS = 10_000
FILES = 100


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten thousand users in a hundred files, and what they have in common."""
    folder = tmp_path_factory.mktemp("specs")
    (folder / "fleet.yaml").write_text(f"{FLEET}---\n{MACHINE}")
    for number in range(FILES):
        names = range(number, USERS, FILES)
        (folder / f"users-{number:02}.yaml").write_text("---\n".join(user(f"u{each}") for each in names))
    return folder


def test_a_reading_tells_how_many_files_of_how_many(tmp_path: Path) -> None:
    """After each file, in order, up to all of them; also for files that are not parsed again."""
    for number in range(3):
        (tmp_path / f"{number}.yaml").write_text(user(f"u{number}"))
    source, told = Source(tmp_path), list[tuple[int, int]]()
    source.read(lambda done, total: told.append((done, total)))
    source.read(lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)] * 2


@pytest.mark.wire
async def test_a_pipe_gets_the_result_and_nothing_else(specs: Path) -> None:
    """Ten thousand documents: one line on stdout, not a word on stderr but findings."""
    done = await wire.finished(wire.PYTHON, "-m", "reconciler", "validate", specs)
    assert done.code == Exit.OK
    assert re.fullmatch(r"10000 user apps, 1 machine template: no problems.*\n", done.out)
    assert [line for line in done.err.splitlines() if ": warning: " not in line] == []


@pytest.mark.wire
async def test_a_terminal_gets_a_bar_that_grows_and_goes(specs: Path) -> None:
    """The bar is on stderr, counts files up to all of them, and leaves the result alone on stdout."""
    ours, theirs = os.openpty()
    env = wire.clean_env({"TERM": "xterm"})
    process = await asyncio.create_subprocess_exec(
        *(wire.PYTHON, "-m", "reconciler", "validate", specs),
        env=env,
        cwd=wire.ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    out, shown = await asyncio.gather(process.communicate(), asyncio.to_thread(everything_from, ours))
    assert process.returncode == Exit.OK
    assert out[0].startswith(b"10000 user apps")
    counts = [int(each) for each in re.findall(rb"reading.*?(\d+)/101", shown)]
    assert counts == sorted(counts)
    assert len(set(counts)) > 2
    assert b"\x1b[?25h" in shown  # the cursor is back


def everything_from(terminal: int) -> bytes:
    """All that is written to a terminal until its last writer is gone."""
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # how Linux says that nobody is left to write
        return shown
    finally:
        os.close(terminal)
    return shown
