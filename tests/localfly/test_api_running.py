"""Running: a restart keeps the version, a cordon keeps the machine running, leases guard what Fly guards."""

import pytest

from tests.localfly.inprocess import laptop
from tests.localfly.requests import config, create_app, create_machine, said, settled, started_machine


async def test_a_cordoned_machine_runs_on_and_says_so_until_it_is_uncordoned() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"/v1/apps/alice/machines/{machine['id']}"
        shown = []
        for verb in ("cordon", "cordon", "uncordon", "uncordon"):
            assert (await fly.client.post(f"{path}/{verb}")).json() == {"ok": True}
            now = (await fly.client.get(path)).json()
            shown.append((now["cordoned"], now["state"], now["instance_id"]))

    version = machine["instance_id"]
    assert shown == [(True, "started", version)] * 2 + [(False, "started", version)] * 2


async def test_skip_service_registration_makes_a_machine_cordoned_from_birth() -> None:
    async with laptop() as fly:
        await create_app(fly)
        born = [await create_machine(fly, skip_service_registration=skip) for skip in (True, False, None)]

    assert [machine["cordoned"] for machine in born] == [True, False, False]


async def test_a_restart_keeps_version_and_config_and_ends_started() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"/v1/apps/alice/machines/{machine['id']}"
        answer = await fly.client.post(f"{path}/restart", params={"timeout": "2", "signal": "SIGTERM"})
        between = (await fly.client.get(path)).json()["state"]
        after = await settled(fly, "alice", machine["id"], "started")

    assert answer.json() == {"ok": True}
    assert between == "restarting"
    assert (after["instance_id"], after["config"]) == (machine["instance_id"], machine["config"])


@pytest.mark.parametrize("query", [{"timeout": "soon"}, {"timeout": "301"}, {"signal": "SIGWINCH"}])
async def test_a_restart_that_is_not_understood_restarts_nothing(query: dict[str, str]) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"/v1/apps/alice/machines/{machine['id']}"
        refused = await fly.client.post(f"{path}/restart", params=query)
        state = (await fly.client.get(path)).json()["state"]

    assert (refused.status_code, state) == (400, "started")


async def test_a_suspended_machine_is_started_again_and_a_stop_makes_it_stopped() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"/v1/apps/alice/machines/{machine['id']}"
        assert (await fly.client.post(f"{path}/suspend")).json() == {"ok": True}
        suspended = await settled(fly, "alice", machine["id"], "suspended")
        started = (await fly.client.post(f"{path}/start")).json()
        await settled(fly, "alice", machine["id"], "started")
        await fly.client.post(f"{path}/suspend")
        await settled(fly, "alice", machine["id"], "suspended")
        await fly.client.post(f"{path}/stop")
        stopped = await settled(fly, "alice", machine["id"], "stopped")

    assert suspended["instance_id"] == machine["instance_id"]
    assert started["previous_state"] == "suspended"
    assert stopped["state"] == "stopped"


@pytest.mark.parametrize("verb", ["start", "stop", "suspend", "restart", "cordon", "uncordon", "exec"])
async def test_a_lease_of_somebody_else_guards_every_listed_call(verb: str) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"/v1/apps/alice/machines/{machine['id']}"
        lease = (await fly.client.post(f"{path}/lease", json={"ttl": 30})).json()["data"]
        body = {"command": ["true"]} if verb == "exec" else None
        refused = await fly.client.post(f"{path}/{verb}", json=body)
        nonce = {"fly-machine-lease-nonce": lease["nonce"]}
        with_nonce = await fly.client.post(f"{path}/{verb}", json=body, headers=nonce)

    text = f"aborted: machine ID {machine['id']} lease currently held by {lease['owner']}, expires at "
    assert refused.status_code == 409
    assert said(refused)[1].startswith(text)
    assert with_nonce.status_code in (200, 403)


@pytest.mark.parametrize("verb", ["signal", "exec", "ps", "memory"])
async def test_what_needs_a_running_machine_is_412_without_one(verb: str) -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly, skip_launch=True, config=config())
        await settled(fly, "alice", machine["id"], "stopped")
        path = f"/v1/apps/alice/machines/{machine['id']}/{verb}"
        bodies = {"signal": {"signal": "SIGTERM"}, "exec": {"command": ["true"]}}
        method = "POST" if verb in bodies else "GET"
        refused = await fly.client.request(method, path, json=bodies.get(verb))

    assert said(refused) == (412, "failed_precondition: machine not running")
