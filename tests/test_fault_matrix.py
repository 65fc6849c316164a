"""Every error that Fly is known to answer, at every call: got over when it passes, told while it stays.

Never a deletion, never a spin. Which errors there are is localfly's list, which calls the scenario's.
"""

import asyncio
import re
from contextlib import suppress

import httpx
import pytest

from localfly.faults import Fault
from localfly.mishap import LOST, MISHAPS
from tests import scenario
from tests.localfly.inprocess import Laptop, Wireless
from tests.scenario import ACTS_OF_ONE, Act, Told

ANSWERS = (*MISHAPS, LOST)
STAYS_S = 1200.0  # how long an error that stays is watched
CALLS_A_MINUTE = 60  # of one user in trouble, at most: waiting for something asks once a second
PARTS = {"apps": "{app_name}", "machines": "{machine_id}", "volumes": "{volume_id}"}


def operation(call: str) -> str:
    """`GET /v1/apps/{app_name}/machines` for `GET /v1/apps/acme-alice/machines`."""
    for noun, part in PARTS.items():
        call = re.sub(rf"(/{noun})/[^/]+", rf"\1/{part}", call)
    return call


class Listening(Wireless):
    """A way to Fly that writes down what was asked."""

    def __init__(self, box: Laptop) -> None:
        super().__init__(box.api)
        self.calls: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(operation(f"{request.method} {request.url.path}"))
        return await super().handle_async_request(request)


async def operations(act: Act, kept: bytes | None) -> list[str]:
    """What an act asks of Fly when nothing goes wrong, each operation once, in order."""
    async with scenario.opening(act, kept) as box:
        line = Listening(box)
        await scenario.life(act, line, approved=scenario.holdings(act, box.world).approved)
    return list(dict.fromkeys(line.calls))


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_error_that_passes_is_got_over(answer: str) -> None:
    """Whichever call it strikes, once, before or after its effect: in the end all is as wanted."""
    found = []
    for act in ACTS_OF_ONE:
        kept = await scenario.world_before(act, ACTS_OF_ONE)
        for struck in await operations(act, kept):
            async with scenario.opening(act, kept) as box:
                before = scenario.holdings(act, box.world)
                box.troubles.faults.add(Fault(answer, struck, count=1))
                line = Listening(box)
                await scenario.life(act, line, approved=before.approved)
                await scenario.at_rest(box.world)
                wrongs = scenario.wrongs(act, box.world, before)
                found += [f"{act.name}, {struck}: {wrong}" for wrong in wrongs]
    assert found == []


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_error_that_stays_is_told_and_destroys_nothing(answer: str) -> None:
    """It is either harmless, or a condition with a reason that fits; calls stay few."""
    found = []
    for act in ACTS_OF_ONE:
        kept = await scenario.world_before(act, ACTS_OF_ONE)
        for struck in await operations(act, kept):
            async with scenario.opening(act, kept) as box:
                found += [f"{act.name}, {struck}: {what}" for what in await stays(act, box, answer, struck)]
    assert found == []


async def stays(act: Act, box: Laptop, answer: str, struck: str) -> list[str]:
    """What is wrong with living under an error that stays."""
    before = scenario.holdings(act, box.world)
    box.troubles.faults.add(Fault(answer, struck))
    line, told = Listening(box), Told()
    is_done = False
    with suppress(TimeoutError):
        async with asyncio.timeout(STAYS_S):
            await scenario.life(act, line, approved=before.approved, told=told)
            is_done = True
    found = [
        f"called {call}" for call in set(line.calls) if call.startswith("DELETE") and "lease" not in call
    ]
    if len(line.calls) > CALLS_A_MINUTE * STAYS_S / 60:
        found.append(f"{len(line.calls)} calls")
    lost = {
        app: ids - scenario.holdings(act, box.world).volumes.get(app, frozenset())
        for app, ids in before.volumes.items()
    }
    found += [f"lost volumes {ids}" for ids in lost.values() if ids]
    found += [
        f"{app.name} has {len(app.machines)} machines"
        for app in box.world.apps.values()
        if len(app.machines) > 1
    ]
    if not is_done and not told.reasons:
        found.append("nothing was told")
    if not is_done:
        print("STAYS", answer, struck, sorted(told.reasons), len(line.calls))
    return found
