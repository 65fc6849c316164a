"""How a rollout goes on: a live line on a terminal, one line a user elsewhere; on stderr, as it is no result.

Answers for the terminal being as before when it ends, however it ends.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from reconciler.core.problem import printable
from reconciler.report.wording import names
from reconciler.rollout import Watcher

REFRESH_PER_S = 4


@contextmanager
def watching(total: int, stream: TextIO, waiting: Callable[[], int]) -> Iterator[Watcher]:
    """A watcher of so many apps for as long as the block; `waiting`: calls that wait for rate limits now."""
    if not stream.isatty():
        yield _Lines(total, stream)
        return
    console = Console(file=stream, highlight=False)
    with Progress(
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}", markup=False),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        refresh_per_second=REFRESH_PER_S,
        transient=True,
    ) as progress:
        yield _Live(progress, total, waiting)


class _Live:
    """Done, running, waiting for limits, failed, and about how long it still takes."""

    def __init__(self, progress: Progress, total: int, waiting: Callable[[], int]) -> None:
        self._progress = progress
        self._waiting = waiting
        self._running: dict[str, None] = {}
        self._failed = 0
        self._task = progress.add_task("", total=total, told="")

    def begun(self, name: str) -> None:
        self._running[name] = None
        self._show()

    def ended(self, name: str, failure: str | None) -> None:
        self._running.pop(name, None)
        if failure is not None:
            self._failed += 1
        self._progress.advance(self._task)
        self._show()

    def _show(self) -> None:
        parts = [
            f"{len(self._running)} running ({names([*self._running])})" if self._running else "",
            f"{waiting} calls waiting for limits" if (waiting := self._waiting()) else "",
            f"{self._failed} failed" if self._failed else "",
        ]
        self._progress.update(self._task, told=printable(", ".join(part for part in parts if part)))


class _Lines:
    """One line for each user, for logs."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._ended = 0
        self._began: dict[str, float] = {}

    def begun(self, name: str) -> None:
        self._began[name] = time.monotonic()

    def ended(self, name: str, failure: str | None) -> None:
        self._ended += 1
        took_s = time.monotonic() - self._began.pop(name, time.monotonic())
        what = "done" if failure is None else "failed"
        print(f"{self._ended}/{self._total} {name}: {what} in {took_s:.1f} s", file=self._stream, flush=True)
