"""A generated secret, on a laptop's Fly: made once, whatever is lost, crashes or happens twice."""

import asyncio
from functools import partial

from localfly.faults import Fault
from tests.stage import FLEET, MACHINE, Stage, stage, user

GENERATED = """
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: SESSION_KEY}
spec: {from: {generate: {version: 1, length: 32}}}
"""
SETS = "POST /v1/apps/{app_name}/secrets"


def generating(on: Stage, *names: str, version: int = 1) -> None:
    """The documents of users whose apps carry a generated secret beside the common one."""
    on.files["fleet.yaml"] = FLEET + GENERATED.replace("version: 1", f"version: {version}")
    on.files["machine.yaml"] = MACHINE
    for name in names:
        secrets = "secrets: [OPENAI_API_KEY, SESSION_KEY]"
        on.files[f"users/{name}.yaml"] = user(name).replace("secrets: [OPENAI_API_KEY]", secrets)


def value(on: Stage, name: str) -> str:
    return on.app(name).secrets["SESSION_KEY"].value


async def test_it_is_made_once_for_each_app_and_stays_through_changes_and_restarts() -> None:
    """Every app has one of its own, as long as asked for; neither a new life nor a new image changes it."""
    async with stage("alice", "bob") as on:
        generating(on, "alice", "bob")
        async with on.running() as run:
            await run.converged()
            first = {name: value(on, name) for name in ("alice", "bob")}
        assert {len(each) for each in first.values()} == {32}
        assert first["alice"] != first["bob"]
        on.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        async with on.running() as run:
            await run.converged()
            await on.destroy("alice")
            await run.until(lambda: list(on.app("alice").living()))
            await run.converged()
        assert {name: value(on, name) for name in ("alice", "bob")} == first
        assert (await on.plan()).plan.action_count == 0


async def test_a_lost_answer_makes_no_second_value() -> None:
    """The call had its effect and its answer was lost: what was set then is what stays."""
    async with stage("alice") as on:
        generating(on, "alice")
        on.fly.troubles.faults.add(Fault("lost", operation=SETS, after_effect=True, count=1))
        async with on.running() as run:
            await run.until(lambda: "acme-alice" in on.fly.world.apps and on.app("alice").secrets)
            first = value(on, "alice")
            await run.converged()
        assert value(on, "alice") == first
        assert on.app("alice").secrets_version <= 2


async def test_a_raised_version_makes_another_value_once() -> None:
    """A new value for each app, and the plan afterwards is empty."""
    async with stage("alice") as on:
        generating(on, "alice")
        async with on.running() as run:
            await run.converged()
            first = value(on, "alice")
            generating(on, "alice", version=2)
            run.save(on.files)
            await run.until(lambda: value(on, "alice") != first)
            await run.converged()
        second = value(on, "alice")
        async with on.running() as run:
            await run.converged()
        assert value(on, "alice") == second
        assert "RECONCILER_MINTED_2_SESSION_KEY" in on.app("alice").secrets
        assert "RECONCILER_MINTED_1_SESSION_KEY" not in on.app("alice").secrets
        assert (await on.plan()).plan.action_count == 0


async def test_a_value_that_somebody_removed_is_held_and_the_machine_runs_on() -> None:
    """Nothing is restarted without it; a raised version ends the hold."""
    async with stage("alice") as on:
        generating(on, "alice")
        async with on.running() as run:
            await run.converged()
        version = on.machine("alice").instance_id
        await on.by_hand("POST", "/apps/acme-alice/secrets", {"values": {"SESSION_KEY": None}})
        on.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        async with on.running() as run:
            await run.until(lambda: run.condition("alice", "Stalled") == ("True", "GeneratedSecretLost"))
            await asyncio.sleep(300)
            assert on.machine("alice").instance_id == version
            generating(on, "alice", version=2)
            on.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
            run.save(on.files)
            await run.until(lambda: "SESSION_KEY" in on.app("alice").secrets)
            await run.converged()
        assert (await on.plan()).plan.action_count == 0


async def test_two_reconcilers_at_once_leave_one_value_that_the_machine_carries() -> None:
    """Both begin from nothing; the label that goes with the value tells the slower one that it is made."""
    async with stage("alice") as on:
        generating(on, "alice")
        async with on.running() as one, on.running() as other:
            await one.converged(within_s=600)
            await other.converged(within_s=600)
            first = value(on, "alice")
            await asyncio.sleep(120)
        assert value(on, "alice") == first
        assert on.machine("alice").secrets["SESSION_KEY"].value == first
        assert on.shape == {"acme-alice": (1, 1)}


async def test_a_label_alone_restarts_nothing_and_is_set_once() -> None:
    """protect: true and false come and go while the machine runs on."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        version = on.machine("alice").instance_id
        for protect, is_set in (("true", True), ("false", False)):
            text = user("alice").replace("spec:\n", f"spec:\n  protect: {protect}\n")
            on.files["users/alice.yaml"] = text
            run.save(on.files)
            await run.until(partial(_is_protected, on, is_set))
            await run.converged()
            counted = on.app("alice").secrets_version
            await asyncio.sleep(120)
            assert on.app("alice").secrets_version == counted
            assert (await on.plan()).plan.action_count == 0
        assert on.machine("alice").instance_id == version


def _is_protected(on: Stage, wanted: bool) -> bool:
    return ("RECONCILER_PROTECTED" in on.app("alice").secrets) is wanted
