"""What the actions of one plan share: the client, and what earlier ones leave for later ones."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from reconciler.core.action import Action
from reconciler.fly.client import FlyClient, Secret
from reconciler.fly.errors import Capacity
from reconciler.fly.lease import Lease
from reconciler.fly.models import Volume
from reconciler.fly.settle import visible

T = TypeVar("T")

REFUSED_WITHIN_S = 150.0  # how long a refusal that clears by itself is waited for: a volume still bound …
LOOK_EVERY_S = 1.0
LONGEST_PAUSE_S = 5.0  # between repetitions of what Fly refuses for now
TRIES = 4  # after answers that were lost
LEASE_TTL_S = 15

log = structlog.get_logger()


@dataclass(slots=True)
class Bench:
    """For one plan; `awaited` are the keys that other actions of it wait for."""

    fly: FlyClient
    values: Mapping[str, Secret]
    describe: str  # `{installation}/{process}`, written on leases
    awaited: frozenset[str] = frozenset()
    is_unproven: Callable[[Action], bool] = lambda _action: False
    is_judging: bool = True  # a version is verified only if it serves; False: as it is, whatever it does
    is_new_app: bool = False
    volumes: dict[str, Volume] = field(default_factory=dict)  # made by this plan, by name
    secrets_version: int | None = None

    async def seen(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask; an app made by this plan may not be known everywhere yet."""
        return await (visible(ask) if self.is_new_app else ask())

    def lease(self, app: str, machine: str) -> AbstractAsyncContextManager[Lease]:
        """Hold a machine's lease for as long as the block; it outlives a crash by seconds."""
        return self.fly.lease(app, machine, description=self.describe, ttl_s=LEASE_TTL_S)


async def where_there_is_room(regions: Sequence[str], create: Callable[[str], Awaitable[T]]) -> T:
    """What `create` makes in the first region with room; raises the last region's `Capacity`."""
    for region in regions[:-1]:
        try:
            return await create(region)
        except Capacity as error:
            log.info("apply.region_full", region=region, error=str(error))
    return await create(regions[-1])


def pauses() -> Iterator[float]:
    """Seconds between looks at something that takes seconds, mostly."""
    pause_s = LOOK_EVERY_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def now() -> float:
    """Seconds on the event loop's clock."""
    return asyncio.get_running_loop().time()
