"""Things that take a while and of which each machine or app does one at a time.

Answers for taking over: a new move cancels the one under way and begins only when that has ended.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection


class Moves:
    """At most one running move per key; every task is owned here until `aclose()`."""

    def __init__(self) -> None:
        self._latest: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, key: str, move: Callable[[], Awaitable[None]]) -> None:
        """Let `move` take over from whatever the key is doing."""
        if key in self._latest:
            self._latest[key].cancel()
        lock = self._locks.setdefault(key, asyncio.Lock())
        task = asyncio.get_running_loop().create_task(_alone(lock, move), name=_name(key))
        self._latest[key] = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end(key, done))

    async def aclose(self) -> None:
        """Cancel every move and wait until all have ended."""
        await self.end(self._locks.keys())

    async def end(self, keys: Collection[str]) -> None:
        """Cancel every move of these and wait until all have ended."""
        names = {_name(key) for key in keys}
        ending = [task for task in self._tasks if task.get_name() in names]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _end(self, key: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._latest.get(key) is task:
            del self._latest[key], self._locks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": f"{task.get_name()} failed", "exception": error}
            )


async def _alone(lock: asyncio.Lock, move: Callable[[], Awaitable[None]]) -> None:
    async with lock:
        await move()


def _name(key: str) -> str:
    return f"move of {key}"
