"""The visitor's journeys where Fly is hard to live with: starts that fail, a cache that forgets."""

import asyncio

from localfly.faults import Fault, Faults
from localfly.proxy.edge import ProxySettings
from reconciler.core.replay_spec import ReplaySpec
from tests.journeys.test_replay_failed import HOST, routed

FORGETFUL = ProxySettings(forgetful_cache=7)


async def test_one_start_in_a_hundred_fails_and_its_visitor_is_told_to_come_back() -> None:
    """A start that failed is the router's 503 with `Retry-After`, no empty 502; the next visit works."""
    async with routed(ReplaySpec(), settings=FORGETFUL) as fly:
        machine = await fly.machine("acme-alice", is_asleep=True)
        faults = Faults(fly.world.clock, seed=7)
        fly.world.before_start = faults.start
        rule = faults.add(Fault("host_memory", "START proxy", probability=0.01))
        pages = 0
        for _ in range(250):
            answer = await fly.ask(host=HOST)
            if answer.status_code == 503:
                pages += 1
                assert int(answer.headers["retry-after"]) > 0
                assert answer.text.startswith("503 ")
                answer = await fly.ask(host=HOST)
            assert (answer.status_code, answer.json()["machine"]) == (200, machine.id)
            fly.lifecycle.stop(machine)
            assert await fly.lifecycle.until(machine, lambda one: one.state == "stopped", timeout_s=60)
        assert pages == rule.strikes
        assert 1 <= pages <= 12


async def test_many_visitors_of_one_start_that_fails_share_its_fate_and_the_next_start() -> None:
    """Fifty at once get the page; of the next fifty all are answered, by one more start."""
    async with routed(ReplaySpec(), settings=FORGETFUL) as fly:
        machine = await fly.machine("acme-alice", is_asleep=True)
        faults = Faults(fly.world.clock)
        fly.world.before_start = faults.start
        faults.add(Fault("host_memory", "START proxy", count=1))
        for status in (503, 200):
            answers = await asyncio.gather(*(fly.ask(host=HOST) for _ in range(50)))
            assert {answer.status_code for answer in answers} == {status}
        starts = [event.status for event in machine.events if event.type == "start"]
        assert starts == ["starting", "failed", "starting", "started"]
