"""Answers that lag behind the world, as Fly's do: on demand, for a time, and never in the world itself."""

import asyncio
from typing import Any

from localfly.consistency import Lag
from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import create_app, create_machine, create_volume, said, settled, started_machine

ORG = "/v1/orgs/acme/machines"


async def listed(fly: Laptop, path: str, **query: str) -> Any:
    """What a list says now."""
    return (await fly.client.get(path, params=query)).json()


async def test_a_new_app_and_a_new_machine_are_not_found_for_a_while() -> None:
    """404 to reads and writes, although they are there and hold their names; then they are as ever."""
    async with laptop() as fly:
        await create_app(fly)
        fly.troubles.consistency.lag = Lag(hidden_s=5)
        early = await fly.client.post("/v1/apps/alice/machines", json={"config": {"image": "i"}})
        again = await fly.client.post("/v1/apps", json={"name": "alice", "org_slug": "acme"})
        await asyncio.sleep(6)
        machine = await create_machine(fly)
        path = f"/v1/apps/alice/machines/{machine['id']}"
        answers = [await fly.client.get(path), await fly.client.get(f"{path}/wait?timeout=1")]
        await asyncio.sleep(6)
        late = await fly.client.get(path)

    assert said(early) == (404, "app not found")
    assert again.status_code == 422
    assert [said(answer) for answer in answers] == [(404, "not_found: machine not found")] * 2
    assert late.json()["state"] == "started"


async def test_a_new_app_may_answer_401_instead() -> None:
    async with laptop() as fly:
        fly.troubles.consistency.lag = Lag(hidden_s=5, hides_apps_as_401=True)
        await create_app(fly)
        answer = await fly.client.get("/v1/apps/alice")

    assert said(answer) == (401, "Authenticate: token validation error")


async def test_lists_learn_late_of_what_was_created_and_of_what_went_away() -> None:
    """A read by id is right at once; lists lack the new and still show the gone, for as long as asked."""
    async with laptop() as fly:
        old = await started_machine(fly, name="old")
        await asyncio.sleep(20)
        fly.troubles.consistency.lag = Lag(late_s=10)
        new = await started_machine(fly, name="new")
        await fly.client.delete(f"/v1/apps/alice/machines/{old['id']}?force=true")
        await settled(fly, "alice", old["id"], "destroyed")

        early = await listed(fly, "/v1/apps/alice/machines")
        early_rows = (await listed(fly, ORG))["machines"]
        read = await fly.client.get(f"/v1/apps/alice/machines/{new['id']}")
        await asyncio.sleep(12)
        later = await listed(fly, "/v1/apps/alice/machines")
        later_rows = (await listed(fly, ORG))["machines"]

    assert [(row["name"], row["state"]) for row in early] == [("old", "destroying")]
    assert [(row["name"], row["state"]) for row in early_rows] == [("old", "destroying")]
    assert read.json()["state"] == "started"
    assert [(row["name"], row["state"]) for row in later] == [("new", "started")]
    assert [(row["name"], row["state"]) for row in later_rows] == [("new", "started")]


async def test_a_new_app_comes_late_to_the_list_of_apps() -> None:
    async with laptop() as fly:
        fly.troubles.consistency.lag = Lag(late_s=10)
        await create_app(fly)
        early = await listed(fly, "/v1/apps", org_slug="acme")
        await asyncio.sleep(11)
        later = await listed(fly, "/v1/apps", org_slug="acme")

    assert ([app["name"] for app in early["apps"]], early["total_apps"]) == ([], 0)
    assert ([app["name"] for app in later["apps"]], later["total_apps"]) == (["alice"], 1)


async def test_a_volume_just_deleted_still_lists_as_created_for_a_while() -> None:
    async with laptop() as fly:
        await create_app(fly)
        volume = await create_volume(fly)
        await asyncio.sleep(20)
        fly.troubles.consistency.lag = Lag(late_s=10)
        await fly.client.delete(f"/v1/apps/alice/volumes/{volume['id']}")
        early = await listed(fly, "/v1/apps/alice/volumes")
        early_rows = (await listed(fly, "/v1/orgs/acme/volumes"))["volumes"]
        await asyncio.sleep(11)
        later = await listed(fly, "/v1/apps/alice/volumes")
        later_rows = (await listed(fly, "/v1/orgs/acme/volumes"))["volumes"]

    assert [row["state"] for row in (*early, *early_rows)] == ["created", "created"]
    assert [row["state"] for row in later] == ["pending_destroy"]
    assert later_rows == []


async def test_regions_that_do_not_answer_are_named_and_their_machines_missing() -> None:
    async with laptop() as fly:
        await create_app(fly)
        for region in ("fra", "iad"):
            await create_machine(fly, region=region)
        fly.troubles.consistency.lag = Lag(error_regions=("fra", "syd"))
        page = await listed(fly, ORG)
        fly.troubles.consistency.lag = Lag()
        whole = await listed(fly, ORG)

    assert (page["error_regions"], [row["region"] for row in page["machines"]]) == (["fra", "syd"], ["iad"])
    assert (whole["error_regions"], len(whole["machines"])) == ([], 2)


async def test_pages_may_be_empty_while_more_remain_and_no_row_is_lost() -> None:
    """Following the cursors to their end finds every machine once, however many pages come empty."""
    async with laptop() as fly:
        await create_app(fly)
        made = {(await create_machine(fly))["id"] for _ in range(7)}
        for empty_pages in (1.0, 0.5):
            fly.troubles.consistency.lag = Lag(empty_pages=empty_pages, seed=3)
            pages: list[list[str]] = []
            cursor = ""
            while cursor or not pages:
                reply = await listed(fly, ORG, limit="2", **({"cursor": cursor} if cursor else {}))
                pages.append([row["id"] for row in reply["machines"]])
                cursor = reply.get("next_cursor", "")

            assert [] in pages
            assert sorted(row for page in pages for row in page) == sorted(made)
