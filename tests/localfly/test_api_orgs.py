"""The organisation-wide lists: every row once, page by page, oldest change first."""

import asyncio
from typing import Any

import pytest

from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import config, create_app, create_machine, create_volume, said, settled

MACHINES = "/v1/orgs/acme/machines"


async def pages(fly: Laptop, path: str, kind: str, **query: str) -> list[list[dict[str, Any]]]:
    """The rows of every page until no cursor follows."""
    found: list[list[dict[str, Any]]] = []
    while True:
        reply = (await fly.client.get(path, params=query)).json()
        found.append(reply[kind])
        if not reply.get("next_cursor"):
            return found
        query["cursor"] = reply["next_cursor"]


async def test_pages_hold_every_machine_once_in_order_of_change() -> None:
    async with laptop(orgs=("acme", "other")) as fly:
        await create_app(fly)
        await create_app(fly, "elsewhere", org="other")
        await create_machine(fly, "elsewhere")
        for number in range(7):
            await create_machine(fly, name=f"web-{number}", skip_launch=True)
        await asyncio.sleep(5)
        ids = {machine.name: machine.id for machine in fly.world.apps["alice"].machines.values()}
        await fly.client.patch(
            f"/v1/apps/alice/machines/{ids['web-0']}/metadata", json={"metadata": {"a": "b"}}
        )
        found = await pages(fly, MACHINES, "machines", limit="3")

    assert [len(page) for page in found] == [3, 3, 1]
    names = [row["name"] for page in found for row in page]
    assert sorted(names) == [f"web-{number}" for number in range(7)]
    assert names[-1] == "web-0"


async def test_a_row_has_the_published_fields_and_little_config() -> None:
    async with laptop() as fly:
        await create_app(fly)
        marked = config(metadata={"mark": "1"}, env={"A": "b"})
        machine = await create_machine(fly, name="web-0", config=marked)
        reply = (await fly.client.get(MACHINES)).json()
        summary = (await fly.client.get(MACHINES, params={"summary": "true"})).json()["machines"][0]

    assert reply["machines"] == [
        {
            "id": machine["id"],
            "app_name": "alice",
            "name": "web-0",
            "state": "created",
            "region": "iad",
            "version": machine["instance_id"],
            "private_ip": machine["private_ip"],
            "created_at": "2026-05-28T20:26:40Z",
            "updated_at": "2026-05-28T20:26:40Z",
            "config": {
                "image": "registry.fly.io/studio:1",
                "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
                "metadata": {"mark": "1"},
            },
        }
    ]
    assert reply["error_regions"] == []
    assert (reply["last_machine_id"], reply["last_updated_at"]) == (machine["id"], "2026-05-28T20:26:40Z")
    assert "next_cursor" not in reply
    assert "config" not in summary


async def test_updated_after_leaves_out_older_rows_and_a_cursor_beats_it() -> None:
    async with laptop() as fly:
        await create_app(fly)
        await create_machine(fly, name="old", skip_launch=True)
        await asyncio.sleep(60)
        await create_machine(fly, name="new", skip_launch=True)

        async def names(**query: str) -> list[str]:
            reply = (await fly.client.get(MACHINES, params=query)).json()
            return [row["name"] for row in reply["machines"]]

        assert await names(updated_after="2026-05-28T20:27:00Z") == ["new"]
        assert await names(updated_after="2026-05-28T22:27:00.5+02:00") == ["new"]
        assert await names(updated_after="2026-05-28T20:28:00Z") == []
        cursor = (await fly.client.get(MACHINES, params={"limit": "1"})).json()["next_cursor"]
        assert await names(cursor=cursor, updated_after="2027-01-01T00:00:00Z") == ["new"]


async def test_destroyed_rows_regions_and_states_are_filtered() -> None:
    async with laptop() as fly:
        await create_app(fly)
        gone = await create_machine(fly, name="gone", skip_launch=True)
        await create_machine(fly, name="paris", region="cdg")
        await settled(fly, "alice", gone["id"])
        await fly.client.delete(f"/v1/apps/alice/machines/{gone['id']}")
        await settled(fly, "alice", gone["id"], "destroyed")

        async def names(**query: str) -> set[str]:
            reply = (await fly.client.get(MACHINES, params=query)).json()
            return {row["name"] for row in reply["machines"]}

        assert await names() == {"paris"}
        assert await names(include_deleted="true") == {"paris", "gone"}
        assert await names(state="destroyed") == {"gone"}
        assert await names(region="iad", include_deleted="true") == {"gone"}
        assert await names(state="stopped,failed") == set()


async def test_volumes_of_all_apps_are_listed_with_their_app() -> None:
    async with laptop() as fly:
        for app in ("alice", "bob", "carol"):
            await create_app(fly, app)
            await create_volume(fly, app, region="lhr")
        doomed = await create_volume(fly, "bob")
        await fly.client.delete(f"/v1/apps/bob/volumes/{doomed['id']}")
        path = "/v1/orgs/acme/volumes"
        found = await pages(fly, path, "volumes", limit="2")
        everything = await pages(fly, path, "volumes", include_deleted="true")
        near = await pages(fly, path, "volumes", include_deleted="true", region="iad")

    assert [len(page) for page in found] == [2, 1]
    assert sorted(row["app_name"] for page in found for row in page) == ["alice", "bob", "carol"]
    assert len(everything[0]) == 4
    assert [row["state"] for row in near[0]] == ["pending_destroy"]
    assert {"updated_at", "attached_machine_id", "size_gb"} <= set(near[0][0])


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"cursor": "%%%"}, {"updated_after": "yesterday"}],
)
@pytest.mark.parametrize("kind", ["machines", "volumes"])
async def test_a_query_that_is_not_understood_is_refused(kind: str, query: dict[str, str]) -> None:
    async with laptop() as fly:
        answer = await fly.client.get(f"/v1/orgs/acme/{kind}", params=query)

    assert answer.status_code == 400


async def test_unknown_and_foreign_organisations_are_refused() -> None:
    async with laptop(orgs=("acme", "other"), tokens={"others": ("other",)}) as fly:
        unknown = await fly.client.get("/v1/orgs/nowhere/machines")
        async with fly.speaking("others") as stranger:
            foreign = await stranger.get(MACHINES)

    assert said(unknown) == (404, "organization not found")
    assert said(foreign) == (403, "unauthorized")
