"""Addresses: every kind is of its own range, and a flycast address belongs to the network of the callers."""

import ipaddress

import pytest

from tests.localfly.inprocess import laptop
from tests.localfly.requests import Json, create_app, said

PATH = "/v1/apps/alice/ip_assignments"


async def test_an_app_has_no_address_until_one_is_allocated_and_then_until_it_is_released() -> None:
    async with laptop() as fly:
        await create_app(fly)
        before = (await fly.client.get(PATH)).json()["ips"]
        made = [(await fly.client.post(PATH, json={"type": kind})).json() for kind in ("v4", "v4", "v6")]
        between = (await fly.client.get(PATH)).json()["ips"]
        released = [(await fly.client.delete(f"{PATH}/{one['ip']}")).status_code for one in made]
        again = await fly.client.delete(f"{PATH}/{made[0]['ip']}")
        after = (await fly.client.get(PATH)).json()["ips"]

    assert before == after == []
    assert between == made
    assert len({one["ip"] for one in made}) == 3
    assert [ipaddress.ip_address(one["ip"]).version for one in made] == [4, 4, 6]
    assert released == [204, 204, 204]
    assert again.status_code == 404


async def test_a_flycast_address_is_in_the_organisations_default_network_unless_one_is_named() -> None:
    async with laptop(orgs=("acme", "other")) as fly:
        await create_app(fly, network="u-alice")
        asked: list[Json] = [{}, {"network": "u-alice"}, {"org_slug": "other"}]
        ips = [(await fly.client.post(PATH, json={"type": "private_v6", **one})).json() for one in asked]
        machine_net = fly.world.orgs["acme"].networks["u-alice"]

    assert [one["network"] for one in ips] == [
        {"name": "", "org_slug": "acme"},
        {"name": "u-alice", "org_slug": "acme"},
        {"name": "", "org_slug": "other"},
    ]
    assert all(one["ip"].startswith("fdaa:") and not one["shared"] for one in ips)
    assert ips[1]["ip"].split(":")[2] == f"{machine_net:x}"


async def test_a_network_that_no_app_ever_named_is_not_found() -> None:
    async with laptop() as fly:
        await create_app(fly)
        refused = await fly.client.post(PATH, json={"type": "private_v6", "network": "nowhere"})

    assert said(refused) == (400, "network not found")


async def test_the_shared_address_is_the_same_for_all_and_once_per_app() -> None:
    async with laptop() as fly:
        await create_app(fly)
        await create_app(fly, "bob")
        first = (await fly.client.post(PATH, json={"type": "shared_v4"})).json()
        again = await fly.client.post(PATH, json={"type": "shared_v4"})
        others = (await fly.client.post("/v1/apps/bob/ip_assignments", json={"type": "shared_v4"})).json()

    assert first["shared"] is True
    assert first["ip"] == others["ip"]
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"type": "v5"}, 400),
        ({"type": "v4", "network": "default"}, 400),
        ({"type": "v4", "org_slug": "acme"}, 400),
        ({"type": "v4", "region": "moon"}, 400),
        ({"type": "egress_pair"}, 501),
        ({"type": "v6", "service_name": "web"}, 501),
        ({"type": "private_v6", "org_slug": "nobody"}, 404),
    ],
)
async def test_what_cannot_be_allocated_is_refused_and_nothing_is_there(body: Json, status: int) -> None:
    async with laptop() as fly:
        await create_app(fly)
        refused = await fly.client.post(PATH, json=body)
        listed = (await fly.client.get(PATH)).json()["ips"]

    assert refused.status_code == status
    assert listed == []
