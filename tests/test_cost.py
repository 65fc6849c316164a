"""The price that a plan shows is what carrying it out costs on a laptop's Fly."""

import asyncio

import httpx

from reconciler.apply.health import UP_FOR_S
from reconciler.core.cost import Cost
from reconciler.fly.pace import Rates
from reconciler.report.wording import effort
from tests.applying import Applier, Outcome
from tests.stage import MACHINE, Line, Stage, stage

USERS = 20


class Counting(Line):
    """The network, with a meter."""

    calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        return await super().handle_async_request(request)


async def compared(scene: Stage, applier: Applier) -> tuple[Cost, Cost]:
    """What the plan says that it takes, and what it took; the look at the fleet before it is not counted."""
    said = effort((await applier.plan()).plan)
    looking = Counting(scene.fly.api)
    scene.line = looking
    plan = await applier.save()
    doing = Counting(scene.fly.api)
    scene.line = doing
    began = asyncio.get_running_loop().time()
    assert await applier.apply(plan) == Outcome({}, 0, ())
    took_s = asyncio.get_running_loop().time() - began
    return said, Cost(doing.calls - looking.calls, took_s)


async def test_the_price_of_new_users_and_of_a_new_image_is_what_they_cost() -> None:
    """As many calls as were said, give or take a tenth; at least as long, and not much longer."""
    async with stage(*(f"user-{number:02}" for number in range(USERS)), pace=Rates()) as scene:
        applier = Applier(scene)
        said, took = await compared(scene, applier)
        assert abs(said.calls - took.calls) <= took.calls / 10
        assert said.at_least_s <= took.at_least_s <= said.at_least_s + 5

        scene.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        said, took = await compared(scene, applier)
        assert abs(said.calls - took.calls) <= took.calls / 10
        assert said.at_least_s <= took.at_least_s <= said.at_least_s + UP_FOR_S + 5  # the first are watched
