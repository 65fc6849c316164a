"""Takes every field out of every reply of the tour, one at a time, and counts which losses the shapes notice.

Run it as `python -m tests.localfly.mutate_shapes`; the suite does the same and demands that no operation is
blind. A loss of a field that may be missing goes unnoticed, and is counted as that.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.localfly.pem_files import made
from tests.localfly.shape import fields_of, without
from tests.localfly.shapes import REPLIES
from tests.localfly.tour import Reply, everything, localfly


@dataclass(frozen=True, slots=True)
class Count:
    """Losses that were noticed and not, by operation; operations without a body have none."""

    noticed: Counter[tuple[str, str]]
    unnoticed: Counter[tuple[str, str]]
    without_body: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        lost, seen = self.noticed.total() + self.unnoticed.total(), self.noticed.total()
        return (
            f"{len(self.noticed)} operations with a body: {seen} of {lost} lost fields turn a test red, at "
            f"least {min(self.noticed.values())} in each; {len(self.without_body)} operations have no body"
        )


def mutate(replies: Iterable[Reply]) -> Count:
    """Count for all replies; of an operation that answered more than once, every answer."""
    count = Count(Counter(), Counter(), frozenset(one.operation for one in replies if one.content is None))
    for reply in replies:
        kind = REPLIES[reply.operation][1]
        if kind is None or reply.content is None:
            continue
        for path in fields_of(reply.content):
            is_noticed = any(kind.faults(without(reply.content, path)))
            (count.noticed if is_noticed else count.unnoticed)[reply.operation] += 1
    return count


async def main() -> None:
    """Print the count."""
    certificate, key = made()
    async with localfly() as api:
        print(mutate(await everything(api, certificate=certificate, key=key)))


if __name__ == "__main__":
    asyncio.run(main())
