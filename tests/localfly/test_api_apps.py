"""Apps over HTTP: one namespace of names, networks for ever, organisations kept apart."""

import asyncio

import httpx
import pytest

from tests.localfly.inprocess import laptop
from tests.localfly.requests import config, create_app, create_machine, create_volume, settled


@pytest.mark.parametrize("field", ["name", "app_name"])
async def test_an_app_is_created_on_its_network_under_either_name_field(field: str) -> None:
    async with laptop() as fly:
        created = await fly.client.post(
            "/v1/apps", json={field: "acme-alice", "org_slug": "acme", "network": "k3n8-alice"}
        )
        shown = await fly.client.get("/v1/apps/acme-alice")
        row = (await fly.client.get("/v1/apps", params={"org_slug": "acme"})).json()["apps"][0]

    assert created.status_code == 201
    assert created.json()["id"] == shown.json()["id"]
    assert created.json()["created_at"] == 1_780_000_000_000
    assert shown.json() == row
    assert (row["name"], row["network"], row["machine_count"]) == ("acme-alice", "k3n8-alice", 0)
    assert row["organization"]["slug"] == "acme"
    assert row["status"] == "pending"


async def test_an_app_without_a_network_is_on_the_default_one() -> None:
    async with laptop() as fly:
        await create_app(fly, "plain")

        assert (await fly.client.get("/v1/apps/plain")).json()["network"] == "default"


async def test_a_taken_name_is_refused_with_its_status_code_whoever_asks() -> None:
    async with laptop(orgs=("acme", "other"), tokens={"others": ("other",)}) as fly:
        await create_app(fly, "alice")
        async with fly.speaking("others") as stranger:
            refused = await stranger.post("/v1/apps", json={"name": "alice", "org_slug": "other"})

    assert refused.status_code == 422
    assert refused.json() == {
        "error": "Validation failed: Name has already been taken",
        "status": "name_taken",
    }


@pytest.mark.parametrize("name", ["", "Alice", "a_b", "a" * 63, "a b", "é"])
async def test_a_name_that_fly_would_not_take_is_refused(name: str) -> None:
    async with laptop() as fly:
        refused = await fly.client.post("/v1/apps", json={"name": name, "org_slug": "acme"})

    assert (refused.status_code, refused.json()) == (
        422,
        {"error": "Validation failed: Name under 63 chars using numbers, lowercase letters and dashes"},
    )


async def test_a_foreign_organisations_app_exists_and_is_not_readable() -> None:
    async with laptop(orgs=("acme", "other"), tokens={"others": ("other",)}) as fly:
        await create_app(fly, "alice")
        async with fly.speaking("others") as stranger:
            answers = [
                await stranger.get("/v1/apps/alice"),
                await stranger.get("/v1/apps/alice/machines"),
                await stranger.get("/v1/apps", params={"org_slug": "acme"}),
                await stranger.post("/v1/apps", json={"name": "mine", "org_slug": "acme"}),
            ]

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (403, {"error": "unauthorized"})
    ] * 4


async def test_a_free_name_and_an_unknown_organisation_are_404() -> None:
    async with laptop() as fly:
        free = await fly.client.get("/v1/apps/nobody")
        listed = await fly.client.get("/v1/apps", params={"org_slug": "nowhere"})
        created = await fly.client.post("/v1/apps", json={"name": "a", "org_slug": "nowhere"})

    assert (free.status_code, free.json()) == (404, {"error": "app not found"})
    assert (listed.status_code, created.status_code) == (404, 404)


async def test_the_list_shows_only_the_organisations_apps_with_their_machine_counts() -> None:
    async with laptop(orgs=("acme", "other")) as fly:
        await create_app(fly, "alice")
        await create_app(fly, "elsewhere", org="other")
        await create_machine(fly, "alice", name="web-0")
        listed = (await fly.client.get("/v1/apps", params={"org_slug": "acme"})).json()

    assert [(app["name"], app["machine_count"], app["status"]) for app in listed["apps"]] == [
        ("alice", 1, "deployed")
    ]
    assert listed["total_apps"] == 1


async def test_deleting_an_app_takes_its_machines_and_volumes_along_and_frees_its_name() -> None:
    async with laptop() as fly:
        await create_app(fly, "alice")
        volume = await create_volume(fly, "alice")
        mounts = [{"volume": volume["id"], "path": "/data"}]
        machine = await create_machine(fly, "alice", name="web-0", config=config(mounts=mounts))
        await settled(fly, "alice", machine["id"])
        refused = await fly.client.delete("/v1/apps/alice")
        accepted = await fly.client.delete("/v1/apps/alice", params={"force": "true"})
        meanwhile = await fly.client.get("/v1/apps/alice/machines")
        late = await fly.client.post("/v1/apps/alice/machines", json={"config": config()})
        await asyncio.sleep(5)
        gone = await fly.client.get("/v1/apps/alice")
        rows = await fly.client.get("/v1/orgs/acme/machines", params={"include_deleted": "true"})
        volumes = await fly.client.get("/v1/orgs/acme/volumes", params={"include_deleted": "true"})
        again = await fly.client.post("/v1/apps", json={"name": "alice", "org_slug": "acme"})

    assert refused.status_code == 412
    assert (accepted.status_code, accepted.content) == (202, b"")
    assert [row["state"] for row in meanwhile.json()] == ["destroying"]
    assert late.status_code == 404
    assert gone.status_code == 404
    assert rows.json()["machines"] == []
    assert volumes.json()["volumes"] == []
    assert again.status_code == 201


async def test_a_network_has_one_number_for_ever_and_apps_on_it_share_it() -> None:
    async with laptop() as fly:
        await create_app(fly, "one", network="shared")
        await create_app(fly, "two", network="shared")
        await create_app(fly, "alone", network="other")
        addresses = [
            (await create_machine(fly, app, name="web-0"))["private_ip"].split(":")[:3]
            for app in ("one", "two", "alone")
        ]

    assert addresses[0] == addresses[1] != addresses[2]
    assert addresses[0][0] == "fdaa"


async def test_a_new_app_has_no_address() -> None:
    async with laptop() as fly:
        await create_app(fly, "alice")

        assert (await fly.client.get("/v1/apps/alice/ip_assignments")).json() == {"ips": []}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"name": "a", "org_slug": "acme", "colour": 1}, 400, "unknown field 'colour'"),
        ({"name": "a", "org_slug": 7}, 400, "invalid field 'org_slug'"),
        ({"name": "a"}, 400, "invalid field 'org_slug'"),
        (["a"], 400, "json: cannot unmarshal array"),
        ({"name": "a", "org_slug": "acme", "enable_subdomains": True}, 501, "'enable_subdomains'"),
        ({"name": "a", "org_slug": "acme", "network": "7up"}, 422, "Network name"),
    ],
)
async def test_a_body_that_is_not_understood_creates_nothing(body: object, status: int, text: str) -> None:
    async with laptop() as fly:
        refused: httpx.Response = await fly.client.post("/v1/apps", json=body)
        listed = await fly.client.get("/v1/apps", params={"org_slug": "acme"})

    assert refused.status_code == status
    assert text in refused.json()["error"]
    assert listed.json()["total_apps"] == 0
