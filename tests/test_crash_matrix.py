"""Broken off at any call, in any way: a new process starts from documents and world, and ends as wanted."""

import asyncio
from collections.abc import Coroutine, Mapping
from enum import Enum
from typing import Any

import httpx
import pytest

from tests import matrix_report, scenario, virtual_time
from tests.localfly.inprocess import Laptop, Wireless
from tests.scenario import ACTS, Act, Kept

BEHIND_S = (0.0, 0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0)


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


async def live_and_die(act: Act, wire: Wire, approved: frozenset[str]) -> None:
    """A process until its end, whichever comes first."""
    try:
        await scenario.life(act, wire, approved=approved)
    except KilledError:
        return
    except BaseExceptionGroup as group:
        if group.split(KilledError)[1] is not None:
            raise


@pytest.fixture(scope="module")
def beginnings() -> Mapping[str, Kept | None]:
    """Each act's world, made once."""
    return virtual_time.run(scenario.beginnings(ACTS))


@pytest.mark.parametrize("when", When, ids=lambda when: when.value)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
async def test_broken_off_at_any_call_it_ends_as_wanted(
    act: Act, when: When, beginnings: Mapping[str, Kept | None], record_property: matrix_report.Record
) -> None:
    """No duplicate, no orphan, no lost volume."""
    kept = beginnings[act.name]
    async with scenario.opening(act, kept) as box:
        whole = Wire(box)
        before = scenario.holdings(act, box.world)
        await scenario.life(act, whole, approved=before.approved)
        await scenario.at_rest(box.world)
        assert scenario.wrongs(act, box.world, before) == []
    found = []
    for nth in range(1, len(whole.calls) + 1):
        async with scenario.opening(act, kept) as box:
            before = scenario.holdings(act, box.world)
            wire = Wire(box, nth, when)
            await live_and_die(act, wire, before.approved)
            await scenario.life(act, Wire(box), approved=before.approved)
            await scenario.at_rest(box.world)
            wrongs = scenario.wrongs(act, box.world, before) + scenario.in_vain(box.world, before)
            found += [f"call {nth} ({wire.calls[nth - 1]}): {wrong}" for wrong in wrongs]
    assert found == []
    matrix_report.count(record_property, f"crashes, {when.value}", len(whole.calls))


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
async def test_two_at_once_from_the_start_end_as_wanted(
    act: Act, beginnings: Mapping[str, Kept | None], record_property: matrix_report.Record
) -> None:
    """Whichever of them is ahead by however little: names, versions and leases decide."""
    kept = beginnings[act.name]
    found = []
    for behind_s in BEHIND_S:
        async with scenario.opening(act, kept) as box:
            before = scenario.holdings(act, box.world)
            async with asyncio.TaskGroup() as group:
                for who in ("one", "two"):
                    life = scenario.life(act, Wire(box), approved=before.approved, who=who)
                    group.create_task(_later(behind_s if who == "two" else 0.0, life))
            await scenario.life(act, Wire(box), approved=before.approved)  # a look at what they left
            await scenario.at_rest(box.world)
            wrongs = scenario.wrongs(act, box.world, before)
            found += [f"{behind_s} s behind: {wrong}" for wrong in wrongs]
    assert found == []
    matrix_report.count(record_property, "races of two", len(BEHIND_S))


async def _later(seconds: float, life: Coroutine[Any, Any, object]) -> None:
    await asyncio.sleep(seconds)
    await life
