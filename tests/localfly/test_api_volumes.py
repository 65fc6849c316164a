"""Volumes: not unique by name, bound until their machine is finally gone."""

import asyncio

from localfly.lifecycle import Timings
from tests.localfly.inprocess import laptop
from tests.localfly.requests import config, create_app, create_volume, said, settled, started_machine

PATH = "/v1/apps/alice/volumes"


async def test_a_volume_is_created_with_flys_defaults_and_is_ready_a_moment_later() -> None:
    async with laptop() as fly:
        await create_app(fly)
        created = (await fly.client.post(PATH, json={"name": "data"})).json()
        await asyncio.sleep(1)
        shown = (await fly.client.get(f"{PATH}/{created['id']}")).json()
        listed = (await fly.client.get(PATH)).json()

    assert (created["state"], shown["state"]) == ("creating", "created")
    assert created["id"].startswith("vol_")
    assert (shown["size_gb"], shown["encrypted"], shown["fstype"]) == (3, True, "ext4")
    assert (shown["snapshot_retention"], shown["auto_backup_enabled"]) == (5, True)
    assert shown["attached_machine_id"] is None
    assert listed == [shown]


async def test_two_volumes_may_have_one_name() -> None:
    async with laptop() as fly:
        await create_app(fly)
        first, second = await create_volume(fly), await create_volume(fly)

    assert first["name"] == second["name"]
    assert first["id"] != second["id"]


async def test_a_volume_stays_bound_until_its_machine_is_finally_destroyed() -> None:
    async with laptop() as fly:
        await create_app(fly)
        volume = await create_volume(fly)
        path = f"{PATH}/{volume['id']}"
        mounts = [{"volume": volume["id"], "path": "/data"}]
        machine = await started_machine(fly, config=config(mounts=mounts))
        attached = (await fly.client.get(path)).json()["attached_machine_id"]
        machine_path = f"/v1/apps/alice/machines/{machine['id']}"
        await fly.client.delete(machine_path, params={"force": "true"})
        refused = await fly.client.delete(path)
        claimed = await fly.client.post("/v1/apps/alice/machines", json={"config": config(mounts=mounts)})
        await settled(fly, "alice", machine["id"], "destroyed")
        free = (await fly.client.get(path)).json()["attached_machine_id"]
        deleted = await fly.client.delete(path)

    text = f"failed_precondition: volume is currently bound to machine: {machine['id']}"
    assert attached == machine["id"]
    assert said(refused) == (412, text)
    assert said(claimed)[0] == 412
    assert free is None
    assert (deleted.status_code, deleted.json()["state"]) == (200, "destroyed")


async def test_a_deleted_volume_is_listed_as_on_its_way_out_for_a_day_and_not_mountable() -> None:
    async with laptop() as fly:
        await create_app(fly)
        volume = await create_volume(fly)
        await fly.client.delete(f"{PATH}/{volume['id']}")
        listed = (await fly.client.get(PATH)).json()
        mounts = [{"volume": volume["id"], "path": "/data"}]
        mounted = await fly.client.post("/v1/apps/alice/machines", json={"config": config(mounts=mounts)})
        again = await fly.client.delete(f"{PATH}/{volume['id']}")
        await asyncio.sleep(24 * 3600)
        later = (await fly.client.get(PATH)).json()

    assert [row["state"] for row in listed] == ["pending_destroy"]
    assert said(mounted) == said(again) == (404, "volume not found")
    assert later == []


async def test_a_volume_grows_and_never_shrinks() -> None:
    async with laptop() as fly:
        await create_app(fly)
        volume = await create_volume(fly, size_gb=2)
        path = f"{PATH}/{volume['id']}/extend"
        grown = (await fly.client.put(path, json={"size_gb": 4})).json()
        shrunk = await fly.client.put(path, json={"size_gb": 1})

    assert (grown["volume"]["size_gb"], grown["needs_restart"]) == (4, False)
    assert shrunk.status_code == 400


async def test_what_is_wrong_with_a_volume_is_said() -> None:
    async with laptop() as fly:
        await create_app(fly)
        bodies = [
            {"name": "data", "region": "eu"},
            {"name": "data", "size_gb": 501},
            {"region": "iad"},
            {"name": "data", "source_volume_id": "vol_1"},
            {"name": "data", "snapshot_id": "vs_1"},
            {"name": "data", "snapshot_id": "vs_1", "source_volume_id": "vol_1"},
            {"name": "data", "colour": "red"},
        ]
        statuses = [(await fly.client.post(PATH, json=body)).status_code for body in bodies]
        missing = await fly.client.get(f"{PATH}/vol_nothing")
        listed = (await fly.client.get(PATH)).json()

    assert statuses == [422, 400, 400, 404, 404, 400, 400]
    assert said(missing) == (404, "volume not found")
    assert listed == []


async def test_a_fork_has_its_sources_size_and_region_and_takes_its_time() -> None:
    async with laptop(timings=Timings(volume_create_s=1)) as fly:
        await create_app(fly)
        source = await create_volume(fly, region="fra", size_gb=5)
        fork = await create_volume(fly, name="copy", size_gb=None, source_volume_id=source["id"])
        states = [fork["state"]]
        for _ in range(3):
            await asyncio.sleep(1)
            states.append((await fly.client.get(f"{PATH}/{fork['id']}")).json()["state"])
        small = await fly.client.post(
            PATH, json={"name": "x", "size_gb": 4, "source_volume_id": source["id"]}
        )

    assert (fork["size_gb"], fork["region"]) == (5, "fra")
    assert states == ["creating", "enabling_remote_export", "hydrating", "created"]
    assert small.status_code == 400


async def test_a_snapshot_is_written_alone_then_restored_from() -> None:
    async with laptop(timings=Timings(volume_create_s=1)) as fly:
        await create_app(fly)
        volume = await create_volume(fly, size_gb=2)
        path = f"{PATH}/{volume['id']}/snapshots"
        taken = (await fly.client.post(path)).json()["Msg"]["backup"]
        again = await fly.client.post(path)
        early = await fly.client.post(PATH, json={"name": "x", "snapshot_id": taken["id"]})
        await asyncio.sleep(2)
        listed = (await fly.client.get(path)).json()
        await fly.client.put(f"{PATH}/{volume['id']}/extend", json={"size_gb": 9})
        await fly.client.delete(f"{PATH}/{volume['id']}")
        after = (await fly.client.get(path)).json()
        restored = await create_volume(fly, name="back", size_gb=None, snapshot_id=taken["id"])
        await asyncio.sleep(1)
        state = (await fly.client.get(f"{PATH}/{restored['id']}")).json()["state"]

    assert said(again)[0] == said(early)[0] == 412
    assert said(again)[1].startswith("failed_precondition: snapshot is already scheduled at 20")
    assert [(one["id"], one["status"], one["volume_size"]) for one in listed] == [
        (taken["id"], "created", 2 * 2**30)
    ]
    assert after == listed
    assert (restored["size_gb"], restored["state"], state) == (2, "creating", "restoring")


async def test_snapshots_come_daily_and_go_after_their_days_by_the_settings_of_their_day() -> None:
    async with laptop() as fly:
        await create_app(fly)
        volume = await create_volume(fly, snapshot_retention=2)
        path = f"{PATH}/{volume['id']}"
        counts = []
        for change in ({}, {}, {}, {"snapshot_retention": 30}, {}, {"auto_backup_enabled": False}, {}):
            await asyncio.sleep(24 * 3600)
            shown = (await fly.client.put(path, json=change)).json()
            counts.append(len((await fly.client.get(f"{path}/snapshots")).json()))

    assert counts == [1, 2, 2, 2, 2, 2, 2]
    assert (shown["snapshot_retention"], shown["auto_backup_enabled"]) == (30, False)
