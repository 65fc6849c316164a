"""Fly's words for what localfly refuses by itself: status and text, as they were published or observed."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from localfly.lifecycle import Timings
from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import config, create_app, create_machine, create_volume, said, started_machine

APP = "/v1/apps/alice"
Provoke = Callable[[Laptop], Awaitable[httpx.Response]]


async def _stop_with_a_list(fly: Laptop) -> httpx.Response:
    machine = await started_machine(fly)
    return await fly.client.post(f"{APP}/machines/{machine['id']}/stop", json=[])


async def _wait_too_long(fly: Laptop) -> httpx.Response:
    machine = await started_machine(fly)
    return await fly.client.get(f"{APP}/machines/{machine['id']}/wait", params={"timeout": "61"})


async def _stop_slowly(fly: Laptop) -> httpx.Response:
    return await fly.client.post(f"{APP}/machines", json={"config": config(stop_config={"timeout": "301s"})})


async def _read_a_foreign_app(fly: Laptop) -> httpx.Response:
    await create_app(fly, "theirs", org="other")
    async with fly.speaking("acme-alone") as narrow:
        return await narrow.get("/v1/apps/theirs")


async def _without_a_token(fly: Laptop) -> httpx.Response:
    return await fly.client.get(APP, headers={"authorization": "Bearer nothing"})


async def _take_a_name(fly: Laptop) -> httpx.Response:
    return await fly.client.post("/v1/apps", json={"name": "alice", "org_slug": "acme"})


async def _write_a_name_badly(fly: Laptop) -> httpx.Response:
    return await fly.client.post("/v1/apps", json={"name": "Not A Name", "org_slug": "acme"})


async def _start_while_replaced(fly: Laptop) -> httpx.Response:
    machine = await started_machine(fly)
    path = f"{APP}/machines/{machine['id']}"
    await fly.client.post(path, json={"config": config()})
    return await fly.client.post(f"{path}/start")


async def _release_no_lease(fly: Laptop) -> httpx.Response:
    machine = await create_machine(fly)
    path = f"{APP}/machines/{machine['id']}/lease"
    return await fly.client.delete(path, headers={"fly-machine-lease-nonce": "abcdef012345"})


async def _network_nowhere(fly: Laptop) -> httpx.Response:
    body = {"type": "private_v6", "network": "nowhere"}
    return await fly.client.post(f"{APP}/ip_assignments", json=body)


async def _claim_a_volume_twice(fly: Laptop) -> httpx.Response:
    volume = await create_volume(fly)
    body = {"config": config(mounts=[{"volume": volume["id"], "path": "/data"}])}
    await create_machine(fly, config=body["config"])
    return await fly.client.post(f"{APP}/machines", json=body)


def _absent(path: str) -> Provoke:
    async def ask(fly: Laptop) -> httpx.Response:
        return await fly.client.get(path)

    return ask


REFUSALS: dict[str, tuple[Provoke, int, str]] = {
    "wrong type": (
        _stop_with_a_list,
        400,
        "json: cannot unmarshal array into Go value of type main.stopRequest",
    ),
    "wait timeout": (
        _wait_too_long,
        400,
        "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]",
    ),
    "stop timeout": (_stop_slowly, 400, "invalid stop_config.timeout, cannot exceed 5 minutes"),
    "network": (_network_nowhere, 400, "network not found"),
    "token": (_without_a_token, 401, "Authenticate: token validation error"),
    "foreign app": (_read_a_foreign_app, 403, "unauthorized"),
    "app": (_absent("/v1/apps/nobody"), 404, "app not found"),
    "machine": (_absent(f"{APP}/machines/00000000000000"), 404, "not_found: machine not found"),
    "volume": (_absent(f"{APP}/volumes/vol_0"), 404, "volume not found"),
    "lease": (_release_no_lease, 404, "lease not found"),
    "volume claimed": (
        _claim_a_volume_twice,
        412,
        "failed_precondition: volume already claimed by machine {holder}",
    ),
    "replaced": (
        _start_while_replaced,
        412,
        "failed_precondition: machine getting replaced, refusing to start",
    ),
    "name taken": (_take_a_name, 422, "Validation failed: Name has already been taken"),
    "name rule": (
        _write_a_name_badly,
        422,
        "Validation failed: Name under 63 chars using numbers, lowercase letters and dashes",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_has_flys_status_and_flys_words(case: str) -> None:
    provoke, status, text = REFUSALS[case]
    tokens = {"acme-alone": ("acme",)}
    async with laptop(orgs=("acme", "other"), tokens=tokens, timings=Timings(replace_s=5)) as fly:
        await create_app(fly)
        refused = await provoke(fly)
        holder = next(iter(fly.world.machines), "")

    assert said(refused) == (status, text.format(holder=holder) if "{" in text else text)
    assert refused.json().get("status") == ("name_taken" if case == "name taken" else None)
    assert set(refused.json()) <= {"error", "status"}
    assert refused.headers["content-type"] == "application/json; charset=utf-8"
    assert refused.headers["fly-request-id"]
