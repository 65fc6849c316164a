"""Calls leave no faster than Fly allows, in the order in which they were asked for."""

import asyncio

import pytest

from reconciler.fly.pace import Pace, Rate, Rates


async def departures(pace: Pace, action: str, identifier: str, count: int) -> list[float]:
    """When each of `count` calls asked for at once may leave."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def leave() -> float:
        await pace.admit(action, identifier)
        return loop.time() - begun

    return list(await asyncio.gather(*(leave() for _ in range(count))))


async def test_a_burst_leaves_at_once_and_the_rest_at_the_sustained_rate() -> None:
    """Three at once, then one a second, first asked first admitted."""
    assert await departures(Pace(), "update machine", "m1", 6) == [0, 0, 0, 1, 2, 3]


async def test_reading_a_machine_has_its_own_faster_limit() -> None:
    """Ten at once, then five a second."""
    assert await departures(Pace(), "get machine", "m1", 12) == pytest.approx([0.0] * 10 + [0.2, 0.4])


async def test_actions_and_identifiers_do_not_share_a_limit() -> None:
    """A busy machine delays neither another machine nor another action."""
    pace = Pace()
    await departures(pace, "update machine", "m1", 3)
    assert await departures(pace, "update machine", "m2", 3) == [0, 0, 0]
    assert await departures(pace, "start machine", "m1", 3) == [0, 0, 0]


async def test_a_rest_earns_the_burst_back_but_no_more() -> None:
    """After an hour of silence three calls leave at once, and not four."""
    pace = Pace()
    await departures(pace, "update machine", "m1", 5)
    await asyncio.sleep(3600)
    assert await departures(pace, "update machine", "m1", 4) == [0, 0, 0, 1]


async def test_memory_follows_the_last_seconds_and_not_the_fleet() -> None:
    """Twenty thousand machines called once each, at a hundred a second, leave a few hundred buckets."""
    pace = Pace()
    for machine in range(20_000):
        await pace.admit("get machine", f"m{machine}")
        if machine % 100 == 0:
            await asyncio.sleep(1)
    assert len(pace) <= 1025


async def test_no_pace_is_no_limit() -> None:
    """Towards a Fly on this laptop nothing waits."""
    assert await departures(Pace(None), "update machine", "m1", 100) == [0.0] * 100


async def test_a_caller_that_gave_up_does_not_let_others_overtake() -> None:
    """Order is kept among those who still wait, whatever happens to one in the middle."""
    pace = Pace(Rates(default=Rate(1.0, 1)))
    order: list[int] = []

    async def leave(number: int) -> None:
        await pace.admit("update machine", "m1")
        order.append(number)

    tasks = [asyncio.ensure_future(leave(number)) for number in range(5)]
    await asyncio.sleep(0.5)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4]
