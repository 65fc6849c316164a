"""`wait`: answers when the state comes, says what it is when it does not."""

import asyncio

import pytest

from localfly.lifecycle import Timings
from tests.localfly.inprocess import laptop
from tests.localfly.requests import config, create_app, create_machine, said, settled, started_machine

PATH = "/v1/apps/alice/machines"


async def test_wait_answers_when_the_state_comes_and_at_once_when_it_is_there() -> None:
    loop = asyncio.get_running_loop()
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly)
        began = loop.time()
        first = (await fly.client.get(f"{PATH}/{machine['id']}/wait")).json()
        waited = loop.time() - began
        second = (await fly.client.get(f"{PATH}/{machine['id']}/wait")).json()

    event_id = first.pop("event_id")
    assert second.pop("event_id") == event_id
    assert first == second == {"ok": True, "state": "started", "version": machine["instance_id"]}
    assert waited == pytest.approx(0.5)
    assert loop.time() - began == pytest.approx(waited)


async def test_wait_that_runs_out_names_the_state_wanted_and_the_one_there_is() -> None:
    loop = asyncio.get_running_loop()
    async with laptop() as fly:
        machine = await started_machine(fly)
        began = loop.time()
        query = {"state": "stopped,failed", "timeout": "7"}
        answer = await fly.client.get(f"{PATH}/{machine['id']}/wait", params=query)

    assert loop.time() - began == pytest.approx(7)
    assert said(answer) == (
        408,
        "deadline_exceeded: machine failed to reach desired state, stopped, failed, currently started",
    )


@pytest.mark.parametrize("states", [["stopped", "started"], ["stopped,started"]])
async def test_wait_takes_several_states_repeated_or_by_commas(states: list[str]) -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly)
        answer = await fly.client.get(f"{PATH}/{machine['id']}/wait", params={"state": states})

    assert answer.json()["state"] == "started"


@pytest.mark.parametrize("seconds", ["0", "61", "-1", "300"])
async def test_a_timeout_outside_1_to_60_seconds_is_refused_at_once(seconds: str) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        began = asyncio.get_running_loop().time()
        answer = await fly.client.get(
            f"{PATH}/{machine['id']}/wait", params={"state": "stopped", "timeout": seconds}
        )

        assert asyncio.get_running_loop().time() == began
    assert said(answer) == (
        400,
        "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]",
    )


async def test_settled_waits_out_an_update_and_tells_where_it_landed() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        await fly.client.post(path, json={"config": config(), "skip_launch": True})
        answer = await fly.client.get(f"{path}/wait", params={"state": "settled"})

    assert answer.json()["state"] == "stopped"


async def test_waiting_for_a_version_that_is_replaced_says_so_before_and_during() -> None:
    async with laptop(timings=Timings(replace_s=2)) as fly:
        await create_app(fly)
        machine = await create_machine(fly, skip_launch=True)
        await settled(fly, "alice", machine["id"])
        path = f"{PATH}/{machine['id']}"
        query = {"version": machine["instance_id"], "state": "started"}
        during = asyncio.create_task(fly.client.get(f"{path}/wait", params=query))
        await asyncio.sleep(1)
        updated = (await fly.client.post(path, json={"config": config()})).json()
        after = await fly.client.get(f"{path}/wait", params=query)
        current = await fly.client.get(
            f"{path}/wait", params={"instance_id": updated["instance_id"], "state": "stopped"}
        )
        unknown = await fly.client.get(f"{path}/wait", params={"version": "0" * 26})

        text = "deadline_exceeded: machine failed to reach desired state, started, currently replaced"
        assert said(await during) == said(after) == (408, text)
    assert current.json()["version"] == updated["instance_id"]
    assert unknown.status_code == 404


async def test_waiting_for_another_state_ends_in_404_when_the_machine_is_destroyed() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        waiting = asyncio.create_task(fly.client.get(f"{path}/wait", params={"state": "stopped"}))
        await asyncio.sleep(0)
        await fly.client.delete(path, params={"force": "true"})
        destroyed = await fly.client.get(f"{path}/wait", params={"state": "destroyed"})

        assert said(await waiting) == (404, "not_found: machine not found")
    assert destroyed.json()["state"] == "destroyed"


async def test_an_unknown_state_is_refused() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        answer = await fly.client.get(f"{PATH}/{machine['id']}/wait", params={"state": "happy"})

    assert answer.status_code == 400


@pytest.mark.parametrize("seconds", ["1_0", " 5", "\u0663", ""])
async def test_a_timeout_is_a_number_as_go_reads_it(seconds: str) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        answer = await fly.client.get(f"{PATH}/{machine['id']}/wait", params={"timeout": seconds})

    assert said(answer) == (400, f"invalid query parameter 'timeout': {seconds!r}")
