"""Machines over HTTP: created, read, updated, started, stopped and destroyed as on Fly."""

import asyncio
import re
from typing import Any

import pytest

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

PATH = "/v1/apps/alice/machines"


async def states_until_settled(fly: Laptop, machine_id: str) -> list[str]:
    """The states that GET shows, without repetitions, looked at every 20 ms."""
    seen: list[str] = []
    for _ in range(200):
        state = (await fly.client.get(f"{PATH}/{machine_id}")).json()["state"]
        if seen[-1:] != [state]:
            seen.append(state)
        await asyncio.sleep(0.02)
    return seen


async def test_a_created_machine_passes_starting_and_ends_started() -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly, name="web-0", region="fra")
        seen = await states_until_settled(fly, machine["id"])
        shown = (await fly.client.get(f"{PATH}/{machine['id']}")).json()

    assert machine["state"] == "created"
    assert seen == ["created", "starting", "started"]
    assert re.fullmatch(r"[0-9a-f]{14}", machine["id"])
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", machine["instance_id"])
    assert machine["created_at"] == "2026-05-28T20:26:40Z"
    assert (shown["name"], shown["region"], shown["host_status"]) == ("web-0", "fra", "ok")
    assert shown["instance_id"] == machine["instance_id"]
    assert [(event["type"], event["status"], event["source"]) for event in shown["events"]] == [
        ("start", "started", "flyd"),
        ("launch", "created", "user"),
    ]


async def test_skip_launch_ends_stopped_and_a_start_before_that_is_refused() -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly, skip_launch=True)
        early = await fly.client.post(f"{PATH}/{machine['id']}/start")
        seen = await states_until_settled(fly, machine["id"])

    assert said(early) == (412, "failed_precondition: unable to start machine from current state: 'created'")
    assert seen == ["created", "stopped"]


async def test_a_name_of_a_living_machine_is_refused_with_its_id_and_free_after_its_destruction() -> None:
    async with laptop() as fly:
        await create_app(fly)
        first = await create_machine(fly, name="web-0")
        again = {"name": "web-0", "config": config()}
        refused = await fly.client.post(PATH, json=again)
        await fly.client.delete(f"{PATH}/{first['id']}", params={"force": "true"})
        await settled(fly, "alice", first["id"], "destroyed")
        created = await fly.client.post(PATH, json=again)

    assert said(refused) == (
        409,
        f"already_exists: unique machine name violation, machine ID {first['id']} "
        'already exists with name "web-0"',
    )
    assert created.status_code == 200


@pytest.mark.parametrize(
    ("asked", "given"),
    [("lhr", "lhr"), ("eu", "fra"), ("sa,lhr", "gru"), ("us", "iad"), ("any", "iad"), (None, "iad")],
)
async def test_a_region_list_with_aliases_places_in_its_first_choice(asked: str | None, given: str) -> None:
    async with laptop() as fly:
        await create_app(fly)

        assert (await create_machine(fly, region=asked))["region"] == given


async def test_an_unknown_region_is_refused() -> None:
    async with laptop() as fly:
        await create_app(fly)
        refused = await fly.client.post(PATH, json={"config": config(), "region": "lhr,atlantis"})

    assert said(refused) == (422, "Validation failed: Region 'atlantis' not found")


async def test_a_list_hides_destroyed_machines_unless_asked_and_filters() -> None:
    async with laptop() as fly:
        await create_app(fly)
        tagged = config(metadata={"a": "1", "b": "2"})
        web = await create_machine(fly, name="web", region="fra", config=tagged)
        job = await create_machine(fly, name="job", region="iad", skip_launch=True)
        old = await create_machine(fly, name="old", skip_launch=True)
        await settled(fly, "alice", old["id"])
        await fly.client.delete(f"{PATH}/{old['id']}")
        for machine in (web, job, old):
            await settled(fly, "alice", machine["id"])

        async def names(**query: str) -> list[str]:
            return [row["name"] for row in (await fly.client.get(PATH, params=query)).json()]

        assert await names() == ["web", "job"]
        assert await names(include_deleted="true") == ["web", "job", "old"]
        assert await names(region="fra") == ["web"]
        assert await names(state="stopped,created") == ["job"]
        assert await names(**{"metadata.a": "1", "metadata.b": "2"}) == ["web"]
        assert await names(**{"metadata.a": "1", "metadata.b": "3"}) == []
        summary = (await fly.client.get(PATH, params={"summary": "true"})).json()[0]
        assert {"config", "checks", "events", "host_status", "nonce"}.isdisjoint(summary)


async def test_destroying_takes_a_while_and_the_row_is_readable_until_it_is_not() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        refused = await fly.client.delete(path)
        accepted = await fly.client.delete(path, params={"force": "true"})
        during = (await fly.client.get(path)).json()["state"]
        again = await fly.client.delete(path)
        await settled(fly, "alice", machine["id"], "destroyed")
        after = (await fly.client.get(path)).json()["state"]
        repeated = await fly.client.delete(path)
        await asyncio.sleep(61)
        late = await fly.client.get(path)

    assert said(refused) == (
        412,
        "failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created",
    )
    assert accepted.json() == again.json() == {"ok": True}
    assert (during, after) == ("destroying", "destroyed")
    assert said(repeated) == said(late) == (404, "not_found: machine not found")


async def test_stopping_passes_stopping_and_a_start_is_refused_until_the_host_has_cleaned_up() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        stopped = await fly.client.post(f"{path}/stop", json={"signal": "SIGTERM", "timeout": "10s"})
        stopping = await fly.client.post(f"{path}/start")
        await settled(fly, "alice", machine["id"], "stopped")
        unreaped = await fly.client.post(f"{path}/start")
        again = await fly.client.post(f"{path}/stop")
        await asyncio.sleep(1)
        started = await fly.client.post(f"{path}/start")
        up = await settled(fly, "alice", machine["id"], "started")

    assert stopped.json() == again.json() == {"ok": True}
    assert said(stopping) == (
        412,
        "failed_precondition: unable to start machine from current state: 'stopping'",
    )
    assert said(unreaped) == (412, "failed_precondition: machine still active, refusing to start")
    assert started.json() == {"previous_state": "stopped", "migrated": False, "new_host": ""}
    assert up["instance_id"] == machine["instance_id"]
    exit_event = next(event for event in up["events"] if event["type"] == "exit")
    assert exit_event["request"]["exit_event"]["requested_stop"] is True


async def test_an_update_of_a_started_machine_replaces_it_by_a_new_version_that_starts() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly, name="web-0", config=config(env={"A": "1"}))
        path = f"{PATH}/{machine['id']}"
        updated = (await fly.client.post(path, json={"config": config(image="studio:2")})).json()
        overlapping = await fly.client.post(path, json={"config": config()})
        early = await fly.client.post(f"{path}/start")
        seen = await states_until_settled(fly, machine["id"])
        shown = (await fly.client.get(path)).json()
        versions = (await fly.client.get(f"{path}/versions")).json()

    assert updated["state"] == "replacing"
    assert updated["instance_id"] == shown["instance_id"] != machine["instance_id"]
    assert said(overlapping) == (409, "aborted: machine update failed due to concurrent update")
    assert said(early) == (412, "failed_precondition: machine getting replaced, refusing to start")
    assert seen == ["replacing", "started"]
    assert "env" not in shown["config"]
    assert shown["name"] == "web-0"
    assert shown["events"][-1]["type"] == "update"
    assert versions == [
        {"version": updated["instance_id"], "user_config": config(image="studio:2")},
        {"version": machine["instance_id"], "user_config": config(env={"A": "1"})},
    ]


@pytest.mark.parametrize("skip_launch", [False, True])
async def test_an_update_of_a_stopped_machine_leaves_it_stopped(skip_launch: bool) -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly, skip_launch=True)
        await settled(fly, "alice", machine["id"])
        body = {"config": config(), "skip_launch": skip_launch}
        await fly.client.post(f"{PATH}/{machine['id']}", json=body)
        seen = await states_until_settled(fly, machine["id"])

    assert seen == ["replacing", "stopped"]


async def test_an_update_with_skip_launch_stops_a_started_machine() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        await fly.client.post(f"{PATH}/{machine['id']}", json={"config": config(), "skip_launch": True})

        assert (await settled(fly, "alice", machine["id"]))["state"] == "stopped"


async def test_an_update_for_another_version_or_after_destruction_is_refused() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        body = {"config": config(), "current_version": machine["instance_id"]}
        first = await fly.client.post(path, json=body)
        await settled(fly, "alice", machine["id"])
        stale = await fly.client.post(path, json=body)
        await fly.client.delete(path, params={"kill": "true"})
        await settled(fly, "alice", machine["id"], "destroyed")
        late = await fly.client.post(path, json={"config": config()})

    assert first.status_code == 200
    assert stale.status_code == 412
    assert said(late) == (404, "not_found: machine not found")


async def test_a_machine_cannot_get_lose_or_change_its_volume_by_an_update() -> None:
    async with laptop() as fly:
        await create_app(fly)
        one, two = await create_volume(fly), await create_volume(fly)
        mounts = [{"volume": one["id"], "path": "/data"}]
        machine = await started_machine(fly, config=config(mounts=mounts))
        path = f"{PATH}/{machine['id']}"
        moved = config(mounts=[{"volume": one["id"], "path": "/elsewhere"}])
        other = config(mounts=[{"volume": two["id"], "path": "/data"}])
        answers = [
            (await fly.client.post(path, json={"config": submitted})).status_code
            for submitted in (config(), other, moved)
        ]

    assert machine["config"]["mounts"] == [
        {"volume": one["id"], "path": "/data", "name": "data", "size_gb": 1, "encrypted": True}
    ]
    assert answers == [400, 400, 200]


async def test_a_claimed_missing_or_distant_volume_refuses_a_machine() -> None:
    async with laptop() as fly:
        await create_app(fly)
        volume = await create_volume(fly, region="lhr")

        async def mounting(volume_id: str, **body: Any) -> tuple[int, str]:
            mounts = [{"volume": volume_id, "path": "/data"}]
            return said(await fly.client.post(PATH, json={"config": config(mounts=mounts)} | body))

        distant = await mounting(volume["id"], region="fra")
        holder = await create_machine(fly, config=config(mounts=[{"volume": volume["id"], "path": "/data"}]))
        claimed = await mounting(volume["id"])
        missing = await mounting("vol_nothing")

    assert distant[0] == 400
    assert holder["region"] == "lhr"
    assert claimed == (412, f"failed_precondition: volume already claimed by machine {holder['id']}")
    assert missing == (404, "volume not found")


async def test_a_lease_can_be_taken_in_the_same_step_as_creation() -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly, lease_ttl=30)
        path = f"{PATH}/{machine['id']}"
        refused = await fly.client.post(f"{path}/stop")
        shown = (await fly.client.get(path, params={"include_leases": "true"})).json()
        plain = (await fly.client.get(path)).json()
        headers = {"fly-machine-lease-nonce": machine["nonce"]}
        updated = await fly.client.post(path, json={"config": config()}, headers=headers)

    assert refused.status_code == 409
    assert set(shown["lease"]) == {"owner", "description", "expires_at"}
    assert "nonce" not in shown
    assert "lease" not in plain
    assert updated.status_code == 200


async def test_events_come_newest_first_and_as_many_as_asked() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}/events"
        both = (await fly.client.get(path)).json()
        one = (await fly.client.get(path, params={"limit": "1"})).json()
        refused = await fly.client.get(path, params={"limit": "51"})

    assert [event["type"] for event in both] == ["start", "launch"]
    assert one == both[:1]
    assert both[0]["timestamp"] == 1_780_000_000_500
    assert refused.status_code == 400


async def test_a_machine_without_a_name_gets_one_of_flys_form() -> None:
    async with laptop() as fly:
        await create_app(fly)

        assert re.fullmatch(r"[a-z]+-[a-z]+-\d{4}", (await create_machine(fly))["name"])


async def test_secrets_that_are_not_there_yet_refuse_a_launch() -> None:
    async with laptop() as fly:
        await create_app(fly)
        refused = await fly.client.post(PATH, json={"config": config(), "min_secrets_version": 1})
        await fly.client.post("/v1/apps/alice/secrets", json={"values": {"A": "b"}})
        accepted = await fly.client.post(PATH, json={"config": config(), "min_secrets_version": 1})

    assert refused.status_code == 412
    assert accepted.status_code == 200


async def test_only_a_new_version_gets_secrets_set_since_and_skip_secrets_leaves_them_out() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        live = fly.world.machines[machine["id"]]
        path = f"{PATH}/{machine['id']}"
        await fly.client.post("/v1/apps/alice/secrets", json={"values": {"A": "b"}})
        await fly.client.post(f"{path}/stop")
        await asyncio.sleep(1)
        await fly.client.post(f"{path}/start")
        await settled(fly, "alice", machine["id"], "started")
        after_restart = set(live.secrets)
        await fly.client.post(path, json={"config": config()})
        after_update = set(live.secrets)
        await settled(fly, "alice", machine["id"], "started")
        await fly.client.post(path, json={"config": config(), "skip_secrets": True})

    assert (after_restart, after_update, set(live.secrets)) == (set(), {"A"}, set())


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "invalid field 'config'"),
        ({"config": {}}, 400, "invalid field 'config.image'"),
        ({"config": config(), "nonsense": 1}, 400, "unknown field 'nonsense'"),
        ({"config": config(), "lsvd": True}, 501, "'lsvd'"),
        ({"config": config(), "skip_launch": "yes"}, 400, "invalid field 'skip_launch'"),
    ],
)
async def test_a_create_that_is_not_understood_makes_no_machine(body: object, status: int, text: str) -> None:
    async with laptop() as fly:
        await create_app(fly)
        refused = await fly.client.post(PATH, json=body)
        listed = (await fly.client.get(PATH)).json()

    assert refused.status_code == status
    assert text in refused.json()["error"]
    assert listed == []


async def test_an_unknown_machine_and_one_of_another_app_are_404() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        await create_app(fly, "bob")
        answers = [
            await fly.client.get(f"{PATH}/00000000000000"),
            await fly.client.get(f"/v1/apps/bob/machines/{machine['id']}"),
            await fly.client.post(f"{PATH}/00000000000000/start"),
        ]

    assert [said(answer) for answer in answers] == [(404, "not_found: machine not found")] * 3
