"""A second reading of the documents, for what must not be believed on one reading alone: that a name is gone.

Answers for a source that is complete and at rest. Apart from whoever follows the documents, so that neither
misses what the other has seen.
"""

import asyncio
from collections.abc import Awaitable, Callable

from reconciler.core.settle import SETTLE_S, Settle
from reconciler.core.spec import Specs


class Witness:
    """Asked again and again; each answer is from a reading that is at most two seconds old."""

    def __init__(self, read: Callable[[], Awaitable[Specs]]) -> None:
        self._read = read
        self._settle = Settle()
        self._is_settled = False
        self._last: tuple[float, Specs] | None = None
        self._reading = asyncio.Lock()

    async def doubt(self, name: str, *, installation: str) -> str:
        """Why `name` may not be gone, in one line; empty: two readings, two seconds apart, say that it is."""
        async with self._reading:
            specs = await self._fresh()
        if specs.fleet is None:
            return "there is no Fleet document that holds"
        if specs.fleet.spec.installation != installation:
            return f"the Fleet document is of installation {specs.fleet.spec.installation}"
        if not specs.complete:
            return "; ".join(specs.incomplete_because) or "not all documents could be read"
        if name in specs.users or name in specs.broken:
            return f"there is a document {name} again"
        return "" if self._is_settled else f"they have not listed the same names for {SETTLE_S:.0f} s"

    async def _fresh(self) -> Specs:
        now = asyncio.get_running_loop().time()
        if self._last is None or now - self._last[0] >= SETTLE_S:
            self._last = now, await self._read()
            self._is_settled = self._settle.take(self._last[1], now=now)
        return self._last[1]
