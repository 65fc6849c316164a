"""Faults: every known failure on demand, before or after the effect, by pattern, order and seeded chance."""

import asyncio
from typing import Any

import httpx
import pytest

from localfly.faults import Fault
from localfly.mishap import MISHAPS
from tests import virtual_time
from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import (
    config,
    create_app,
    create_machine,
    create_volume,
    said,
    settled,
    started_machine,
)

FAULTS = "/_localfly/faults"
CREATE = "POST /v1/apps/{app_name}/machines"
MACHINES = "/v1/apps/alice/machines"

# Contract §2.2, written down a second time: name, status, the text or how it begins, and the code if any.
KNOWN = [
    ("network_not_found", 400, "network not found", None),
    ("volume_no_capacity_400", 400, "no capacity", None),
    ("token_expired", 401, "Authenticate: token validation error", None),
    ("unauthorized", 403, "unauthorized", None),
    ("memory_quota", 403, 'organization "acme" is using 65536 MB of memory in fra which is over the', None),
    ("app_not_found", 404, "app not found", None),
    ("machine_not_found", 404, "not_found: machine not found", None),
    ("volume_not_found", 404, "volume not found", None),
    ("lease_not_found", 404, "lease not found", None),
    ("deadline_exceeded", 408, "deadline_exceeded: ", None),
    (
        "wait_expired",
        408,
        "deadline_exceeded: machine failed to reach desired state, started, ",
        None,
    ),
    ("lease_held", 409, "aborted: machine ID ", None),
    ("name_held", 409, "already_exists: unique machine name violation, machine ID ", None),
    ("concurrent_update", 409, "aborted: machine update failed due to concurrent update", None),
    (
        "host_cpus",
        409,
        "aborted: could not reserve resource for machine: insufficient CPUs ",
        None,
    ),
    (
        "host_memory",
        409,
        "aborted: could not reserve resource for machine: insufficient memory ",
        None,
    ),
    ("placement_resources", 409, "aborted: insufficient resources available to fulfill request", None),
    ("placement_ips", 409, "aborted: insufficient IPs available to fulfill request", None),
    ("volume_no_capacity", 409, "aborted: no capacity", None),
    (
        "volume_placement_capacity",
        412,
        "insufficient resources to create new machine with existing volume id 'vol_1'",
        "volume_placement_capacity",
    ),
    ("volume_claimed", 412, "failed_precondition: volume already claimed by machine ", None),
    ("volume_bound", 412, "failed_precondition: volume is currently bound to machine: ", None),
    ("start_from_created", 412, "failed_precondition: unable to start machine from current state: ", None),
    ("start_while_replaced", 412, "failed_precondition: machine getting replaced, refusing to start", None),
    ("start_while_active", 412, "failed_precondition: machine still active, refusing to start", None),
    (
        "destroy_while_running",
        412,
        "failed_precondition: unable to destroy machine, ",
        None,
    ),
    ("exec_not_running", 412, "failed_precondition: machine not running", None),
    ("exec_eof", 412, "exec request failed: EOF", None),
    ("snapshot_scheduled", 412, "failed_precondition: snapshot is already scheduled at ", None),
    ("name_taken", 422, "Validation failed: Name has already been taken", "name_taken"),
    ("name_race", 422, "uniqueness constraint violated", None),
    ("insufficient_capacity", 422, "could not find a candidate host", "insufficient_capacity"),
    ("rate_limit", 429, "rate limit exceeded", None),
    ("internal", 500, "internal: ", None),
    ("unavailable", 503, "unavailable: ", None),
    ("host_disabled", 503, "unavailable: deploys to this host are temporarily disabled, ", None),
]


async def ask_for(fly: Laptop) -> httpx.Response:
    """A machine with a volume in Frankfurt."""
    mounted = config(mounts=[{"volume": "vol_1", "path": "/data"}])
    return await fly.client.post(MACHINES, json={"config": mounted, "region": "fra", "name": "web-0"})


@pytest.mark.parametrize(("name", "status", "text", "code"), KNOWN, ids=[row[0] for row in KNOWN])
async def test_every_published_failure_can_be_asked_for(
    name: str, status: int, text: str, code: str | None
) -> None:
    """Status, words and code are those of the contract, and nothing was done."""
    async with laptop() as fly:
        await create_app(fly)
        fly.troubles.faults.add(Fault(name, CREATE))
        answer = await ask_for(fly)

        assert answer.status_code == status
        assert answer.json()["error"].startswith(text)
        assert answer.json().get("status") == code
        assert answer.headers["fly-request-id"]
        assert fly.world.machines == {}


def test_no_failure_is_left_out_of_the_list_above() -> None:
    beside = {"invalid", "metadata_stale", "payment_required", "unknown", "bad_gateway", "gateway_timeout"}
    assert {row[0] for row in KNOWN} == MISHAPS.keys() - beside


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body"),
    [
        (Fault("bad_gateway"), 502, "text/html; charset=utf-8", "<html>"),
        (Fault("gateway_timeout"), 504, "", ""),
        (Fault("internal", form="html"), 500, "text/html; charset=utf-8", "<html>"),
        (Fault("unavailable", form="empty"), 503, "", ""),
        (Fault("rate_limit", form="message"), 429, "application/json; charset=utf-8", '{"message":"rate'),
    ],
)
async def test_gateways_answer_with_pages_or_with_nothing(
    fault: Fault, status: int, content_type: str, body: str
) -> None:
    async with laptop() as fly:
        fly.troubles.faults.add(fault)
        answer = await fly.client.get("/v1/apps/alice")

    assert (answer.status_code, answer.headers.get("content-type", "")) == (status, content_type)
    assert answer.text.startswith(body)
    assert bool(answer.text) == bool(body)


async def test_a_failure_after_the_effect_leaves_the_machine_behind() -> None:
    """408 on a create is ambiguous: the machine is there, and the name is taken."""
    async with laptop() as fly:
        await create_app(fly)
        fly.troubles.faults.add(Fault("deadline_exceeded", CREATE, after_effect=True, count=1))
        first = await fly.client.post(MACHINES, json={"config": config(), "name": "web-0"})
        second = await fly.client.post(MACHINES, json={"config": config(), "name": "web-0"})

        assert first.status_code == 408
        (machine,) = fly.world.machines.values()
        assert machine.name == "web-0"
        assert second.status_code == 409
        assert machine.id in second.json()["error"]


@pytest.mark.parametrize(("after_effect", "machines"), [(True, 1), (False, 0)])
async def test_a_lost_answer_is_an_ended_connection_with_or_without_its_effect(
    after_effect: bool, machines: int
) -> None:
    async with laptop() as fly:
        await create_app(fly)
        fly.troubles.faults.add(Fault("lost", CREATE, after_effect=after_effect))
        with pytest.raises(httpx.RemoteProtocolError):
            await create_machine(fly)

        assert len(fly.world.machines) == machines
        assert fly.journal.requests[-1].status == 0


async def test_a_slow_answer_takes_its_time_by_the_clock() -> None:
    """Before the effect unless told: a volume appears when the wait is over."""
    async with laptop() as fly:
        await create_app(fly)
        fly.troubles.faults.add(Fault(operation="POST */volumes", delay_s=40))
        before = fly.world.clock()
        volume = await create_volume(fly)

        assert fly.world.clock() - before == pytest.approx(40)
        assert fly.world.apps["alice"].volumes[volume["id"]].created_at == pytest.approx(before + 40)


async def test_faults_choose_by_operation_app_and_order() -> None:
    """The second and third matching calls are struck, and no call of another app or operation counts."""
    async with laptop() as fly:
        for name in ("alice", "bob"):
            await create_app(fly, name)
        fly.troubles.faults.add(Fault("internal", "GET /v1/apps/{app_name}", app="a*", nth=2, count=2))
        paths = ("alice", "bob", "alice/machines", "alice", "alice", "bob", "alice")
        answers = [(await fly.client.get(f"/v1/apps/{path}")).status_code for path in paths]

    assert answers == [200, 200, 200, 500, 500, 200, 200]


async def struck(fly: Laptop, calls: int = 60) -> str:
    """Which of many calls failed, as a row of marks."""
    statuses = [(await fly.client.get("/v1/apps?org_slug=acme")).status_code for _ in range(calls)]
    return "".join("." if status == 200 else "x" for status in statuses)


async def test_a_seed_repeats_its_chances_and_another_does_not() -> None:
    rows = []
    for seed in (1, 1, 2):
        async with laptop() as fly:
            fly.troubles.faults.add(Fault("internal", probability=0.3, seed=seed))
            rows.append(await struck(fly))

    assert rows[0] == rows[1] != rows[2]
    assert 5 < rows[0].count("x") < 40


async def rough_day(seed: int) -> str:
    """Thirty users' worth of calls in a world where much goes wrong; journal and world in the end."""
    async with laptop(seed=seed) as fly:
        return await _rough_day(fly)


async def _rough_day(fly: Laptop) -> str:
    faults = fly.troubles.faults
    faults.add(Fault("internal", "GET *", probability=0.2))
    faults.add(Fault("lost", "POST *", probability=0.2, after_effect=True))
    faults.add(Fault("insufficient_capacity", CREATE, probability=0.3))
    faults.add(Fault(operation="*", probability=0.5, delay_s=0.7))
    faults.add(Fault("host_memory", "START *", probability=0.3))
    for number in range(30):
        for method, path, body in (
            ("POST", "/v1/apps", {"name": f"u{number}", "org_slug": "acme"}),
            ("POST", f"/v1/apps/u{number}/machines", {"config": config(), "name": "web-0"}),
            ("GET", f"/v1/apps/u{number}/machines", None),
        ):
            try:
                await fly.client.request(method, path, json=body)
            except httpx.RemoteProtocolError:
                await asyncio.sleep(0.1)
    await asyncio.sleep(5)
    journal = await fly.client.get("/_localfly/requests")
    world = await fly.client.get("/_localfly/world")
    return journal.text + world.text


def test_one_seed_makes_one_world_and_one_journal_byte_for_byte() -> None:
    """Ids, states, faults and moments are the same again; another seed gives another world."""
    days = [virtual_time.run(rough_day(seed)) for seed in (7, 7, 8)]

    assert days[0] == days[1]
    assert days[0] != days[2]
    assert '"state":"failed"' in days[0]
    assert '"status":0' in days[0]


async def test_starts_fail_by_who_asked_for_them() -> None:
    """A machine whose start by the API fails reads failed and says why in its events."""
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{MACHINES}/{machine['id']}"
        fly.troubles.faults.add(Fault("host_memory", "START proxy"))
        fly.troubles.faults.add(Fault("host_cpus", "START user", nth=2))
        await fly.client.post(f"{path}/stop")
        await settled(fly, "alice", machine["id"], "stopped")
        await asyncio.sleep(1)
        await fly.client.post(f"{path}/start")
        up = await settled(fly, "alice", machine["id"], "started")
        await fly.client.post(f"{path}/stop")
        await settled(fly, "alice", machine["id"], "stopped")
        await asyncio.sleep(1)
        await fly.client.post(f"{path}/start")
        down = await settled(fly, "alice", machine["id"], "failed")
        fly.troubles.faults.clear()
        await fly.client.post(f"{path}/start")
        again = await settled(fly, "alice", machine["id"], "started")

    assert (up["state"], down["state"], again["state"]) == ("started", "failed", "started")
    assert "host_cpus" in down["events"][0]["request"]["error"]


async def test_faults_are_added_read_counted_and_taken_back_over_http() -> None:
    async with laptop() as fly:
        made = await fly.client.post(FAULTS, json={"answer": "internal", "operation": "GET /v1/*"})
        refused = await fly.client.get("/v1/apps/alice")
        shown = (await fly.client.get(FAULTS)).json()["faults"]
        gone = await fly.client.delete(f"{FAULTS}/{made.json()['id']}")
        after = await fly.client.get("/v1/apps/alice")
        again = await fly.client.delete(f"{FAULTS}/{made.json()['id']}")

    assert (made.status_code, refused.status_code) == (201, 500)
    assert [(rule["answer"], rule["calls"], rule["strikes"]) for rule in shown] == [("internal", 1, 1)]
    assert (gone.status_code, after.status_code, said(again)) == (204, 404, (404, "fault not found"))


async def test_a_put_replaces_all_faults_and_the_lag_and_a_delete_ends_both() -> None:
    wanted: dict[str, Any] = {
        "faults": [{"answer": "lost", "operation": CREATE}],
        "consistency": {"hidden_s": 3, "error_regions": ["fra"]},
    }
    async with laptop() as fly:
        await fly.client.post(FAULTS, json={"answer": "internal"})
        put = (await fly.client.put(FAULTS, json=wanted)).json()
        cleared = await fly.client.delete(FAULTS)
        left = (await fly.client.get(FAULTS)).json()

    assert [rule["answer"] for rule in put["faults"]] == ["lost"]
    assert (put["consistency"]["hidden_s"], put["consistency"]["error_regions"]) == (3.0, ["fra"])
    assert cleared.status_code == 204
    assert (left["faults"], left["consistency"]["hidden_s"]) == ([], 0.0)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"answer": "explosion"}, "'answer'"),
        ({}, "'answer'"),
        ({"answer": "lost", "probability": 2}, "'probability'"),
        ({"answer": "lost", "nth": 0}, "'nth'"),
        ({"answer": "lost", "colour": "red"}, "'colour'"),
        ({"answer": "internal", "form": "xml"}, "'form'"),
        ({"delay_s": -1}, "'delay_s'"),
    ],
)
async def test_a_fault_that_is_not_understood_is_a_400_that_names_the_field(fault: object, word: str) -> None:
    async with laptop() as fly:
        status, text = said(await fly.client.post(FAULTS, json=fault))

    assert (status, word in text) == (400, True)
    assert fly.troubles.faults.rules == {}


async def test_the_control_endpoints_themselves_are_never_struck() -> None:
    async with laptop() as fly:
        fly.troubles.faults.add(Fault("internal"))
        answers = [await fly.client.get(path) for path in (FAULTS, "/_localfly/world")]

    assert [answer.status_code for answer in answers] == [200, 200]
