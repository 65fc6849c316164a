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
from tests import matrix_report, scenario, virtual_time
from tests.localfly.inprocess import Laptop, Wireless
from tests.scenario import ACTS_OF_ONE, Act, Kept, Told

ANSWERS = (*MISHAPS, LOST)
STAYS_S = 1200.0  # how long an error that stays is watched
CALLS_A_MINUTE = 60  # of one user in trouble, at most: waiting for something asks once a second

LOOK_AGAIN = frozenset({"Unavailable", "AnswerLost"})  # a read that failed; a write with unknown effect
NO_ROOM = frozenset({"NoCapacity"})
NOT_NOW = frozenset({"NotNow", "NotSettled"})  # NotSettled: told to go, and still there
# NameTaken: the app is not found, and its name is not free. NotSettled: it is not found, and is still there.
ABSENT = frozenset({"NotFound", "NameTaken", "NotSettled"})
STALE = frozenset({"Refused", "ConcurrentUpdate"})  # ConcurrentUpdate: of a write that named a version
EXPECTED_ANYWAY = frozenset({"DataLossNotApproved", "VolumeInUse"})
REASONS = {
    "token_expired": frozenset({"Unauthorized"}),
    "unauthorized": frozenset({"Forbidden", "NameTaken"}),  # NameTaken: it is the app itself
    **dict.fromkeys(("invalid", "network_not_found"), frozenset({"Refused"})),
    **dict.fromkeys(("memory_quota", "insufficient_capacity", "placement_resources"), NO_ROOM),
    **dict.fromkeys(("placement_ips", "volume_no_capacity", "volume_no_capacity_400"), NO_ROOM),
    "volume_placement_capacity": frozenset({"VolumeHostFull"}),
    **dict.fromkeys(("host_cpus", "host_memory"), frozenset({"HostFull"})),
    "host_disabled": frozenset({"HostFull", "Unavailable"}),
    **dict.fromkeys(("app_not_found", "machine_not_found", "volume_not_found", "lease_not_found"), ABSENT),
    **dict.fromkeys(("deadline_exceeded", "wait_expired"), LOOK_AGAIN | {"NotSettled"}),
    **dict.fromkeys(("internal", "unknown", "bad_gateway", "unavailable", "gateway_timeout"), LOOK_AGAIN),
    LOST: frozenset({"Unreachable", "AnswerLost"}),
    "lease_held": frozenset({"LeaseHeld"}),
    "name_held": frozenset({"NameHeld"}),
    "concurrent_update": frozenset({"ConcurrentUpdate"}),
    **dict.fromkeys(("volume_claimed", "volume_bound", "start_from_created"), NOT_NOW),
    **dict.fromkeys(("start_while_replaced", "start_while_active"), NOT_NOW),
    **dict.fromkeys(("destroy_while_running", "snapshot_scheduled"), NOT_NOW),
    **dict.fromkeys(("exec_not_running", "exec_eof", "metadata_stale"), STALE),
    **dict.fromkeys(("name_taken", "name_race"), frozenset({"NameTaken"})),
    "payment_required": frozenset({"AccountLimit"}),
    "rate_limit": frozenset({"TooFast"}),
}
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


async def calls(act: Act, kept: Kept | None) -> list[str]:
    """What an act asks of Fly when nothing goes wrong, each operation once, in order."""
    async with scenario.opening(act, kept) as box:
        line = Listening(box)
        await scenario.life(act, line, approved=scenario.holdings(act, box.world).approved)
    return list(dict.fromkeys(line.calls))


Place = tuple[Act, Kept | None, str]  # an act, the world that it begins in, and a call in it


async def sites() -> list[Place]:
    """Each act with each call that changes something in it, and each kind of reading in its first act."""
    found: list[Place] = []
    beginnings = await scenario.beginnings(ACTS_OF_ONE)
    for act in ACTS_OF_ONE:
        kept = beginnings[act.name]
        read = {call for _, _, call in found if call.startswith("GET")}
        found += [(act, kept, call) for call in await calls(act, kept) if call not in read]
    return found


@pytest.fixture(scope="module")
def places() -> list[Place]:
    """The sites, found once."""
    return virtual_time.run(sites())


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_error_that_passes_is_got_over(
    answer: str, places: list[Place], record_property: matrix_report.Record
) -> None:
    """Whichever call it strikes, once: in the end all is as wanted."""
    found = []
    for act, kept, call in places:
        async with scenario.opening(act, kept) as box:
            before = scenario.holdings(act, box.world)
            box.troubles.faults.add(Fault(answer, call, count=1))
            await scenario.life(act, Wireless(box.api), approved=before.approved)
            await scenario.at_rest(box.world)
            wrongs = scenario.wrongs(act, box.world, before)
            found += [f"{act.name}, {call}: {wrong}" for wrong in wrongs]
    assert found == []
    matrix_report.count(record_property, "errors that pass", len(places))


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_error_that_stays_is_told_and_destroys_nothing(
    answer: str, places: list[Place], record_property: matrix_report.Record
) -> None:
    """It is either harmless, or a condition with a reason that fits; calls stay few, and no data is lost."""
    found = []
    for act, kept, call in places:
        async with scenario.opening(act, kept) as box:
            found += [f"{act.name}, {call}: {what}" for what in await stays(act, box, answer, call)]
    assert found == []
    matrix_report.count(record_property, "errors that stay", len(places))


async def stays(act: Act, box: Laptop, answer: str, call: str) -> list[str]:
    """What is wrong with living under an error that stays."""
    before = scenario.holdings(act, box.world)
    box.troubles.faults.add(Fault(answer, call))
    line, told = Listening(box), Told()
    is_done = False
    with suppress(TimeoutError):
        async with asyncio.timeout(STAYS_S):
            await scenario.life(act, line, approved=before.approved, told=told)
            is_done = True
    after = scenario.holdings(act, box.world)
    found = [
        f"lost volumes {lost}"
        for app, volumes in before.volumes.items()
        if (lost := volumes - after.volumes.get(app, frozenset()) - before.approved)
    ]
    living = {app.name: len(list(app.living())) for app in box.world.apps.values()}
    found += [f"{app} has {count} machines" for app, count in living.items() if count > 1]
    if len(line.calls) > CALLS_A_MINUTE * STAYS_S / 60:
        found.append(f"{len(line.calls)} calls")
    if not is_done and not told.reasons:
        found.append("nothing was told")
    if not told.reasons <= REASONS[answer] | EXPECTED_ANYWAY:
        found.append(f"told {sorted(told.reasons)}")
    destroyed = [each for each in line.calls if each.startswith("DELETE") and not each.endswith("/lease")]
    if destroyed and not act.gives_up:
        found.append(f"asked for {destroyed}")
    return found
