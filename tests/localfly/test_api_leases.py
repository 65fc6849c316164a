"""Leases over HTTP: they refuse, they expire, they let reads and metadata pass."""

import asyncio
from typing import Any

import pytest

from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import config, said, started_machine

PATH = "/v1/apps/alice/machines"
NONCE = "fly-machine-lease-nonce"


async def lease(fly: Laptop, machine_id: str, **request: Any) -> dict[str, Any]:
    """The data of a lease just taken or refreshed."""
    answer = await fly.client.post(f"{PATH}/{machine_id}/lease", **request)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "success"
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_a_lease_is_taken_shown_and_given_back_in_the_wrapped_form() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}/lease"
        none = await fly.client.get(path)
        taken = await lease(fly, machine["id"], json={"ttl": 15, "description": "k3n8/1"})
        shown = await fly.client.get(path)
        released = await fly.client.delete(path, headers={NONCE: taken["nonce"]})
        again = await fly.client.delete(path, headers={NONCE: taken["nonce"]})

    assert said(none) == said(again) == (404, "lease not found")
    assert shown.json() == {"status": "success", "data": taken}
    assert (taken["description"], taken["version"]) == ("k3n8/1", machine["instance_id"])
    assert taken["owner"].endswith("@tokens.fly.io")
    assert int(taken["nonce"], 16) < 16**12
    assert released.json() == {"status": "success", "data": {"ok": True}}


async def test_a_held_lease_refuses_guarded_calls_without_its_nonce() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        taken = await lease(fly, machine["id"], json={"ttl": 15})
        answers = [
            await fly.client.post(path, json={"config": config()}, headers=headers)
            for headers in ({}, {NONCE: "000000000000"})
        ]
        answers += [
            await fly.client.post(f"{path}/start"),
            await fly.client.post(f"{path}/stop"),
            await fly.client.delete(path, params={"force": "true"}),
            await fly.client.post(f"{path}/lease", json={"ttl": 15}),
        ]
        allowed = await fly.client.post(f"{path}/stop", headers={NONCE: taken["nonce"]})

    text = (
        f"aborted: machine ID {machine['id']} lease currently held by {taken['owner']}, "
        "expires at 2026-05-28T20:26:55Z"
    )
    assert [said(answer) for answer in answers] == [(409, text)] * 6
    assert allowed.status_code == 200


async def test_reads_waits_and_metadata_pass_a_held_lease() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        await lease(fly, machine["id"], json={"ttl": 15})
        answers = [
            await fly.client.get(path),
            await fly.client.get(f"{path}/wait"),
            await fly.client.patch(f"{path}/metadata", json={"metadata": {"a": "b"}}),
            await fly.client.post(PATH, json={"config": config()}),
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 204, 200]


async def test_a_refresh_keeps_the_nonce_and_moves_the_expiry() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        taken = await lease(fly, machine["id"], json={"ttl": 15, "description": "me"})
        await asyncio.sleep(10)
        headers = {NONCE: taken["nonce"]}
        refreshed = await lease(fly, machine["id"], params={"ttl": "15"}, headers=headers)

    assert refreshed == {**taken, "expires_at": taken["expires_at"] + 10}


async def test_an_expired_lease_binds_nobody_and_its_nonce_opens_nothing() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        taken = await lease(fly, machine["id"], json={"ttl": 15})
        await asyncio.sleep(15)
        stale = await fly.client.post(f"{path}/stop", headers={NONCE: taken["nonce"]})
        released = await fly.client.delete(f"{path}/lease", headers={NONCE: taken["nonce"]})
        other = await lease(fly, machine["id"], json={"ttl": 15})

    assert stale.status_code == 409
    assert said(released) == (404, "lease not found")
    assert other["nonce"] != taken["nonce"]


@pytest.mark.parametrize("request_", [{"json": {"ttl": 0}}, {"params": {"ttl": "x"}}, {"json": {"ttl": "9"}}])
async def test_a_time_to_live_that_is_none_is_refused(request_: dict[str, Any]) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        answer = await fly.client.post(f"{PATH}/{machine['id']}/lease", **request_)

    assert answer.status_code == 400


@pytest.mark.parametrize("ttl", [10**18, 10**400])
async def test_a_lease_that_no_date_can_tell_is_refused_and_makes_nothing(ttl: int) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        taken = await fly.client.post(f"{PATH}/{machine['id']}/lease", json={"ttl": ttl})
        asked = await fly.client.post(f"{PATH}/{machine['id']}/lease", params={"ttl": str(ttl)})
        made = await fly.client.post(PATH, json={"config": config(), "lease_ttl": ttl})
        listed = await fly.client.get(PATH)

    assert [taken.status_code, asked.status_code, made.status_code] == [400, 400, 400]
    assert len(listed.json()) == 1
