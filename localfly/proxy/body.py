"""A request's body on its way through: kept while a replay may need it again, never more than the limit.

Answers for bounded memory and for sending from the first byte once more. Reading it from the client is
`client`'s.
"""

import asyncio
from collections.abc import AsyncIterator

WINDOW = 256 * 1024  # bytes read ahead of the machine once the body is beyond replay


class Body:
    """Bytes as they arrive; `limit` is the largest size that can be sent a second time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.is_whole = False
        self._chunks: list[bytes] = []  # from the first byte on; beyond the limit only what is not sent yet
        self._unsent = 0
        self._is_unwanted = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def is_replayable(self) -> bool:
        """Whether all that has come so far could be sent again."""
        return self.size <= self.limit

    async def feed(self, data: bytes) -> None:
        """Add bytes; beyond the limit this waits until the machine takes them."""
        if self._is_unwanted:
            return
        self._chunks.append(data)
        self.size += len(data)
        self._unsent += len(data)
        self._news.set()
        while not self.is_replayable and self._unsent > WINDOW and not self._is_unwanted:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Nothing more will come."""
        self.is_whole = True
        self._news.set()

    async def discard(self) -> None:
        """Throw away what is kept and what still comes, until the end is reached."""
        self._is_unwanted = True
        self._chunks.clear()
        self._room.set()
        while not self.is_whole:
            self._news.clear()
            await self._news.wait()

    async def settle(self) -> None:
        """Wait until it is known whether the whole body can be sent again."""
        while not self.is_whole and self.is_replayable:
            self._news.clear()
            await self._news.wait()

    async def from_start(self) -> AsyncIterator[bytes]:
        """Every byte, as it arrives; a second time only while `is_replayable`."""
        at = 0
        self._unsent = self.size
        while True:
            while at < len(self._chunks):
                chunk = self._chunks[at]
                at += 1
                yield chunk
                self._unsent -= len(chunk)
                if not self.is_replayable:
                    del self._chunks[:at]
                    at = 0
                    self._room.set()
            if self.is_whole:
                return
            self._news.clear()
            await self._news.wait()
