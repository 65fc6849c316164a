"""Broken off at any call, in any way: a new process starts from documents and world alone, and ends as wanted."""

from enum import Enum

import httpx
import pytest

from tests import scenario
from tests.localfly.inprocess import Laptop, Wireless
from tests.scenario import ACTS, Act


class KilledError(BaseException):
    """The process is dead: whatever of it still runs has no effect any more."""


class When(Enum):
    """How a call breaks off; the last leaves the process alive."""

    BEFORE = "killed before"
    AFTER = "killed after"
    LOST = "answer lost"


class Wire(httpx.AsyncBaseTransport):
    """One process's way to Fly, broken at its n-th call."""

    def __init__(self, box: Laptop, nth: int = 0, when: When = When.BEFORE) -> None:
        self.inner = Wireless(box.api)
        self.nth = nth
        self.when = when
        self.calls: list[str] = []
        self.is_dead = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._check_lives()
        self.calls.append(f"{request.method} {request.url.path}")
        if len(self.calls) != self.nth:
            answer = await self.inner.handle_async_request(request)
            self._check_lives()
            return answer
        if self.when is When.BEFORE:
            self.is_dead = True
            raise KilledError
        await self.inner.handle_async_request(request)
        if self.when is When.AFTER:
            self.is_dead = True
            raise KilledError
        raise httpx.ReadError("connection reset", request=request)

    def _check_lives(self) -> None:
        if self.is_dead:
            raise KilledError


async def live_and_die(act: Act, wire: Wire) -> None:
    """A process until its end, whichever comes first."""
    try:
        await scenario.life(act, wire)
    except BaseExceptionGroup as group:
        if group.split(KilledError)[1] is not None:
            raise


@pytest.mark.parametrize("when", When, ids=lambda when: when.value)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
async def test_broken_off_at_any_call_it_ends_as_wanted(act: Act, when: When) -> None:
    """No duplicate, no orphan, no lost volume."""
    kept = await scenario.world_before(act, ACTS)
    async with scenario.opening(act, kept) as box:
        whole = Wire(box)
        before = scenario.holdings(box.world)
        await scenario.life(act, whole)
        await scenario.at_rest(box.world)
        assert scenario.wrongs(act, box.world, before) == []
    found = []
    for nth in range(1, len(whole.calls) + 1):
        async with scenario.opening(act, kept) as box:
            before = scenario.holdings(box.world)
            wire = Wire(box, nth, when)
            await live_and_die(act, wire)
            await scenario.life(act, Wire(box))
            await scenario.at_rest(box.world)
            wrongs = scenario.wrongs(act, box.world, before)
            if wrongs:
                found.append(f"call {nth} ({wire.calls[nth - 1]}): {'; '.join(wrongs)}")
    assert found == []
    print(len(whole.calls))
