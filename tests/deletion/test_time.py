"""Restarts, kills, clocks and lost records during a deletion: no proof is inherited or forgotten."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from localfly.faults import Fault
from reconciler.ledger import in_memory
from tests.deletion.scene import (
    FLEET_YAML,
    GRACE_S,
    HOUR_S,
    NAMES,
    SOON_S,
    changes,
    documents,
    ground,
    restarted,
    scene,
    served,
)
from tests.stage import Stage, user

SLOW = FLEET_YAML.replace("deletion_grace: 1m", "deletion_grace: 30m")


@pytest.mark.parametrize("ahead_s", [24 * HOUR_S, 1800.0, -1800.0, -24 * HOUR_S], ids=str)
async def test_the_wall_clock_shortens_no_grace(ahead_s: float) -> None:
    """It jumps by a day or less, either way: absence is counted by another clock."""
    async with scene({**documents(*NAMES), "fleet.yaml": SLOW}) as at:
        before = at.lives
        at.save(users__alice=None)
        await asyncio.sleep(60)
        at.on.skew_s = ahead_s
        await asyncio.sleep(1500)
        assert at.lives == before
        assert at.run.condition("alice", "Stalled") == ("True", "Grace")


async def test_a_restart_again_and_again_never_lets_a_grace_pass() -> None:
    async with ground({**documents(*NAMES), "fleet.yaml": SLOW}) as on:
        async with served(on) as at:
            before = at.lives
            at.save(users__alice=None)
            await asyncio.sleep(1500)
        for _ in range(4):
            async with on.running():
                await asyncio.sleep(1500)
        assert at.lives == before


async def test_doubt_about_the_source_counts_the_absence_anew() -> None:
    """Twenty minutes without a Fleet document are no absence, even when that comes back before the others."""
    async with scene({**documents(*NAMES), "fleet.yaml": SLOW}) as at:
        before = at.lives
        at.save(users__alice=None)
        await asyncio.sleep(1200)
        at.save(fleet=None)
        await asyncio.sleep(1200)
        at.save(fleet=SLOW)
        await asyncio.sleep(1200)
        assert at.lives == before
        assert at.run.condition("alice", "Stalled") == ("True", "Grace")


def dies_at(on: Stage, word: str) -> Callable[[], bool]:
    """Nothing of the process gets through from the first call on that is such a request; tells whether."""
    dead: list[str] = []

    def cut(request: httpx.Request) -> httpx.Response | None:
        if dead or f"{request.method} {request.url.path}".startswith(word):
            dead.append(request.url.path)
            raise httpx.ConnectError("the process is gone", request=request)
        return None

    on.line.refuse = cut
    return lambda: bool(dead)


def volume(on: Stage) -> str:
    (found,) = [each.id for each in on.app("alice").volumes.values() if not each.deleted_at]
    return found


MOMENTS = {
    "before-the-route": "PATCH /v1/apps/acme-alice",
    "before-the-snapshot": "POST /v1/apps/acme-alice/volumes",
    "after-the-snapshot": "POST /v1/apps/acme-alice/machines",
    "before-the-machine": "DELETE /v1/apps/acme-alice/machines",
    "between-machine-and-volume": "DELETE /v1/apps/acme-alice/volumes",
}


@pytest.mark.parametrize("word", MOMENTS.values(), ids=MOMENTS)
async def test_killed_on_the_way_a_document_that_comes_back_finds_its_data(word: str) -> None:
    """Whoever starts next heals the app, on the very volume."""
    async with ground() as on:
        async with served(on) as at:
            kept = volume(on)
            at.save(users__alice=None)
            is_dead = dies_at(on, word)
            await at.run.until(is_dead, within_s=SOON_S)
        on.line.refuse = lambda _request: None
        on.files["users/alice.yaml"] = user("alice")
        async with restarted(on) as again:
            await again.run.converged(within_s=SOON_S)
            await asyncio.sleep(HOUR_S / 2)
            assert on.shape == {f"acme-{name}": (1, 1) for name in NAMES}
            assert volume(on) == kept
            assert again.route("alice")


@pytest.mark.parametrize("word", MOMENTS.values(), ids=MOMENTS)
async def test_killed_on_the_way_the_next_one_counts_anew_and_ends_it(word: str) -> None:
    """Nothing more goes before another grace, and then all of it."""
    async with ground() as on:
        async with served(on) as at:
            at.save(users__alice=None)
            await at.run.until(dies_at(on, word), within_s=SOON_S)
        on.line.refuse = lambda _request: None
        on.fly.journal.requests.clear()
        async with restarted(on) as again:
            await asyncio.sleep(GRACE_S - 5)
            assert changes(on) == []
            await again.run.until(lambda: "acme-alice" not in on.shape, within_s=SOON_S)
        assert on.shape == {f"acme-{name}": (1, 1) for name in NAMES[1:]}


async def snapshots_fail(on: Stage) -> None:
    on.fly.troubles.faults.add(Fault("internal", operation="POST /v1/apps/*/volumes/*/snapshots"))


async def snapshots_never_finish(on: Stage) -> None:
    on.line.distort = lambda request, _answer, body: (
        [{**each, "status": "running"} for each in body]
        if request.method == "GET" and request.url.path.endswith("/snapshots")
        else body
    )


async def snapshots_are_old(on: Stage) -> None:
    on.line.distort = lambda request, _answer, body: (
        [{**each, "created_at": "2020-01-01T00:00:00Z"} for each in body]
        if request.method == "GET" and request.url.path.endswith("/snapshots")
        else body
    )


@pytest.mark.parametrize("happens", [snapshots_fail, snapshots_never_finish, snapshots_are_old])
async def test_without_a_finished_new_snapshot_machine_and_volume_stay(
    happens: Callable[[Stage], Awaitable[None]],
) -> None:
    async with scene() as at:
        before = at.lives
        await happens(at.on)
        at.save(users__alice=None)
        await asyncio.sleep(HOUR_S / 2)
        assert at.lives == before


async def test_an_approval_is_for_one_volume_and_for_an_hour() -> None:
    """Neither another volume's nor a lapsed one lets anything go."""
    async with ground(approves=False) as on, served(on) as at:
        before = at.lives
        at.save(users__alice=None)
        await at.run.until(
            lambda: at.run.condition("alice", "Stalled")[1] == "DataLossNotApproved", within_s=SOON_S
        )
        on.line.is_cut = True
        for each in on.ledger.pending(on.fly.world.clock()):
            on.ledger.approve(each.batch.items, on.fly.world.clock())
        await asyncio.sleep(HOUR_S + 60)
        on.line.is_cut = False
        await asyncio.sleep(HOUR_S)
        assert at.lives == before


async def test_without_a_record_nothing_is_deleted_that_was_approved_before() -> None:
    """The state folder is gone: approvals are asked for again."""
    async with ground(approves=False) as on:
        async with served(on) as at:
            before = at.lives
            at.save(users__alice=None)
            await asyncio.sleep(SOON_S)
            for each in on.ledger.pending(on.fly.world.clock()):
                on.ledger.approve(each.batch.items, on.fly.world.clock())
        on.ledger = in_memory()
        async with restarted(on) as again:
            await asyncio.sleep(HOUR_S)
            assert again.lives == before
            assert again.run.condition("alice", "Stalled") == ("True", "DataLossNotApproved")


async def test_every_user_or_half_of_them_at_once_waits_for_somebody() -> None:
    """Nobody is asked for a volume here: the number alone holds them."""
    slim = {
        path: str(text).replace(", mount: {name: data, path: /data, size_gb: 1}", "")
        for path, text in documents("alice", "bob", "carol", "dave").items()
    }
    slim["fleet.yaml"] = FLEET_YAML.replace("max_count: 60", "max_count: 1")
    async with ground(slim, approves=False) as on, served(on) as at:
        await asyncio.sleep(HOUR_S)
        before = at.lives
        at.save(users__alice=None, users__bob=None)
        await asyncio.sleep(HOUR_S)
        assert at.run.condition("alice", "Stalled") == ("True", "OverBudget")
        at.save(users__carol=None, users__dave=None)
        await asyncio.sleep(HOUR_S)
        assert at.run.condition("alice", "Stalled") == ("True", "EveryUser")
        assert at.lives == before
