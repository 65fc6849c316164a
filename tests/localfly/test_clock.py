"""One clock for a world: it passes, stands still, and is moved forward, with everything due in its order."""

import asyncio

import pytest

from localfly.clock import Clock
from tests import virtual_time
from tests.localfly.inprocess import laptop
from tests.localfly.requests import create_app, started_machine
from tests.virtual_time import EPOCH_S, VirtualTimeLoop

CLOCK = "/_localfly/clock"


def clock() -> Clock:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return Clock(loop.wall)


async def test_a_clock_follows_the_wall_until_it_is_frozen_and_goes_on_from_there() -> None:
    now = clock()
    await asyncio.sleep(5)
    passed = now() - EPOCH_S
    now.freeze()
    await asyncio.sleep(100)
    frozen = now() - EPOCH_S
    now.thaw()
    await asyncio.sleep(1)

    assert (passed, frozen) == (5, 5)
    assert now() - EPOCH_S == pytest.approx(6)


async def test_sleep_takes_as_long_as_it_says() -> None:
    now = clock()
    await asyncio.gather(now.sleep(3), now.sleep(1), now.sleep(0))

    assert now() - EPOCH_S == pytest.approx(3)


async def test_nothing_that_is_due_happens_while_the_clock_stands_still() -> None:
    now = clock()
    sleeper = asyncio.create_task(now.sleep(1))
    await asyncio.sleep(0.5)
    now.freeze()
    await asyncio.sleep(1000)
    still = sleeper.done()
    now.thaw()
    before = asyncio.get_running_loop().time()
    await sleeper

    assert still is False
    assert asyncio.get_running_loop().time() - before == pytest.approx(0.5)


async def test_advancing_runs_everything_due_at_its_moment_in_order() -> None:
    now, seen = clock(), []

    async def each(every_s: float) -> None:
        while True:
            await now.sleep(every_s)
            seen.append((every_s, round(now() - EPOCH_S, 3)))

    tasks = [asyncio.create_task(each(every_s)) for every_s in (3.0, 2.0)]
    await now.advance(7)
    for task in tasks:
        task.cancel()

    assert seen == [(2.0, 2), (3.0, 3), (2.0, 4), (3.0, 6), (2.0, 6)]
    assert now() - EPOCH_S == pytest.approx(7)
    assert asyncio.get_running_loop().time() == 0


async def test_advancing_waits_for_work_in_real_time_before_it_goes_on() -> None:
    now, seen = clock(), []

    async def work() -> None:
        await now.sleep(1)
        with now.working():
            await asyncio.sleep(30)
        seen.append("worked")

    async def later() -> None:
        await now.sleep(2)
        seen.append("later")

    tasks = asyncio.gather(later(), work())
    await now.advance(10)
    await tasks

    assert seen == ["worked", "later"]


async def test_a_frozen_clock_that_is_advanced_stays_frozen() -> None:
    now = clock()
    now.freeze()
    await now.advance(60)
    await asyncio.sleep(5)

    assert (now.is_frozen, now() - EPOCH_S) == (True, 60)


async def test_a_deadline_by_the_clock_ends_what_takes_longer_and_nothing_else() -> None:
    now = clock()
    with pytest.raises(TimeoutError):
        async with now.timeout(5):
            await asyncio.sleep(60)
    async with now.timeout(5):
        await asyncio.sleep(1)
    async with now.timeout(None):
        await asyncio.sleep(600)

    assert now() - EPOCH_S == pytest.approx(606)


async def test_a_cancelled_timer_never_rings_however_many_there_are() -> None:
    now = clock()
    rung: list[None] = []
    timers = [now.call_at(now() + at, lambda: rung.append(None)) for at in range(1, 5000)]
    for timer in timers[1:]:
        timer.cancel()
    await now.sleep(10_000)

    assert len(rung) == 1


def test_a_clock_stands_after_a_restart_as_it_stood_before() -> None:
    async def main() -> None:
        now = clock()
        await now.advance(3600)
        again = clock()
        again.resume_at(now.standing)
        assert again() == now()
        now.freeze()
        still = clock()
        still.resume_at(now.standing)
        await asyncio.sleep(9)
        assert (still.is_frozen, still()) == (True, now())

    virtual_time.run(main())


async def test_the_clock_is_seen_frozen_and_advanced_over_http() -> None:
    async with laptop() as fly:
        first = (await fly.client.get(CLOCK)).json()
        frozen = (await fly.client.post(CLOCK, json={"freeze": True})).json()
        await asyncio.sleep(10)
        later = (await fly.client.patch(CLOCK, json={"advance_s": 90})).json()
        running = (await fly.client.patch(CLOCK, json={"freeze": False})).json()

    assert first == {"now": EPOCH_S, "time": "2026-05-28T20:26:40.000000000Z", "frozen": False}
    assert (frozen["frozen"], later["frozen"], running["frozen"]) == (True, True, False)
    assert later["now"] == EPOCH_S + 90


@pytest.mark.parametrize(
    "change", [{"advance_s": -1}, {"advance_s": "1h"}, {"freeze": "yes"}, {"speed": 2}, {"advance_s": 1e12}]
)
async def test_a_clock_is_not_moved_by_what_is_not_understood(change: object) -> None:
    async with laptop() as fly:
        answer = await fly.client.post(CLOCK, json=change)

        assert (answer.status_code, fly.world.clock()) == (400, EPOCH_S)


async def test_leases_waits_and_passages_follow_the_worlds_clock() -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await started_machine(fly)
        url = f"/v1/apps/alice/machines/{machine['id']}"
        await fly.client.post(f"{url}/lease", json={"ttl": 600})
        await fly.client.post(CLOCK, json={"freeze": True})
        held = await fly.client.post(f"{url}/stop")
        waiting = asyncio.create_task(
            fly.client.get(f"{url}/wait", params={"state": "stopped", "timeout": 60})
        )
        await asyncio.sleep(3600)
        still_waiting = not waiting.done()
        await fly.client.post(CLOCK, json={"advance_s": 60})
        gave_up = await waiting
        await fly.client.post(CLOCK, json={"advance_s": 540})
        free = await fly.client.post(f"{url}/stop")
        at_once = (await fly.client.get(url)).json()["state"]
        await fly.client.post(CLOCK, json={"advance_s": 5})
        in_the_end = (await fly.client.get(url)).json()["state"]

    assert (held.status_code, still_waiting, gave_up.status_code, free.status_code) == (409, True, 408, 200)
    assert (at_once, in_the_end) == ("stopping", "stopped")
