"""The checklist for an emulator that the published contract ends with, row by row."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from localfly.consistency import Lag
from localfly.faults import Fault
from localfly.lifecycle import Timings
from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import (
    Json,
    config,
    create_app,
    create_machine,
    create_volume,
    said,
    settled,
    started_machine,
)

MACHINES = "/v1/apps/alice/machines"
SLOW = Timings(create_s=10, start_s=1, stop_s=5, reap_s=5, replace_s=10, destroy_s=10)


def at(machine: Json) -> str:
    """The path of a machine of alice's."""
    return f"{MACHINES}/{machine['id']}"


async def test_row_01_leases_are_wrapped_lists_bare_autostop_boolean_and_creations_201() -> None:
    async with laptop() as fly:
        app = await fly.client.post("/v1/apps", json={"name": "alice", "org_slug": "acme"})
        service = {"protocol": "tcp", "internal_port": 80}
        modes = ["off", "stop", "suspend"]
        services = [{**service, "internal_port": 80 + n, "autostop": mode} for n, mode in enumerate(modes)]
        machine = await create_machine(fly, config=config(services=services))
        lease = await fly.client.post(f"{at(machine)}/lease", json={"ttl": 1})
        secret = await fly.client.post("/v1/apps/alice/secrets/KEY", json={"value": "1"})
        hostname = {"hostname": "a.example.com"}
        certificate = await fly.client.post("/v1/apps/alice/certificates/acme", json=hostname)
        ip = (await fly.client.post("/v1/apps/alice/ip_assignments", json={"type": "v6"})).json()["ip"]
        listed = (await fly.client.get(MACHINES)).json()
        regions = (await fly.client.get("/v1/platform/regions")).json()
        placed = (await fly.client.post("/v1/platform/placements", json={"org_slug": "acme"})).json()
        gone = [
            await fly.client.patch(f"{at(machine)}/metadata", json={"metadata": {"a": "b"}}),
            await fly.client.delete(f"/v1/apps/alice/ip_assignments/{ip}"),
            await fly.client.delete("/v1/apps/alice/certificates/a.example.com"),
            await fly.client.delete("/v1/apps/alice?force=true"),
        ]

    assert [answer.status_code for answer in (app, lease, secret, certificate)] == [201] * 4
    assert set(lease.json()) == {"status", "data"}
    assert [one["id"] for one in listed] == [machine["id"]]
    assert [one["autostop"] for one in machine["config"]["services"]] == [False, True, "suspend"]
    assert set(regions) == {"Regions", "Nearest"}
    assert set(placed["Regions"][0]) == {"Region", "Count", "Concurrency"}
    assert [(answer.status_code, answer.content) for answer in gone] == [(204, b"")] * 3 + [(202, b"")]


async def test_row_02_created_lasts_and_refuses_a_start_and_skip_launch_ends_stopped() -> None:
    async with laptop(timings=SLOW) as fly:
        await create_app(fly)
        machine = await create_machine(fly, skip_launch=True)
        refused = await fly.client.post(f"{at(machine)}/start")
        await asyncio.sleep(9)
        still = (await fly.client.get(at(machine))).json()["state"]
        await asyncio.sleep(2)
        ended = (await fly.client.get(at(machine))).json()["state"]

    text = "failed_precondition: unable to start machine from current state: 'created'"
    assert said(refused) == (412, text)
    assert (still, ended) == ("created", "stopped")


@pytest.mark.parametrize("ran", [True, False])
async def test_row_03_an_update_passes_replacing_to_a_new_version_and_leaves_what_was_stopped(
    ran: bool,
) -> None:
    async with laptop(timings=SLOW) as fly:
        await create_app(fly)
        machine = await create_machine(fly, skip_launch=not ran)
        await settled(fly, "alice", machine["id"], "started" if ran else "stopped")
        body = {"config": config(env={"A": "1"})}
        updated = (await fly.client.post(at(machine), json=body)).json()
        overlapping = await fly.client.post(at(machine), json=body)
        params = {"version": machine["instance_id"], "state": "started"}
        old = await fly.client.get(f"{at(machine)}/wait", params=params)
        after = await settled(fly, "alice", machine["id"])

    assert updated["state"] == "replacing"
    assert updated["instance_id"] == after["instance_id"] != machine["instance_id"]
    assert said(overlapping) == (409, "aborted: machine update failed due to concurrent update")
    assert said(old)[0] == 408
    assert said(old)[1].endswith("currently replaced")
    assert after["state"] == ("started" if ran else "stopped")


async def test_row_04_stop_passes_stopping_and_then_a_start_is_refused_for_a_moment() -> None:
    async with laptop(timings=SLOW) as fly:
        machine = await started_machine(fly)
        await fly.client.post(f"{at(machine)}/stop")
        between = (await fly.client.get(at(machine))).json()["state"]
        stopped = await settled(fly, "alice", machine["id"], "stopped")
        refused = await fly.client.post(f"{at(machine)}/start")
        await asyncio.sleep(SLOW.reap_s)
        accepted = await fly.client.post(f"{at(machine)}/start")

    assert (between, stopped["state"]) == ("stopping", "stopped")
    assert said(refused) == (412, "failed_precondition: machine still active, refusing to start")
    assert accepted.json()["previous_state"] == "stopped"


async def test_row_05_destroy_takes_time_with_its_volume_then_reads_destroyed_then_404() -> None:
    async with laptop(timings=SLOW) as fly:
        await create_app(fly)
        volume = await create_volume(fly)
        mounts = [{"volume": volume["id"], "path": "/data"}]
        machine = await started_machine(fly, config=config(mounts=mounts))
        early = await fly.client.delete(at(machine))
        await fly.client.delete(at(machine), params={"force": "true"})
        bound = await fly.client.delete(f"/v1/apps/alice/volumes/{volume['id']}")
        between = (await fly.client.get(at(machine))).json()["state"]
        await settled(fly, "alice", machine["id"], "destroyed")
        shown = await fly.client.get(at(machine))
        lists = [(await fly.client.get(MACHINES, params=q)).json() for q in ({}, {"include_deleted": "true"})]
        freed = await fly.client.delete(f"/v1/apps/alice/volumes/{volume['id']}")
        await asyncio.sleep(SLOW.destroyed_readable_s)
        gone = await fly.client.get(at(machine))

    text = (
        "failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created"
    )
    assert said(early) == (412, text)
    bound_to = f"failed_precondition: volume is currently bound to machine: {machine['id']}"
    assert said(bound) == (412, bound_to)
    assert (between, shown.status_code, shown.json()["state"]) == ("destroying", 200, "destroyed")
    assert [len(one) for one in lists] == [0, 1]
    assert freed.status_code == 200
    assert said(gone) == (404, "not_found: machine not found")


async def test_row_06_a_name_is_a_living_machines_alone_and_free_after_its_destruction() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly, name="web")
        body = {"name": "web", "config": config()}
        refused = await fly.client.post(MACHINES, json=body)
        await fly.client.delete(at(machine), params={"force": "true"})
        await settled(fly, "alice", machine["id"], "destroyed")
        again = await fly.client.post(MACHINES, json=body)

    text = f'machine ID {machine["id"]} already exists with name "web"'
    assert said(refused) == (409, f"already_exists: unique machine name violation, {text}")
    assert again.status_code == 200


GUARDED: list[tuple[str, str, Json | None]] = [
    ("POST", "", {"config": config()}),
    ("DELETE", "?force=true", None),
    *(("POST", f"/{verb}", None) for verb in ("start", "stop", "suspend", "restart", "cordon", "uncordon")),
    ("POST", "/exec", {"command": ["true"]}),
]


@pytest.mark.parametrize(("method", "tail", "body"), GUARDED)
async def test_row_07_a_lease_guards_the_listed_calls_with_409(
    method: str, tail: str, body: Json | None
) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        lease = (await fly.client.post(f"{at(machine)}/lease", json={"ttl": 30})).json()["data"]
        refused = await fly.client.request(method, f"{at(machine)}{tail}", json=body)
        after = (await fly.client.get(at(machine))).json()

    held = f"aborted: machine ID {machine['id']} lease currently held by {lease['owner']}, expires at "
    assert refused.status_code == 409
    assert said(refused)[1].startswith(held)
    assert (after["state"], after["instance_id"]) == ("started", machine["instance_id"])


async def test_row_07_metadata_and_creations_pass_a_lease() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        await fly.client.post(f"{at(machine)}/lease", json={"ttl": 30})
        written = await fly.client.patch(f"{at(machine)}/metadata", json={"metadata": {"a": "b"}})
        other = await fly.client.post(MACHINES, json={"config": config()})

    assert (written.status_code, other.status_code) == (204, 200)


@pytest.mark.parametrize("seconds", ["0", "61", "-1", "x"])
async def test_row_08_a_wait_outside_1_to_60_seconds_is_refused_at_once(seconds: str) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        began = asyncio.get_running_loop().time()
        refused = await fly.client.get(f"{at(machine)}/wait", params={"timeout": seconds, "state": "stopped"})
        took_s = asyncio.get_running_loop().time() - began

    assert refused.status_code == 400
    assert took_s == 0
    if seconds != "x":
        text = "invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]"
        assert said(refused)[1] == f"invalid_argument: {text}"


async def test_row_08_several_states_settled_and_the_408_that_names_both() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{at(machine)}/wait"
        any_of = await fly.client.get(f"{path}?state=stopped&state=started")
        comma = await fly.client.get(f"{path}?state=stopped,started")
        calm = await fly.client.get(f"{path}?state=settled")
        late = await fly.client.get(f"{path}?state=suspended&timeout=1")

    assert [answer.json()["state"] for answer in (any_of, comma, calm)] == ["started"] * 3
    text = "machine failed to reach desired state, suspended, currently started"
    assert said(late) == (408, f"deadline_exceeded: {text}")


async def test_row_08_a_wait_from_an_event_on_sees_only_what_came_after() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{at(machine)}/wait"
        seen = (await fly.client.get(path)).json()["event_id"]
        params = {"from_event_id": seen, "timeout": "5"}
        nothing_new = await fly.client.get(path, params=params)
        await fly.client.post(f"{at(machine)}/restart")
        news = (await fly.client.get(path, params=params)).json()

    assert nothing_new.status_code == 408
    assert news["state"] == "started"
    assert news["event_id"] != seen


@pytest.mark.parametrize("is_strict", [True, False])
async def test_row_08_stopped_without_a_version_is_taken_unless_localfly_is_strict(is_strict: bool) -> None:
    async with laptop(is_strict_wait=is_strict) as fly:
        machine = await started_machine(fly)
        await fly.client.post(f"{at(machine)}/stop")
        bare = await fly.client.get(f"{at(machine)}/wait?state=stopped")
        params = {"state": "stopped", "instance_id": machine["instance_id"]}
        named = await fly.client.get(f"{at(machine)}/wait", params=params)

    assert named.status_code == 200
    if is_strict:
        assert said(bare) == (400, "instance_id required when waiting for stopped machine")
    else:
        assert bare.json()["state"] == "stopped"


async def test_row_09_reads_after_writes_lag_on_demand_and_never_by_themselves() -> None:
    async with laptop() as fly:
        await create_app(fly)
        prompt = await create_machine(fly)
        at_once = await fly.client.get(at(prompt))
        await asyncio.sleep(60)
        fly.troubles.consistency.lag = Lag(hidden_s=5, late_s=10, error_regions=("fra",))
        machine = await create_machine(fly)
        hidden = await fly.client.get(at(machine))
        await asyncio.sleep(6)
        shown = await fly.client.get(at(machine))
        listed = [one["id"] for one in (await fly.client.get(MACHINES)).json()]
        page = (await fly.client.get("/v1/orgs/acme/machines")).json()

    assert (at_once.status_code, hidden.status_code, shown.status_code) == (200, 404, 200)
    assert listed == [prompt["id"]]
    assert page["error_regions"] == ["fra"]
    assert [row["id"] for row in page["machines"]] == [prompt["id"]]


async def test_row_09_a_page_may_be_empty_though_more_follows() -> None:
    async with laptop() as fly:
        await create_app(fly)
        made = {(await create_machine(fly))["id"] for _ in range(3)}
        fly.troubles.consistency.lag = Lag(empty_pages=0.5, seed=1)
        found: set[str] = set()
        empty, params = 0, {"limit": "1"}
        while True:
            page = (await fly.client.get("/v1/orgs/acme/machines", params=params)).json()
            found |= {row["id"] for row in page["machines"]}
            empty += not page["machines"]
            if not page.get("next_cursor"):
                break
            params["cursor"] = page["next_cursor"]

    assert found == made
    assert empty > 0


Create = Callable[[Laptop], Awaitable[httpx.Response]]


async def _machine(fly: Laptop) -> httpx.Response:
    return await fly.client.post(MACHINES, json={"config": config()})


async def _volume(fly: Laptop) -> httpx.Response:
    return await fly.client.post("/v1/apps/alice/volumes", json={"name": "data"})


@pytest.mark.parametrize(
    ("fault", "ask", "status", "text", "code"),
    [
        ("insufficient_capacity", _machine, 422, "could not find a candidate host", "insufficient_capacity"),
        ("volume_placement_capacity", _machine, 412, "insufficient resources", "volume_placement_capacity"),
        ("host_memory", _machine, 409, "aborted: could not reserve resource for machine", None),
        ("volume_no_capacity", _volume, 409, "aborted: no capacity", None),
        ("volume_no_capacity_400", _volume, 400, "no capacity", None),
        ("memory_quota", _machine, 403, 'organization "acme" is using', None),
        ("rate_limit", _machine, 429, "rate limit exceeded", None),
        ("unavailable", _machine, 503, "unavailable: ", None),
    ],
)
async def test_row_10_capacity_and_other_faults_come_on_demand_with_flys_words(
    fault: str, ask: Create, status: int, text: str, code: str | None
) -> None:
    async with laptop() as fly:
        await create_app(fly)
        fly.troubles.faults.add(Fault(fault, "POST *", count=1))
        refused = await ask(fly)
        then = await ask(fly)

    assert refused.status_code == status
    assert refused.json()["error"].startswith(text)
    assert refused.json().get("status") == code
    assert then.status_code == 200


async def test_row_10_a_408_may_come_after_its_effect_and_an_error_need_not_be_json() -> None:
    async with laptop() as fly:
        await create_app(fly)
        fly.troubles.faults.add(Fault("deadline_exceeded", "POST *", after_effect=True, count=1))
        ambiguous = await fly.client.post(MACHINES, json={"config": config(), "name": "web"})
        fly.troubles.faults.add(Fault("bad_gateway", "GET *", count=1))
        page = await fly.client.get(MACHINES)
        there = (await fly.client.get(MACHINES)).json()

    assert said(ambiguous)[0] == 408
    assert page.headers["content-type"].startswith("text/html")
    assert [machine["name"] for machine in there] == ["web"]


async def test_row_11_the_secrets_version_grows_and_a_launch_above_it_is_refused() -> None:
    async with laptop() as fly:
        await create_app(fly)
        secrets = "/v1/apps/alice/secrets"
        versions = [
            (await fly.client.post(secrets, json={"values": values})).json()["version"]
            for values in ({"A": "1"}, {"A": "2"}, {"A": None, "B": "3"}, {"NONE": None})
        ]
        body = {"config": config(), "min_secrets_version": versions[-1]}
        launched = await fly.client.post(MACHINES, json=body)
        refused = await fly.client.post(MACHINES, json={**body, "min_secrets_version": versions[-1] + 1})
        await fly.client.post(secrets, json={"values": {"C": "4"}})
        booted_with = set(fly.world.machines[launched.json()["id"]].secrets)

    assert versions == [1, 2, 3, 3]
    assert (launched.status_code, refused.status_code) == (200, 412)
    assert booted_with == {"B"}


async def test_row_12_a_lost_host_hides_the_config_and_takes_the_volume_along() -> None:
    async with laptop() as fly:
        await create_app(fly)
        volume = await create_volume(fly)
        mounts = [{"volume": volume["id"], "path": "/data"}]
        machine = await started_machine(fly, config=config(mounts=mounts, metadata={"a": "b"}))
        lost = {"machines": {machine["id"]: {"host_status": "unreachable"}}}
        assert (await fly.client.patch("/_localfly/world", json=lost)).status_code == 200
        shown = (await fly.client.get(at(machine))).json()
        its_volume = (await fly.client.get(f"/v1/apps/alice/volumes/{volume['id']}")).json()
        fork = {"name": "copy", "source_volume_id": volume["id"]}
        forked = await fly.client.post("/v1/apps/alice/volumes", json=fork)
        stopped = await fly.client.post(f"{at(machine)}/stop")
        destroyed = await fly.client.delete(at(machine), params={"force": "true"})

    assert shown["host_status"] == "unreachable"
    assert "config" not in shown
    assert shown["incomplete_config"]["metadata"] == {"a": "b"}
    assert its_volume["host_status"] == "unreachable"
    assert (forked.status_code, stopped.is_success, destroyed.status_code) == (412, False, 200)


async def test_row_13_each_action_on_each_thing_is_limited_and_reading_a_machine_more_kindly() -> None:
    async with laptop(rate_limits=True) as fly:
        machine = await started_machine(fly)
        await asyncio.sleep(60)
        gets = [(await fly.client.get(at(machine))).status_code for _ in range(12)]
        cordons = [await fly.client.post(f"{at(machine)}/cordon") for _ in range(5)]
        uncordon = await fly.client.post(f"{at(machine)}/uncordon")
        await asyncio.sleep(1)
        later = [(await fly.client.post(f"{at(machine)}/cordon")).status_code for _ in range(2)]

    assert gets == [200] * 10 + [429] * 2
    assert [answer.status_code for answer in cordons] == [200] * 3 + [429] * 2
    assert said(cordons[-1]) == (429, "rate limit exceeded")
    assert uncordon.status_code == 200
    assert later == [200, 429]
