"""Laws of the queue, in virtual time."""

import asyncio
import contextlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.workqueue import Closed, Priority, WorkQueue
from tests import virtual_time


def queue(**settings_s: float) -> WorkQueue:
    return WorkQueue(random=Random(7), **settings_s)  # noqa: S311 - jitter, not a secret


def now() -> float:
    return asyncio.get_running_loop().time()


async def drain(work: WorkQueue) -> list[str]:
    """Take everything that is due at this moment."""
    taken: list[str] = []
    while True:
        try:
            async with asyncio.timeout(0.001):
                key = await work.take()
        except TimeoutError:
            return taken
        taken.append(key)
        work.done(key)


async def test_the_more_urgent_name_is_taken_first_whatever_its_age() -> None:
    """A name whose document changed goes before failed and regular ones that came earlier."""
    work = queue()
    work.add("regular", priority=Priority.RESYNC)
    work.add("failed", priority=Priority.RETRY)
    work.add("changed", priority=Priority.CHANGED)
    assert await drain(work) == ["changed", "failed", "regular"]


async def test_a_name_that_is_added_twice_is_taken_once() -> None:
    """Adds of a waiting name melt into one, with the better priority."""
    work = queue()
    work.add("alice", priority=Priority.RESYNC)
    work.add("bob", priority=Priority.RETRY)
    work.add("alice", priority=Priority.CHANGED)
    assert await drain(work) == ["alice", "bob"]


async def test_names_of_one_priority_are_taken_in_the_order_they_came() -> None:
    """Nobody starves among equals."""
    work = queue()
    for name in ("c", "a", "b"):
        work.add(name, priority=Priority.CHANGED)
    assert await drain(work) == ["c", "a", "b"]


async def test_a_name_is_never_with_two_workers() -> None:
    """An add during the work on a name means exactly one more run, after that work."""
    work = queue()
    work.add("alice", priority=Priority.CHANGED)
    assert await work.take() == "alice"
    work.add("alice", priority=Priority.RETRY)
    work.add("alice", priority=Priority.CHANGED)
    assert await drain(work) == []
    work.done("alice")
    assert await drain(work) == ["alice"]


async def test_of_two_deadlines_the_earlier_wins() -> None:
    """A name due in a minute that is added for now is taken now, and not again in a minute."""
    work = queue()
    work.add("alice", priority=Priority.RETRY, after_s=60)
    work.add("alice", priority=Priority.RETRY, after_s=5)
    work.add("alice", priority=Priority.RETRY, after_s=30)
    assert await work.take() == "alice"
    assert now() == pytest.approx(5)
    work.done("alice")
    await asyncio.sleep(120)
    assert await drain(work) == []


async def test_a_failing_name_waits_longer_each_time_up_to_a_limit() -> None:
    """The wait doubles from the base to the limit and stays between its half and its whole."""
    work = queue(backoff_s=1, backoff_limit_s=8)
    ceilings = [1, 2, 4, 8, 8, 8]
    waits = [work.retry("alice") for _ in ceilings]
    assert all(ceiling / 2 <= wait <= ceiling for wait, ceiling in zip(waits, ceilings, strict=True))


async def test_a_success_makes_the_next_failure_the_first() -> None:
    """A forgotten name starts its backoff from the base again."""
    work = queue(backoff_s=1)
    for _ in range(6):
        work.retry("alice")
    work.forget("alice")
    assert work.retry("alice") <= 1


async def test_backoffs_spread() -> None:
    """Many names that fail together do not come back together."""
    work = queue(backoff_s=10)
    assert len({round(work.retry(f"user-{n}"), 3) for n in range(100)}) > 90


async def test_a_resync_does_not_shorten_a_backoff() -> None:
    """The regular look at the fleet does not ask a failing name more often; a changed document does."""
    work = queue(backoff_s=60)
    work.retry("alice")
    work.add("alice", priority=Priority.RESYNC)
    assert await drain(work) == []
    work.add("alice", priority=Priority.CHANGED)
    assert await drain(work) == ["alice"]


async def test_a_changed_name_does_not_wait_behind_ten_thousand_failing_ones() -> None:
    """A change is taken next even when the whole fleet is due for its retry."""
    work = queue(backoff_s=1)
    for n in range(10_000):
        work.retry(f"user-{n}")
    await asyncio.sleep(2)
    work.add("alice", priority=Priority.CHANGED)
    assert await work.take() == "alice"


async def test_a_due_time_wakes_as_many_workers_as_it_has_names() -> None:
    """Idle workers share names that become due at the same moment."""
    work = queue()
    taken: list[tuple[str, float]] = []

    async def worker() -> None:
        taken.append((await work.take(), now()))

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(worker())
        await asyncio.sleep(0)
        for name in ("a", "b", "c"):
            work.add(name, priority=Priority.RESYNC, after_s=10)
    assert sorted(taken) == [("a", 10.0), ("b", 10.0), ("c", 10.0)]


async def test_a_name_is_not_lost_with_a_worker_that_leaves() -> None:
    """A worker cancelled in the moment it is woken leaves the name to the next one."""
    work = queue()
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(work.take())
        staying = group.create_task(work.take())
        await asyncio.sleep(0)
        work.add("alice", priority=Priority.CHANGED)
        leaving.cancel()
    assert staying.result() == "alice"


async def test_a_closed_queue_ends_its_workers() -> None:
    """After the end an idle worker and a late one both hear it, and nothing is handed out."""
    work = queue()
    waiting = asyncio.ensure_future(work.take())
    await asyncio.sleep(0)
    work.close()
    work.add("alice", priority=Priority.CHANGED)
    with pytest.raises(Closed):
        await waiting
    with pytest.raises(Closed):
        await work.take()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "retry", "forget", "work", "done", "pass"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([Priority.CHANGED, Priority.RETRY]),
        st.floats(0, 20),
    ),
    max_size=60,
)


class History:
    """Plays steps on a queue and keeps the books on who holds and who is owed what."""

    def __init__(self) -> None:
        self.work = queue()
        self.held: set[str] = set()
        self.owed: set[str] = set()

    async def play(self, step: str, key: str, priority: Priority, seconds: float) -> None:
        match step:
            case "add":
                self.work.add(key, priority=priority, after_s=seconds)
                self.owed.add(key)
            case "retry":
                self.work.retry(key)
                self.owed.add(key)
            case "forget":
                self.work.forget(key)
            case "pass":
                await asyncio.sleep(seconds)
            case "done" if key in self.held:
                self.held.discard(key)
                self.work.done(key)
            case "work":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.take_all(), 0.001)

    async def take_all(self) -> None:
        while True:
            key = await self.work.take()
            assert key not in self.held
            assert key in self.owed
            self.owed.discard(key)
            self.held.add(key)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_no_history_loses_a_name_or_gives_it_to_two(steps: list[tuple[str, str, Priority, float]]) -> None:
    """Whatever happens before: no name is with two workers, and every added name is taken in the end."""

    async def story() -> None:
        history = History()
        for step in steps:
            await history.play(*step)
        for key in history.held:
            history.work.done(key)
        await asyncio.sleep(1_000)
        assert set(await drain(history.work)) == history.owed

    virtual_time.run(story())
