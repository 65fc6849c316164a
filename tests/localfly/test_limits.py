"""Rate limits as Fly publishes them, on the clock, and their switches."""

import asyncio

import httpx
import pytest

from localfly.limits import Limits
from reconciler.fly.pace import Rates
from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import create_app, create_machine, said
from tests.stage import Line, Stage, fleet_of

LIMITS = "/_localfly/limits"
TOO_FAST = (429, "rate limit exceeded")


async def allowed(fly: Laptop, method: str, path: str, *, calls: int = 15) -> int:
    """How many of so many calls at once are let through."""
    answers = [await fly.client.request(method, path) for _ in range(calls)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(said(answer) == TOO_FAST for answer in refused)
    return calls - len(refused)


async def test_an_action_on_one_thing_goes_three_at_once_then_one_a_second() -> None:
    async with laptop(rate_limits=True) as fly:
        at_once = await allowed(fly, "GET", "/v1/apps/alice")
        other = await allowed(fly, "GET", "/v1/apps/bob")
        await asyncio.sleep(1)
        after_a_second = await allowed(fly, "GET", "/v1/apps/alice")
        await asyncio.sleep(60)
        after_a_rest = await allowed(fly, "GET", "/v1/apps/alice")

    assert (at_once, other, after_a_second, after_a_rest) == (3, 3, 1, 3)


async def test_a_machine_is_read_ten_times_at_once_then_five_times_a_second() -> None:
    async with laptop(rate_limits=True) as fly:
        await create_app(fly)
        path = f"/v1/apps/alice/machines/{(await create_machine(fly))['id']}"
        at_once = await allowed(fly, "GET", path)
        await asyncio.sleep(1)
        after_a_second = await allowed(fly, "GET", path)
        events = await allowed(fly, "GET", f"{path}/events")

    assert (at_once, after_a_second, events) == (10, 5, 3)


async def test_each_action_on_a_machine_counts_alone_and_each_machine_too() -> None:
    async with laptop(rate_limits=True) as fly:
        await create_app(fly)
        paths = [f"/v1/apps/alice/machines/{(await create_machine(fly))['id']}" for _ in range(2)]
        counts = [
            await allowed(fly, method, f"{path}/lease") for path in paths for method in ("POST", "DELETE")
        ]

    assert counts == [3, 3, 3, 3]


async def test_an_organisation_loses_a_hundred_apps_a_minute() -> None:
    """The only limit that Fly gives per minute; the apps of another organisation are not held up."""
    async with laptop(rate_limits=True, orgs=("acme", "rivals")) as fly:
        for number in range(120):
            fly.world.add_app(f"a{number}", org="acme")
        fly.world.add_app("theirs", org="rivals")
        answers = [(await fly.client.delete(f"/v1/apps/a{number}")).status_code for number in range(120)]
        theirs = await fly.client.delete("/v1/apps/theirs")
        await asyncio.sleep(6)
        later = [(await fly.client.delete(f"/v1/apps/a{number}")).status_code for number in range(105, 120)]

    assert (answers.count(202), answers.count(429)) == (100, 20)
    assert theirs.status_code == 202
    assert later.count(202) == 10


async def test_apps_are_created_at_the_usual_rate_per_organisation() -> None:
    """Fly says nothing about calls without an app: here they count per organisation, wherever it is named."""
    async with laptop(rate_limits=True, orgs=("acme", "rivals")) as fly:

        async def create(name: str, org: str) -> int:
            answer = await fly.client.post("/v1/apps", json={"name": name, "org_slug": org})
            return answer.status_code

        ours = [await create(f"a{number}", "acme") for number in range(5)]
        theirs = await create("theirs", "rivals")
        listed = await allowed(fly, "GET", "/v1/apps?org_slug=acme")
        machines = await allowed(fly, "GET", "/v1/orgs/acme/machines")

    assert (ours.count(201), theirs, listed, machines) == (3, 201, 3, 3)


async def test_a_refused_call_does_nothing_and_costs_nothing() -> None:
    async with laptop(rate_limits=True) as fly:
        await create_app(fly)
        answers: list[httpx.Response] = [
            await fly.client.post("/v1/apps/alice/secrets", json={"values": {f"KEY{n}": "v"}})
            for n in range(9)
        ]

        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 6
        assert fly.world.apps["alice"].secrets.keys() == {"KEY0", "KEY1", "KEY2"}
        await asyncio.sleep(1)
        assert await allowed(fly, "POST", "/v1/apps/alice/secrets", calls=2) == 1


@pytest.mark.parametrize(("tells", "header"), [(False, None), (True, "1")])
async def test_retry_after_is_said_only_where_it_is_switched_on(tells: bool, header: str | None) -> None:
    async with laptop(rate_limits=True) as fly:
        await fly.client.patch(LIMITS, json={"tells_retry_after": tells})
        answers = [await fly.client.get("/v1/apps/alice") for _ in range(4)]

    assert answers[-1].status_code == 429
    assert answers[-1].headers.get("retry-after") == header


async def test_the_limits_are_switched_while_it_runs_and_never_hold_the_controls() -> None:
    async with laptop(rate_limits=True) as fly:
        assert await allowed(fly, "GET", "/v1/apps/alice") == 3
        assert (await fly.client.patch(LIMITS, json={"is_on": False})).json()["is_on"] is False
        assert await allowed(fly, "GET", "/v1/apps/alice") == 15
        await fly.client.patch(LIMITS, json={"is_on": True})
        assert await allowed(fly, "GET", "/v1/apps/alice") == 3
        assert await allowed(fly, "GET", "/_localfly/world") == 15


async def test_the_limits_follow_the_worlds_clock() -> None:
    """With the clock frozen no time passes for a bucket; advanced, it fills."""
    async with laptop(rate_limits=True) as fly:
        fly.world.clock.freeze()
        assert await allowed(fly, "GET", "/v1/apps/alice") == 3
        await asyncio.sleep(100)
        assert await allowed(fly, "GET", "/v1/apps/alice") == 0
        await fly.world.clock.advance(2)
        assert await allowed(fly, "GET", "/v1/apps/alice") == 2


def test_buckets_that_are_full_again_are_forgotten() -> None:
    """Of 100,000 apps that are asked for once each, one every millisecond, a few thousand are remembered."""
    now = 0.0
    limits = Limits(lambda: now)
    for number in range(100_000):
        now += 0.001
        limits.admit("GET /v1/apps/{app_name}", str(number))

    assert len(limits) < 5_000


async def test_a_fleet_of_ten_users_is_built_without_one_429() -> None:
    """The reconciler keeps below these very limits by itself, from nothing to ten users and a change."""
    names = [f"user{number}" for number in range(10)]
    async with laptop(orgs=("acme", "rivals"), rate_limits=True) as fly:
        on = Stage(fly, Line(fly.api), fleet_of(*names), pace=Rates())
        async with on.running() as run:
            await run.converged(within_s=600)
            run.save({name: str(text).replace("hello", "bye") for name, text in on.files.items()})
            await run.converged(within_s=600)

        assert len(fly.world.apps) == 10
        assert all(machine.config["env"]["GREETING"] == "bye" for machine in fly.world.machines.values())
        assert len(fly.journal.requests) > 100
        assert [entry for entry in fly.journal.requests if entry.status == 429] == []
