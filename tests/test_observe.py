"""What is read from Fly: the fleet as a hint, one app as the truth, and whose it is."""

import httpx
import pytest

from localfly.world import Address
from reconciler.core.observed import Claim, ObservedApp
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from reconciler.observe import observe_app, observe_fleet, observe_snapshots
from tests.fly.wiring import Hushed, Sending, answering, client_of, flying

LABEL = "RECONCILER_OWNER_ACME1"
CONFIG = {"image": "img", "metadata": {"reconciler_slot": "web-0"}}


async def observe(fly: FlyClient) -> ObservedApp:
    """App acme-alice as installation acme1 of organisation acme sees it."""
    return await observe_app(fly, org="acme", app_name="acme-alice", network="acme1-alice", owner_label=LABEL)


async def test_a_free_name_is_absent() -> None:
    """Nobody has the app, so it may be made."""
    async with flying() as (fly, _):
        assert await observe(fly) == ObservedApp(app_name="acme-alice", claim=Claim.ABSENT)


async def test_the_network_proves_that_an_app_is_ours() -> None:
    """It is set when an app is made and cannot be changed."""
    async with flying() as (fly, box):
        box.world.add_app("acme-alice", org="acme", network="acme1-alice")
        assert (await observe(fly)).claim is Claim.OURS


async def test_the_label_proves_that_an_adopted_app_is_ours() -> None:
    """An app on a network of its own is ours by the secret that serves as a label."""
    async with flying() as (fly, box):
        box.world.add_app("acme-alice", org="acme", network="older")
        assert (await observe(fly)).claim is Claim.FOREIGN
        await fly.set_secrets("acme-alice", {LABEL: Hushed("alice")})
        assert (await observe(fly)).claim is Claim.OURS


async def test_another_installations_network_proves_nothing() -> None:
    """An app in our organisation without our proof is foreign, and its machines are not even read."""
    async with flying() as (fly, box):
        box.world.add_app("acme-alice", org="acme", network="acme2-alice")
        await fly.create_machine("acme-alice", name="web-0", region="iad", config=CONFIG)
        assert await observe(fly) == ObservedApp(app_name="acme-alice", claim=Claim.FOREIGN)


@pytest.mark.parametrize("can_read_it", [True, False])
async def test_a_name_that_another_organisation_has_is_taken(can_read_it: bool) -> None:
    """Whether Fly shows us the app or refuses, even when it copies our network's name."""
    async with flying() as (fly, box):
        box.world.add_app("acme-alice", org="other", network="acme1-alice")
        client = fly if can_read_it else client_of(box, token="acme-only")
        assert await observe(client) == ObservedApp(app_name="acme-alice", claim=Claim.TAKEN)


async def test_an_app_of_ours_is_read_whole() -> None:
    """Machines with what they were made from, volumes, secret names and public addresses."""
    async with flying() as (fly, box):
        await fly.create_app(name="acme-alice", org="acme", network="acme1-alice")
        await fly.set_secrets("acme-alice", {"A": Hushed("1")})
        volume = await fly.create_volume("acme-alice", name="web_data_0", region="ord", size_gb=2)
        config = {**CONFIG, "mounts": [{"volume": volume.id, "path": "/data"}]}
        made = await fly.create_machine("acme-alice", name="web-0", region="ord", config=config)
        await fly.wait("acme-alice", made.id, states=("settled",), version=None, timeout_s=60)
        now = box.world.clock()
        box.world.apps["acme-alice"].addresses += [
            Address("fdaa:9:6dc1:0:1::6", "global", is_shared=False, created_at=now, network="router"),
            Address("66.241.124.1", "global", is_shared=True, created_at=now),
        ]

        observed = await observe(fly)

        (machine,) = observed.machines
        assert (machine.id, machine.name, machine.state, machine.region) == (
            made.id,
            "web-0",
            "started",
            "ord",
        )
        assert machine.version == made.instance_id
        assert machine.submitted == config
        assert machine.config["metadata"] == {"reconciler_slot": "web-0"}
        (seen,) = observed.volumes
        assert (seen.id, seen.name, seen.region, seen.size_gb) == (volume.id, "web_data_0", "ord", 2)
        assert seen.attached_machine_id == made.id
        assert observed.secret_names == {"A"}
        assert observed.public_addresses == ("66.241.124.1",)
        assert observed.network == "acme1-alice"
        assert (observed.machine_count, observed.volume_count) == (1, 1)


async def test_snapshots_are_read_for_those_volumes_alone_that_are_asked_for() -> None:
    """They cost a call each; a volume whose snapshots were not read is not taken for one without."""
    async with flying() as (fly, box):
        await fly.create_app(name="acme-alice", org="acme", network="acme1-alice")
        first = await fly.create_volume("acme-alice", name="web_data_0", region="ord", size_gb=1)
        second = await fly.create_volume("acme-alice", name="web_data_1", region="ord", size_gb=1)
        await fly.create_snapshot("acme-alice", first.id)

        observed = await observe(fly)
        assert observed.snapshots == {}
        some = await observe_snapshots(fly, observed, {first.id})
        (snapshot,) = some.snapshots[first.id]
        assert abs(snapshot.created_at - box.world.clock()) < 5
        assert some.snapshots.keys() == {first.id}
        assert (await observe_snapshots(fly, observed)).snapshots.keys() == {first.id, second.id}


async def test_destroyed_machines_are_told_apart_newest_first() -> None:
    """What a slot's last machine mounted can be found out after it is gone."""
    async with flying() as (fly, box):
        await fly.create_app(name="acme-alice", org="acme", network="acme1-alice")
        ids = []
        for _ in range(3):
            made = await fly.create_machine("acme-alice", name="web-0", region="iad", config=CONFIG)
            await fly.wait("acme-alice", made.id, states=("settled",), version=None, timeout_s=60)
            ids.append(made.id)
            if len(ids) < 3:
                await box.client.delete(f"/v1/apps/acme-alice/machines/{made.id}?force=true")
                await fly.wait("acme-alice", made.id, states=("destroyed",), version=None, timeout_s=60)
        observed = await observe(fly)
        assert [machine.id for machine in observed.machines] == [ids[2]]
        assert [machine.id for machine in observed.gone] == [ids[1], ids[0]]


async def test_without_the_versions_endpoint_what_was_submitted_is_unknown() -> None:
    """It is a switch: the rest of the app is read all the same."""

    async def without_versions(request: httpx.Request, send: Sending) -> httpx.Response:
        if request.url.path.endswith("/versions"):
            return httpx.Response(404, text="404 page not found")
        return await send(request)

    async with flying(fault=without_versions) as (fly, _):
        await fly.create_app(name="acme-alice", org="acme", network="acme1-alice")
        await fly.create_machine("acme-alice", name="web-0", region="iad", config=CONFIG)
        (machine,) = (await observe(fly)).machines
        assert machine.submitted is None
        assert machine.config["image"] == "img"


@pytest.mark.parametrize("path", ["/machines", "/volumes", "/secrets", "/ip_assignments", "/versions", ""])
@pytest.mark.parametrize("status", [500, 200, 403])
async def test_a_read_that_fails_is_an_error_and_never_an_absence(path: str, status: int) -> None:
    """Half a picture would be planned upon; there is none."""

    async def broken(request: httpx.Request, send: Sending) -> httpx.Response:
        if request.method == "GET" and request.url.path.endswith(path or "/acme-alice"):
            return httpx.Response(status, text="<html>oops</html>")
        return await send(request)

    async with flying() as (fly, box):
        await fly.create_app(name="acme-alice", org="acme", network="acme1-alice")
        await fly.create_machine("acme-alice", name="web-0", region="iad", config=CONFIG)
        with pytest.raises(FlyError):
            await observe(client_of(box, fault=broken))


async def test_a_machine_on_a_lost_host_is_there_without_its_config() -> None:
    """Fly gives only half a config then, which nothing may be made from."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/apps/acme-alice")
        lost = {
            "id": "m1",
            "name": "web-0",
            "state": "started",
            "instance_id": "v1",
            "host_status": "unreachable",
            "incomplete_config": {"image": "img"},
        }
        bodies: dict[str, object] = {
            "": {"name": "acme-alice", "network": "acme1-alice", "organization": {"slug": "acme"}},
            "/machines": [lost],
            "/volumes": [],
            "/secrets": {"secrets": []},
            "/ip_assignments": {"ips": []},
        }
        return httpx.Response(200, json=bodies[path])

    (machine,) = (await observe(answering(answer))).machines
    assert (machine.host_status, machine.config, machine.submitted) == ("unreachable", {}, None)


async def test_the_fleet_is_seen_in_one_pass() -> None:
    """Apps with their networks, machines by app, other organisations not at all."""
    async with flying() as (fly, box):
        for app, org in (("acme-bob", "acme"), ("acme-alice", "acme"), ("foreign", "other")):
            await fly.create_app(name=app, org=org, network=f"net-{app}")
            await fly.create_machine(app, name="web-0", region="iad", config=CONFIG)
        fleet = await observe_fleet(fly, "acme")
        assert list(fleet.apps) == list(fleet.rows) == ["acme-alice", "acme-bob"]
        assert fleet.apps["acme-bob"].network == "net-acme-bob"
        (row,) = fleet.rows["acme-alice"]
        machine = box.world.machines[row.id]
        assert (row.version, row.name, row.metadata) == (
            machine.instance_id,
            "web-0",
            {"reconciler_slot": "web-0"},
        )
        assert fleet.error_regions == ()


async def test_of_several_rows_of_one_machine_the_newest_counts() -> None:
    """Pages overlap and are not in order; decimals of a second may be missing; what is gone is dropped."""
    old, new = "2026-09-01T10:00:00Z", "2026-09-01T10:00:00.5Z"
    row = {"app_name": "a", "config": {}}
    rows = [
        {**row, "id": "m1", "version": "v2", "state": "started", "updated_at": new},
        {**row, "id": "m1", "version": "v1", "state": "stopped", "updated_at": old},
        {**row, "id": "m2", "version": "v1", "state": "destroyed", "updated_at": new},
        {**row, "id": "m2", "version": "v1", "state": "started", "updated_at": old},
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/apps":
            return httpx.Response(200, json={"apps": []})
        return httpx.Response(200, json={"machines": rows, "error_regions": ["syd"]})

    fleet = await observe_fleet(answering(answer), "acme")
    assert [(row.id, row.version, row.state) for row in fleet.rows["a"]] == [("m1", "v2", "started")]
    assert fleet.error_regions == ("syd",)
