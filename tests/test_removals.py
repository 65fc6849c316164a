"""Apps whose documents are gone, by the loop: when they are deleted, in which order, and what keeps them."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from reconciler.core.spec import Unreadable
from router.table import Route, Unavailable
from tests.stage import Running, Stage, fleet_of, stage, user
from tests.test_guardrails import approve, wall

GRACE_S = 600
HOUR_S = 3600
ALICE = "alice.example.com"


def slim(*names: str) -> dict[str, str | Unreadable]:
    """Users without volumes, whose deletion loses nothing but the machine."""
    files = fleet_of(*names)
    for name in names:
        files[f"users/{name}.yaml"] = user(name).replace(
            "mount: {name: data, path: /data, size_gb: 1}", "count: 1"
        )
    return files


def asked(on: Stage) -> list[str]:
    """The calls since the journal was cleared that change or destroy something, in order."""
    calls = [f"{each.method} {each.path.partition('?')[0]}" for each in on.fly.journal.requests]
    return [call for call in calls if call.startswith(("POST", "PATCH", "DELETE")) and "lease" not in call]


async def test_an_app_without_a_document_is_deleted_after_its_grace_route_first_app_last() -> None:
    async with stage() as on:
        on.files = slim("alice", "bob", "carol")
        async with on.running() as run:
            await run.converged()
            await asyncio.sleep(HOUR_S)
            machine = on.machine("alice")
            on.fly.journal.requests.clear()
            run.save(slim("bob", "carol"))
            await asyncio.sleep(GRACE_S - 30)
            assert run.entry(ALICE) == Route("acme-alice", {"web-0": machine.id})
            assert run.condition("alice", "Stalled") == ("True", "Grace")
            assert asked(on) == []
            await run.until(lambda: not isinstance(run.entry(ALICE), Route), within_s=90)
            assert isinstance(run.entry(ALICE), Unavailable)
            assert list(on.app("alice").living())
            await asyncio.sleep(9)
            assert list(on.app("alice").living())  # its route must be forgotten first
            await run.until(lambda: "acme-alice" not in on.shape, within_s=120)
            base = f"/v1/apps/acme-alice/machines/{machine.id}"
            assert asked(on) == [
                f"PATCH {base}/metadata",
                f"POST {base}/stop",
                f"DELETE {base}",
                "DELETE /v1/apps/acme-alice",
            ]
            await asyncio.sleep(300)
            assert on.shape == {"acme-bob": (1, 0), "acme-carol": (1, 0)}
            assert run.entry(ALICE) is None


async def test_a_volume_goes_only_when_its_loss_was_approved_and_after_a_snapshot() -> None:
    async with stage("alice", "bob", "carol") as on, on.running() as run:
        await run.converged()
        await asyncio.sleep(HOUR_S)
        run.save(fleet_of("bob", "carol"))
        await asyncio.sleep(GRACE_S + HOUR_S)
        assert run.condition("alice", "Stalled") == ("True", "DataLossNotApproved")
        assert isinstance(run.entry(ALICE), Route)
        assert on.shape["acme-alice"] == (1, 1)
        (volume,) = on.app("alice").volumes.values()
        on.fly.journal.requests.clear()
        approve(run)
        await run.until(lambda: "acme-alice" not in on.shape, within_s=600)
        base = f"/v1/apps/acme-alice/volumes/{volume.id}"
        calls = asked(on)
        assert calls.index(f"POST {base}/snapshots") < calls.index(f"DELETE {base}") < len(calls) - 1
        assert on.shape == {"acme-bob": (1, 1), "acme-carol": (1, 1)}


async def test_a_plan_lists_what_keeps_an_app_whose_document_is_gone() -> None:
    """Whoever reads the plan sees each proof that is missing, and which batch to approve for the volume."""
    async with stage("alice", "bob") as on:
        async with on.running() as run:
            await run.converged()
        del on.files["users/alice.yaml"]
        found = await on.plan()
        (kept,) = found.plan.apps
        (batch,) = found.judgement.batches
        assert kept.actions == ()
        assert [hold.reason for hold in kept.holds] == ["Grace", "DataLossNotApproved"]
        assert "only `reconciler run` counts that" in kept.holds[0].message
        assert kept.holds[1].message.endswith(f"reconciler approve {batch.id}")
        assert found.plan.unclaimed == ("alice",)


SET = """
apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: everybody}
spec:
  source: {rows: [ROWS]}
  template:
    metadata: {name: "{name}"}
    spec:
      hosts: ["{name}.example.com"]
      machines: [{name: web, template: studio}]
"""


def set_of(*names: str) -> dict[str, str | Unreadable]:
    """The same users as rows of one list."""
    return {**fleet_of(), "set.yaml": SET.replace("ROWS", ", ".join(f"{{name: {name}}}" for name in names))}


async def test_a_list_that_lost_many_users_deletes_nobody_until_somebody_approves_just_these() -> None:
    names = [f"u{number}" for number in range(8)]
    async with stage() as on:
        on.files = set_of(*names)
        async with on.running() as run:
            await run.converged()
            await asyncio.sleep(HOUR_S)
            run.save(set_of(*names[:5]))
            await asyncio.sleep(2 * HOUR_S)
            assert len(on.shape) == 8
            assert isinstance(run.entry("u7.example.com"), Route)
            (held,) = on.ledger.pending(wall())
            assert (held.batch.reason, len(held.batch.items)) == ("SetShrunk", 3)
            approve(run)
            await asyncio.sleep(GRACE_S + 300)
            assert sorted(on.shape) == [f"acme-{name}" for name in names[:5]]


async def incomplete(run: Running) -> None:
    run.save({**run.stage.files, "torn.yaml": Unreadable("permission denied")})


async def stray(run: Running) -> None:
    body = {"config": {"image": "registry.fly.io/stray:1"}, "name": "stray", "region": "iad"}
    await run.stage.by_hand("POST", "/apps/acme-alice/machines", body)


async def silent(run: Running) -> None:
    def without_iad(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
        if request.url.path == "/v1/orgs/acme/machines":
            return {**body, "error_regions": ["iad"]}
        return body

    run.stage.line.distort = without_iad


async def no_fleet(run: Running) -> None:
    run.save({name: text for name, text in run.stage.files.items() if name != "fleet.yaml"})


async def paused(run: Running) -> None:
    names = {"values": {f"RECONCILER_PAUSED_UNTIL_{int(wall()) + 10 * HOUR_S}": "1"}}
    await run.stage.by_hand("POST", "/apps/acme-alice/secrets", names)


async def protected(run: Running) -> None:
    await run.stage.by_hand("POST", "/apps/acme-alice/secrets", {"values": {"RECONCILER_PROTECTED": "1"}})


async def cut_off(run: Running) -> None:
    run.stage.line.is_cut = True


@pytest.mark.parametrize(
    "happens",
    [incomplete, stray, silent, no_fleet, paused, protected, cut_off],
    ids=lambda each: each.__name__,
)
async def test_it_stays_whole_and_routed_when(happens: Callable[[Running], Any]) -> None:
    """One proof is missing, whichever: nothing of the app is touched for hours."""
    async with stage() as on:
        on.files = slim("alice", "bob", "carol")
        async with on.running() as run:
            await run.converged()
            await asyncio.sleep(HOUR_S)
            machine = on.machine("alice")
            run.save(slim("bob", "carol"))
            await asyncio.sleep(60)
            await happens(run)
            await asyncio.sleep(2 * HOUR_S)
            assert machine.state == "started"
            assert "reconciler_withdrawn" not in machine.config["metadata"]
            entry = run.entry(ALICE)
            assert isinstance(entry, Route)
            assert entry.machines["web-0"] == machine.id


async def test_a_document_that_comes_back_in_time_keeps_its_app_as_it_is() -> None:
    async with stage() as on:
        on.files = slim("alice", "bob", "carol")
        async with on.running() as run:
            await run.converged()
            await asyncio.sleep(HOUR_S)
            machine = on.machine("alice")
            version = machine.instance_id
            run.save(slim("bob", "carol"))
            await asyncio.sleep(GRACE_S - 60)
            run.save(slim("alice", "bob", "carol"))
            await asyncio.sleep(300)
            run.save(slim("bob", "carol"))
            await asyncio.sleep(GRACE_S - 60)  # counted anew
            assert (machine.state, machine.instance_id) == ("started", version)


async def test_a_restart_counts_the_absence_anew() -> None:
    async with stage() as on:
        on.files = slim("alice", "bob", "carol")
        async with on.running() as run:
            await run.converged()
            await asyncio.sleep(HOUR_S)
            run.save(slim("bob", "carol"))
            await asyncio.sleep(GRACE_S - 60)
        async with on.running() as run:
            await asyncio.sleep(GRACE_S - 60)
            assert on.machine("alice").state == "started"
            await run.until(lambda: "acme-alice" not in on.shape, within_s=600)


async def test_more_deletions_than_the_budget_are_all_held_and_so_is_the_deletion_of_everybody() -> None:
    names = [f"u{number}" for number in range(12)]
    async with stage() as on:
        on.files = slim(*names)
        async with on.running() as run:
            await run.converged()
            await asyncio.sleep(HOUR_S)
            run.save(slim(*names[2:]))
            await asyncio.sleep(GRACE_S + HOUR_S)
            assert len(on.shape) == 12
            assert run.condition("u0", "Stalled") == ("True", "OverBudget")
            run.save(slim())
            await asyncio.sleep(GRACE_S + HOUR_S)
            assert len(on.shape) == 12
            assert run.condition("u5", "Stalled") == ("True", "EveryUser")
            approve(run)
            await run.until(lambda: not on.shape, within_s=900)
