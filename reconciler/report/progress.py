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
    ProgressColumn,
    SpinnerColumn,
    Task,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from reconciler.core.problem import printable
from reconciler.report.wording import count, names
from reconciler.rollout import Watcher

REFRESH_PER_S = 4


@contextmanager
def watching(total: int, stream: TextIO, waiting: Callable[[], int]) -> Iterator[Watcher]:
    """A watcher of so many apps for as long as the block; `waiting`: calls that wait for rate limits now."""
    if not stream.isatty():
        yield _Lines(total, stream)
        return
    console = Console(file=stream, highlight=False)
    told = _Told(waiting)
    with Progress(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        told,
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        refresh_per_second=REFRESH_PER_S,
        transient=True,
    ) as progress:
        yield _Live(progress, total, told)


class _Told(ProgressColumn):
    """Failed, held, waiting for limits, running; looked at anew each time that it is drawn."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis"))
        self._waiting = waiting
        self.running: dict[str, None] = {}
        self.failed = 0
        self.held = 0

    def render(self, task: Task) -> Text:  # noqa: ARG002 (rich's shape)
        waiting = self._waiting()
        parts = [
            f"{self.failed} failed" if self.failed else "",
            f"{self.held} held" if self.held else "",
            f"{count(waiting, 'call')} waiting for limits" if waiting else "",
            f"{len(self.running)} running ({names([*self.running])})" if self.running else "",
        ]
        return Text(printable(", ".join(part for part in parts if part)))


class _Live:
    """How many are done, of how many; about how long it still takes."""

    def __init__(self, progress: Progress, total: int, told: _Told) -> None:
        self._progress = progress
        self._told = told
        self._task = progress.add_task("", total=total)

    def begun(self, name: str) -> None:
        self._told.running[name] = None

    def ended(self, name: str, failure: str | None, held: str = "") -> None:
        self._told.held += bool(held)
        self._told.running.pop(name, None)
        self._told.failed += failure is not None
        self._progress.advance(self._task)


class _Lines:
    """One line for each user, for logs."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._ended = 0
        self._began: dict[str, float] = {}

    def begun(self, name: str) -> None:
        self._began[name] = time.monotonic()

    def ended(self, name: str, failure: str | None, held: str = "") -> None:
        self._ended += 1
        took_s = time.monotonic() - self._began.pop(name, time.monotonic())
        what = "failed" if failure is not None else f"held, {held}," if held else "done"
        print(f"{self._ended}/{self._total} {name}: {what} in {took_s:.1f} s", file=self._stream, flush=True)
