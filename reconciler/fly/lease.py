"""A machine's lease, held for as long as a block runs and never longer than its ttl after a crash.

Leaves the calls to `client`, and the decision what to guard to `apply`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.fly.errors import (
    Ambiguous,
    CouldNotAsk,
    FlyError,
    Garbled,
    LeaseHeld,
    LeaseLost,
    NotFound,
    TooFast,
    Unavailable,
)
from reconciler.fly.models import LeaseGrant

REFRESHES_PER_TTL = 3
RELEASE_WITHIN_S = 3.0
MARGIN_S = 1.0  # the guarded work must stop before Fly believes that the lease is over

_MAY_STILL_HOLD = (CouldNotAsk, Ambiguous, Garbled, TooFast, Unavailable)


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease; `version` is the machine's instance_id when it was taken."""

    nonce: str = field(repr=False)
    version: str


class LeaseCalls(Protocol):
    """One machine's lease endpoints. Each raises `FlyError`."""

    async def take(self, *, ttl_s: int, description: str) -> LeaseGrant: ...

    async def refresh(self, nonce: str, *, ttl_s: int) -> LeaseGrant: ...

    async def look(self) -> LeaseGrant: ...

    async def release(self, nonce: str) -> None: ...


@asynccontextmanager
async def held(
    calls: LeaseCalls, *, operation: str, description: str, ttl_s: int, wall: Callable[[], float]
) -> AsyncIterator[Lease]:
    """Hold the lease while the block runs, refreshed three times per ttl; losing it cancels the block.

    `description`: `{installation}/{process}`. A lease that an earlier life of this installation left behind
    is waited for, at most its ttl; anybody else's is a `LeaseHeld`. `wall`: unix seconds. Raises `LeaseLost`.
    """
    grant, asked_at = await _take(calls, ttl_s=ttl_s, description=description, wall=wall)
    try:
        async with _beside(_keep(calls, grant.nonce, operation=operation, ttl_s=ttl_s, asked_at=asked_at)):
            yield Lease(grant.nonce, grant.version)
    finally:
        # Also when cancelled. Should this fail, the lease ends by itself after its ttl.
        with contextlib.suppress(FlyError, TimeoutError):
            async with asyncio.timeout(RELEASE_WITHIN_S):
                await calls.release(grant.nonce)


async def _take(
    calls: LeaseCalls, *, ttl_s: int, description: str, wall: Callable[[], float]
) -> tuple[LeaseGrant, float]:
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + 2 * ttl_s
    while True:
        asked_at = clock()
        try:
            return await calls.take(ttl_s=ttl_s, description=description), asked_at
        except Ambiguous as error:
            failure: FlyError = error  # we may hold it now without its nonce: the next answer tells
            pause_s = MARGIN_S
        except LeaseHeld as error:
            failure = error
            pause_s = await _ends_in(calls, error, ttl_s=ttl_s, description=description, wall=wall)
        if clock() + pause_s > give_up_at:
            raise failure
        await asyncio.sleep(pause_s)


async def _ends_in(
    calls: LeaseCalls, held_by: LeaseHeld, *, ttl_s: int, description: str, wall: Callable[[], float]
) -> float:
    """Seconds until the lease in our way ends; raises `held_by` unless it is our own installation's."""
    try:
        holder = await calls.look()
    except NotFound:
        return MARGIN_S  # just released
    if holder.description.partition("/")[0] != description.partition("/")[0]:
        raise held_by
    expires_at = held_by.expires_at or holder.expires_at
    # Our leases never last longer than their ttl, whatever the two clocks believe.
    return min(max(expires_at - wall(), 0.0), ttl_s) + MARGIN_S


async def _keep(calls: LeaseCalls, nonce: str, *, operation: str, ttl_s: int, asked_at: float) -> None:
    clock = asyncio.get_running_loop().time
    safe_until = asked_at + ttl_s - MARGIN_S
    pause_s = ttl_s / REFRESHES_PER_TTL
    while True:
        await asyncio.sleep(min(pause_s, max(safe_until - clock(), 0.0)))
        asked_at = clock()
        try:
            async with asyncio.timeout_at(safe_until):
                grant = await calls.refresh(nonce, ttl_s=ttl_s)
        except TimeoutError as error:
            raise LeaseLost(operation, "its lease could not be refreshed in time") from error
        except _MAY_STILL_HOLD:
            pause_s = MARGIN_S
            continue
        except FlyError as error:
            raise LeaseLost(operation, f"its lease was lost: {error.text}", status=error.status) from error
        if grant.nonce != nonce:
            raise LeaseLost(operation, "its lease was lost: the refresh answered another nonce")
        safe_until = asked_at + ttl_s - MARGIN_S
        pause_s = ttl_s / REFRESHES_PER_TTL


@asynccontextmanager
async def _beside(background: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `background` while the block runs; its failure cancels the block and is raised in its place."""
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(background)
            yield
            task.cancel()
    except BaseExceptionGroup as group:
        failure = group.exceptions[0]  # the first cause; what came of the cancellation follows it
    else:
        return
    raise failure
