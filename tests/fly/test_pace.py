"""Calls leave no faster than Fly allows, in the order in which they were asked for."""

import asyncio

import pytest

from reconciler.fly.pace import Ceiling, Pace, Rate, Rates


async def departures(pace: Pace, action: str, identifier: str, count: int) -> list[float]:
    """When each of `count` calls asked for at once may leave."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def leave() -> float:
        async with pace.turn(action, identifier, "alice"):
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
        async with pace.turn("get machine", f"m{machine}", "alice"):
            pass
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
        async with pace.turn("update machine", "m1", "alice"):
            order.append(number)

    tasks = [asyncio.ensure_future(leave(number)) for number in range(5)]
    await asyncio.sleep(0.5)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4]


async def served(pace: Pace, asked: list[str], *, each_s: float = 0.0) -> list[tuple[str, float]]:
    """Who left when, of calls asked for at once by these users, each on a thing of its own."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    left: list[tuple[str, float]] = []

    async def leave(number: int, user: str) -> None:
        async with pace.turn("update machine", f"m{number}", user):
            left.append((user, loop.time() - begun))
            await asyncio.sleep(each_s)

    await asyncio.gather(*(leave(number, user) for number, user in enumerate(asked)))
    return left


async def test_users_take_turns_where_the_ceiling_binds() -> None:
    """A user with many calls delays others by one call, not by all of them."""
    left = await served(Pace(ceiling=Ceiling(10.0, None)), ["big"] * 6 + ["small", "other"])
    assert [user for user, _ in left] == ["big", "big", "small", "other", "big", "big", "big", "big"]
    assert [at for _, at in left] == pytest.approx([0.1 * number for number in range(8)])


async def test_no_more_calls_are_under_way_than_the_ceiling_lets() -> None:
    """The next leaves when an answer is there."""
    left = await served(Pace(ceiling=Ceiling(None, 2)), ["a", "b", "c", "d"], each_s=1.0)
    assert left == [("a", 0.0), ("b", 0.0), ("c", 1.0), ("d", 1.0)]


async def test_a_caller_that_gave_up_takes_no_place_below_the_ceiling() -> None:
    """Whether it was still waiting or just let through."""
    pace = Pace(ceiling=Ceiling(None, 1))
    for ended_after_s in (0.5, 1.0):
        tasks = [asyncio.ensure_future(served(pace, [user], each_s=1.0)) for user in "abc"]
        await asyncio.sleep(ended_after_s)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await served(pace, ["d"]) == [("d", 0.0)]
    assert pace.counts.waiting == 0


async def test_it_counts_who_waits_and_for_how_long() -> None:
    """Three leave at once, the others wait one and two seconds."""
    pace = Pace()
    task = asyncio.ensure_future(departures(pace, "update machine", "m1", 5))
    await asyncio.sleep(0.5)
    assert (pace.counts.waiting, pace.counts.admitted) == (2, 3)
    await task
    assert (pace.counts.waiting, pace.counts.admitted, pace.counts.waited_s) == (0, 5, 3.0)


async def test_all_app_deletions_share_a_hundred_a_minute() -> None:
    """A burst of a hundred, then ten in six seconds."""
    left = await departures(Pace(), "delete app", "of the organisation", 110)
    assert left[99] == 0
    assert left[109] == pytest.approx(6.0)
