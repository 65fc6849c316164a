"""Budgets, approvals and stalled changes, seen from the world: what was made, what waited, and until when."""

import asyncio
from typing import Any

import httpx

from reconciler.core.spec import Unreadable
from reconciler.ledger import in_memory
from tests.applying import Applier
from tests.stage import FLEET, MACHINE, Running, Stage, fleet_of, stage, user
from tests.virtual_time import VirtualTimeLoop

TIGHT = "budget: {create: {max_count: 2}, restart: {max_count: 2}, delete: {max_count: 1}}"
HOUR_S = 3600


def limited(files: dict[str, str | Unreadable]) -> None:
    """Two creates, two restarts and one deletion an hour."""
    files["fleet.yaml"] = FLEET.replace("drift: correct}", f"drift: correct, {TIGHT}}}")


def pending(run: Running) -> list[tuple[str, str, int]]:
    """Batch, reason and size of everything that waits for approval."""
    found = run.stage.ledger.pending(wall())
    return [(each.batch.id, each.batch.reason, len(each.batch.items)) for each in found]


def approve(run: Running) -> None:
    """Somebody approves all that is held."""
    for each in run.stage.ledger.pending(wall()):
        run.stage.ledger.approve(each.batch.items, wall())


def wall() -> float:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.wall()


def images(on: Stage) -> list[str]:
    return [str(each.config["image"]) for app in on.shape for each in on.fly.world.apps[app].living()]


async def test_the_first_apply_of_an_empty_fleet_waits_for_a_yes_and_says_so() -> None:
    async with stage("alice", "bob") as on, on.running(yes=False) as run:
        await run.until(lambda: run.condition("alice", "Stalled") == ("True", "FirstApply"))
        await asyncio.sleep(2 * HOUR_S)
        assert on.shape == {}
        assert [(reason, size) for _, reason, size in pending(run)] == [("FirstApply", 2)]
        approve(run)
        await run.converged(within_s=60)
        assert on.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1)}
        assert pending(run) == []


async def test_more_creates_than_the_budget_are_all_held_until_somebody_approves_just_these() -> None:
    async with stage("alice") as on:
        limited(on.files)
        async with on.running() as run:
            await run.converged()
            many = fleet_of("alice", "b1", "b2", "b3")
            run.save({**many, "fleet.yaml": on.files["fleet.yaml"]})
            await run.until(lambda: run.condition("b1", "Stalled") == ("True", "OverBudget"))
            await asyncio.sleep(2 * HOUR_S)
            assert list(on.shape) == ["acme-alice"]
            approve(run)
            run.save({**on.files, **{f"users/{name}.yaml": user(name) for name in ("b4", "b5", "b6")}})
            await run.until(lambda: "acme-b3" in on.shape and run.condition("b6", "Stalled")[0] == "True")
            assert sorted(on.shape) == ["acme-alice", "acme-b1", "acme-b2", "acme-b3"]


async def test_restarts_are_paced_over_the_hours_and_all_are_done_in_the_end() -> None:
    names = [f"u{number}" for number in range(6)]
    async with stage(*names) as on:
        limited(on.files)
        async with on.running() as run:
            await run.converged()
            await asyncio.sleep(HOUR_S)
            run.save({**on.files, "machine.yaml": MACHINE.replace("studio:1", "studio:2")})
            await asyncio.sleep(120)
            assert sorted(images(on)).count("registry.fly.io/studio:2") == 2
            await asyncio.sleep(HOUR_S / 2 + 60)
            assert 2 <= images(on).count("registry.fly.io/studio:2") <= 4
            await run.converged(within_s=3 * HOUR_S)
            assert set(images(on)) == {"registry.fly.io/studio:2"}


async def test_a_lost_record_begins_nothing_and_goes_on_by_itself_as_budgets_refill() -> None:
    async with stage("alice", "bob") as on:
        limited(on.files)
        async with on.running() as run:
            await run.converged()
        on.ledger = in_memory()
        on.files["users/carol.yaml"] = user("carol")
        on.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        async with on.running() as run:
            await asyncio.sleep(HOUR_S / 2 - 120)
            assert "acme-carol" not in on.shape
            assert set(images(on)) == {"registry.fly.io/studio:1"}
            await run.converged(within_s=2 * HOUR_S)
            assert "acme-carol" in on.shape


async def test_a_fleet_that_looks_empty_later_is_not_made_again_without_a_yes() -> None:
    """The answer to the first apply was about the fleet as it was found first."""
    async with stage("alice", "bob") as on, on.running() as run:
        await run.converged()
        await asyncio.sleep(HOUR_S + 60)  # within the hour whoever was begun with is finished
        for name in ("alice", "bob"):
            await on.by_hand("DELETE", f"/apps/acme-{name}?force=true")
        await run.until(lambda: run.condition("alice", "Stalled") == ("True", "FirstApply"))
        await asyncio.sleep(600)
        assert on.shape == {}


async def test_a_change_that_fails_for_several_users_stops_for_all_and_another_goes_on() -> None:
    """Fly refuses the new image three times: nobody else is tried, and a new user still comes up."""
    names = [f"u{number}" for number in range(8)]
    async with stage(*names) as on, on.running() as run:
        await run.converged()
        refused: list[str] = []

        def refuse(request: httpx.Request) -> httpx.Response | None:
            if b"studio:2" not in request.content:
                return None
            refused.append(request.url.path)
            return httpx.Response(400, json={"error": "invalid_argument: there is no such image"})

        on.line.refuse = refuse
        run.save({**on.files, "machine.yaml": MACHINE.replace("studio:1", "studio:2")})
        await run.until(lambda: run.condition("u7", "Stalled") == ("True", "Stalled"), within_s=900)
        await asyncio.sleep(HOUR_S)
        assert set(images(on)) == {"registry.fly.io/studio:1"}
        assert len(refused) <= 8  # whoever had begun when the third one failed
        await on.destroy("u1")
        on.line.refuse = lambda _request: None
        run.save({**on.files, "machine.yaml": MACHINE.replace("studio:1", "studio:3")})
        await run.converged(within_s=HOUR_S)
        assert set(images(on)) == {"registry.fly.io/studio:3"}


async def test_apply_tells_of_whom_a_stalled_change_did_not_reach() -> None:
    """Fly refuses the new image: whoever was tried failed, the others are told as held, none as done."""
    names = [f"u{number}" for number in range(8)]
    async with stage(*names) as on:
        applier = Applier(on)
        await applier.apply()

        def refuse(request: httpx.Request) -> httpx.Response | None:
            if b"studio:2" not in request.content:
                return None
            return httpx.Response(400, json={"error": "invalid_argument: there is no such image"})

        on.line.refuse = refuse
        on.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        outcome = await applier.apply()
        assert outcome.held
        assert len(outcome.failures) + len(outcome.held) == len(names)


async def test_a_user_whose_checks_fail_is_not_ready_until_they_pass_and_is_not_restarted_meanwhile() -> None:
    """Looked at again with growing pauses, however often it failed; well again, it is ready by itself."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        checked = MACHINE.replace(
            "    services:", "    checks: {alive: {type: tcp, port: 8080}}\n    services:"
        )
        run.save({**on.files, "machine.yaml": checked})
        await run.until(lambda: run.condition("alice", "Ready")[1] == "ChecksFailing")
        version, looks = on.machine("alice").instance_id, 0

        def count(request: httpx.Request) -> None:
            nonlocal looks
            looks += request.url.path.endswith(on.machine("alice").id)

        on.line.refuse = count
        for _ in range(180):
            assert run.condition("alice", "Ready")[0] != "True"
            await asyncio.sleep(20)
        assert on.machine("alice").instance_id == version
        assert looks < HOUR_S / 4
        on.line.distort = passing
        await run.until(lambda: run.condition("alice", "Ready")[0] == "True", within_s=HOUR_S)
        on.line.distort = lambda _request, _answer, body: body
        await asyncio.sleep(HOUR_S)
        assert run.condition("alice", "Ready")[0] == "True"  # verified is verified
        assert on.machine("alice").instance_id == version


def passing(_request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    """Every check of a machine that is read passes."""
    for check in body.get("checks") or () if isinstance(body, dict) else ():
        check["status"] = "passing"
    return body
