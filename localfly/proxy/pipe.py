"""Raw bytes between two connections, both ways, each end told when the other is done.

Answers for upgraded connections and ports without an HTTP handler.
"""

import asyncio
import contextlib
from collections.abc import Callable

CHUNK = 64 * 1024

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def pipe(one: Ends, other: Ends, *, to_one: Callable[[bytes], None] | None = None) -> None:
    """Carry bytes until both directions have ended; a broken one ends both. Closes nothing itself.

    `to_one` writes to `one` in place of its own writer's `write`.
    """
    with contextlib.suppress(OSError):  # ENOTCONN is none of the connection errors
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(one[0], other[1], other[1].write))
                group.create_task(_carry(other[0], one[1], to_one or one[1].write))
        except* OSError as broken:
            raise broken.exceptions[0] from None


async def _carry(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, write: Callable[[bytes], None]
) -> None:
    while data := await source.read(CHUNK):
        write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
