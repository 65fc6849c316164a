"""An event loop whose clock jumps instead of waiting: a simulated day takes as long as its work.

Answers for time alone. Client, reconciler and localfly all read this loop's clock in-process.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

EPOCH_S = 1_780_000_000.0  # what the wall clock says when a test begins
STUCK_AFTER_S = 5.0  # real seconds without any event or timer: the test would hang for ever


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` moves only when nothing else can happen, and then straight to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def wall(self) -> float:
        """Unix seconds on this loop's clock."""
        return EPOCH_S + self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events:
            return events
        if timeout is None:
            events = super().select(STUCK_AFTER_S)
            if not events:
                raise RuntimeError("nothing left to wait for: a future that nobody will set")
            return events
        self._loop.jump(max(timeout, 0))
        return []


T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time; tasks that it leaves behind are an error."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
