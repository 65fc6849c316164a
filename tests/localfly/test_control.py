"""Control endpoints: a picture of the world, the replay switches, the proxy's lines."""

from typing import Any

import pytest

from tests.localfly.inprocess import laptop
from tests.localfly.requests import config, create_app, create_volume, said, settled, started_machine
from tests.localfly.test_lifecycle import Deck

WORLD = "/_localfly/world"


async def test_the_picture_shows_apps_machines_volumes_and_names_of_secrets() -> None:
    async with laptop() as fly:
        await create_app(fly, network="k3n8-alice")
        volume = await create_volume(fly)
        machine = await started_machine(fly, name="web-0")
        await fly.client.post("/v1/apps/alice/secrets", json={"values": {"KEY": "v"}})
        app = (await fly.client.get(WORLD)).json()["apps"]["alice"]

    assert (app["org"], app["network"], app["secrets"]) == ("acme", "k3n8-alice", ["KEY"])
    assert [(row["id"], row["name"], row["state"]) for row in app["machines"]] == [
        (machine["id"], "web-0", "started")
    ]
    assert [row["id"] for row in app["volumes"]] == [volume["id"]]


async def test_the_replay_switches_of_an_organisation_are_set_one_by_one() -> None:
    async with laptop(orgs=("acme", "platform")) as fly:
        switch = {"orgs": {"acme": {"cross_network_replays": True}}}
        first = (await fly.client.patch(WORLD, json=switch)).json()["orgs"]["acme"]
        sources = {"orgs": {"acme": {"replay_sources": ["platform"]}}}
        second = (await fly.client.patch(WORLD, json=sources)).json()["orgs"]

    assert (first["cross_network_replays"], first["replay_sources"]) == (True, [])
    assert second["acme"]["cross_network_replays"] is True
    assert second["acme"]["replay_sources"] == ["platform"]
    assert second["platform"]["cross_network_replays"] is False
    assert fly.world.orgs["acme"].replay_sources == {"platform"}


async def test_the_picture_says_where_each_port_of_a_running_machine_listens() -> None:
    async with laptop(runtime=Deck()) as fly:
        services = [{"protocol": "tcp", "internal_port": 8080}, {"protocol": "tcp", "internal_port": 9090}]
        machine = await started_machine(fly, config=config(services=services))
        running = (await fly.client.get(WORLD)).json()["apps"]["alice"]["machines"][0]["listens"]
        await fly.client.post(f"/v1/apps/alice/machines/{machine['id']}/stop")
        await settled(fly, "alice", machine["id"], "stopped")
        stopped = (await fly.client.get(WORLD)).json()["apps"]["alice"]["machines"][0]["listens"]

    assert running == {"8080": "127.0.0.1:8080", "9090": "127.0.0.1:9090"}
    assert stopped == {}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"orgs": {"nowhere": {"cross_network_replays": True}}}, 404),
        ({"orgs": {"acme": {"replay_sources": ["nowhere"]}}}, 404),
        ({"orgs": {"acme": {"cross_network_replays": "on"}}}, 400),
        ({"orgs": {"acme": {"colour": "red"}}}, 400),
        ({"apps": {}}, 400),
    ],
)
async def test_a_change_that_is_not_understood_changes_nothing(change: object, status: int) -> None:
    async with laptop() as fly:
        before = (await fly.client.get(WORLD)).json()
        answer = await fly.client.patch(WORLD, json=change)
        after = (await fly.client.get(WORLD)).json()

    assert answer.status_code == status
    assert before == after


async def test_log_lines_are_chosen_by_subject_as_in_nats() -> None:
    async with laptop() as fly:
        fly.journal.proxy_line(app="router", message="one", region="iad")
        fly.journal.proxy_line(app="router", message="two", region="fra", machine_id="d891")
        fly.journal.proxy_line(app="other", message="three", region="iad")

        async def messages(**query: str) -> list[str]:
            lines = (await fly.client.get("/_localfly/logs", params=query)).json()["logs"]
            return [line["message"] for line in lines]

        assert await messages() == ["one", "two", "three"]
        assert await messages(subject="logs.router.>") == ["one", "two"]
        assert await messages(subject="logs.*.iad.*") == ["one", "three"]
        assert await messages(subject="logs.router.fra.d891") == ["two"]
        assert await messages(subject="logs.router") == []
        line = (await fly.client.get("/_localfly/logs")).json()["logs"][1]

    assert line["event"] == {"provider": "proxy"}
    assert line["fly"] == {"app": {"name": "router", "instance": "d891"}, "region": "fra"}
    assert line["log"] == {"level": "error"}
    assert line["timestamp"] == "2026-05-28T20:26:40.000000000Z"


@pytest.mark.parametrize("endpoint", ["world", "anything"])
async def test_other_control_endpoints_are_a_501(endpoint: str) -> None:
    async with laptop() as fly:
        answer = await fly.client.post(f"/_localfly/{endpoint}", json={})

    path = f"/_localfly/{endpoint}"
    assert said(answer) == (501, f"localfly does not imitate POST {path}; see docs/localfly.md")


async def test_a_token_for_one_organisation_does_not_see_the_whole_world() -> None:
    async with laptop(tokens={"narrow": ("acme",)}) as fly, fly.speaking("narrow") as narrow:
        assert said(await narrow.get(WORLD)) == (403, "unauthorized")


async def test_a_host_is_lost_and_comes_back_by_a_switch() -> None:
    async with laptop() as fly:
        await create_app(fly)
        volume = await create_volume(fly)
        mounts = [{"volume": volume["id"], "path": "/data"}]
        machine = await started_machine(fly, config=config(mounts=mounts))
        url = f"/v1/apps/alice/machines/{machine['id']}"

        async def switch(status: str) -> dict[str, Any]:
            change = {"machines": {machine["id"]: {"host_status": status}}}
            assert (await fly.client.patch(WORLD, json=change)).status_code == 200
            shown: dict[str, Any] = (await fly.client.get(url)).json()
            return shown

        lost = await switch("unreachable")
        kept = (await fly.client.get(f"/v1/apps/alice/volumes/{volume['id']}")).json()
        refused = [
            await fly.client.post(f"{url}/{verb}", json={})
            for verb in ("lease", "stop", "suspend", "restart")
        ]
        back = await switch("ok")
        await switch("unreachable")
        await fly.client.delete(url, params={"force": "true"})
        await settled(fly, "alice", machine["id"], "destroyed")
        body = {"config": config(mounts=mounts)}
        without_volume = await fly.client.post("/v1/apps/alice/machines", json=body)

    assert said(without_volume) == (412, "failed_precondition: the host of the volume is unreachable")
    assert (lost["host_status"], lost["state"], lost["image_ref"]) == ("unreachable", "started", {})
    assert "config" not in lost
    assert lost["incomplete_config"]["image"] == machine["config"]["image"]
    assert kept["host_status"] == "unreachable"
    text = f"unavailable: host of machine {machine['id']} is unreachable"
    assert [said(answer) for answer in refused] == [(503, text)] * 4
    assert (back["host_status"], back["config"]) == ("ok", machine["config"])


async def test_bad_images_are_named_seen_and_taken_back() -> None:
    async with laptop() as fly:
        await create_app(fly)
        image = config()["image"]
        spoilt = (await fly.client.patch(WORLD, json={"bad_images": [image]})).json()["bad_images"]
        made = (await fly.client.post("/v1/apps/alice/machines", json={"config": config()})).json()
        gone = await settled(fly, "alice", made["id"], "destroyed")
        mended = (await fly.client.patch(WORLD, json={"bad_images": []})).json()["bad_images"]
        fine = await started_machine(fly)

    assert (spoilt, mended) == ([image], [])
    assert gone["state"] == "destroyed"
    assert fine["state"] == "started"


async def test_a_machine_that_is_not_there_has_no_host_to_lose() -> None:
    async with laptop() as fly:
        change = {"machines": {"d891": {"host_status": "unreachable"}}, "bad_images": ["x"]}
        answer = await fly.client.patch(WORLD, json=change)

        assert said(answer) == (404, "not_found: machine not found")
        assert fly.world.bad_images == set()
