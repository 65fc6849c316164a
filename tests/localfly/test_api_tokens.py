"""Tokens and the platform: a deploy token acts on one app alone; regions and placements in Fly's capitals."""

import asyncio

import pytest

from localfly.region import REGIONS
from tests.localfly.inprocess import laptop
from tests.localfly.requests import create_app, said


async def test_a_deploy_token_opens_its_app_and_nothing_else() -> None:
    async with laptop() as fly:
        await create_app(fly)
        await create_app(fly, "bob")
        token = (await fly.client.post("/v1/apps/alice/deploy_token", json={})).json()["token"]
        async with fly.speaking(token) as deployer:
            own = await deployer.post("/v1/apps/alice/secrets", json={"values": {"A": "1"}})
            refused = [
                await deployer.get("/v1/apps/bob"),
                await deployer.get("/v1/apps/bob/machines"),
                await deployer.post("/v1/apps", json={"name": "new", "org_slug": "acme"}),
                await deployer.get("/v1/orgs/acme/machines"),
                await deployer.get("/_localfly/world"),
            ]
            current = (await deployer.get("/v1/tokens/current")).json()["tokens"]

    assert own.status_code == 200
    assert [said(answer) for answer in refused] == [(403, "unauthorized")] * 5
    assert [(one["org_slug"], one["apps"]) for one in current] == [("acme", ["alice"])]


async def test_a_deploy_token_ends_with_its_time_and_its_children_with_it() -> None:
    async with laptop() as fly:
        await create_app(fly)
        path = "/v1/apps/alice/deploy_token"
        token = (await fly.client.post(path, json={"expiry": "1h"})).json()["token"]
        async with fly.speaking(token) as deployer:
            child = (await deployer.post(path, json={"expiry": "24h"})).json()["token"]
            before = (await deployer.get("/v1/apps/alice")).status_code
            await asyncio.sleep(3600)
            after = await deployer.get("/v1/apps/alice")
        async with fly.speaking(child) as late:
            childs = await late.get("/v1/apps/alice")

    assert before == 200
    assert said(after) == said(childs) == (401, "Authenticate: token validation error")


@pytest.mark.parametrize("expiry", ["soon", "-1h", "0s"])
async def test_a_token_needs_a_time_to_live(expiry: str) -> None:
    async with laptop() as fly:
        await create_app(fly)
        refused = await fly.client.post("/v1/apps/alice/deploy_token", json={"expiry": expiry})

    assert refused.status_code == 400


async def test_the_token_that_localfly_was_started_with_names_every_organisation() -> None:
    async with laptop(orgs=("acme", "other"), tokens={"only-acme": ("acme",)}) as fly:
        everywhere = (await fly.client.get("/v1/tokens/current")).json()["tokens"]
        async with fly.speaking("only-acme") as narrow:
            one = (await narrow.get("/v1/tokens/current")).json()["tokens"]

    assert [entry["org_slug"] for entry in everywhere] == ["acme", "other"]
    assert [entry["org_slug"] for entry in one] == ["acme"]
    assert one[0]["token_id"] != everywhere[0]["token_id"]


async def test_regions_are_rows_with_their_codes_and_the_nearest_is_one_of_them() -> None:
    async with laptop() as fly:
        reply = (await fly.client.get("/v1/platform/regions")).json()

    assert [row["code"] for row in reply["Regions"]] == list(REGIONS)
    assert reply["Nearest"] in REGIONS


async def test_placements_keep_to_the_regions_and_the_count_asked_for() -> None:
    async with laptop() as fly:
        path, body = "/v1/platform/placements", {"org_slug": "acme"}
        some = (await fly.client.post(path, json={**body, "region": "lhr,fra", "count": 3})).json()
        all_of_them = (await fly.client.post(path, json=body)).json()
        statuses = [
            (await fly.client.post(path, json=wrong)).status_code
            for wrong in (
                {},
                {"org_slug": "nobody"},
                {**body, "region": "moon"},
                {**body, "weights": {"a": 1}},
            )
        ]

    assert [(row["Region"], row["Count"]) for row in some["Regions"]] == [("lhr", 3), ("fra", 3)]
    assert {row["Region"] for row in all_of_them["Regions"]} == set(REGIONS)
    assert statuses == [400, 404, 422, 501]
