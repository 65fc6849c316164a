"""A saved plan carried out against a laptop's Fly: what was seen is done, what moved since is not."""

import asyncio
from pathlib import Path

import pytest

from reconciler.config import ConfigError
from reconciler.resumption import check
from tests.applying import Applier, Outcome
from tests.stage import MACHINE, stage, user


async def settled(applier: Applier) -> None:
    """Everything as the documents say."""
    assert await applier.apply(await applier.save()) == Outcome({}, 0, ())
    assert not (await applier.plan()).plan.action_count


async def test_a_plan_that_nothing_moved_under_is_done_whole_and_leaves_nothing_to_plan() -> None:
    """New users come up, with their marks, and the next plan is empty."""
    async with stage("alice", "bob") as scene:
        applier = Applier(scene)
        await settled(applier)
        assert scene.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1)}


async def test_a_machine_that_somebody_changed_since_is_refused_and_the_others_are_done() -> None:
    """alice's machine got a new version by hand after the plan; bob's gets his new image."""
    async with stage("alice", "bob") as scene:
        applier = Applier(scene)
        await settled(applier)
        scene.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        plan = await applier.save()
        machine = scene.machine("alice")
        config = {**machine.config, "image": "registry.fly.io/studio:9"}
        await scene.by_hand("POST", f"/apps/acme-alice/machines/{machine.id}", {"config": config})
        await asyncio.sleep(30)  # Fly is done with it

        outcome = await applier.apply(plan)
        assert outcome == Outcome({"alice": {"machine:web-0", "secrets"}}, 0, ())
        assert scene.machine("alice").config["image"] == "registry.fly.io/studio:9"
        assert scene.machine("bob").config["image"] == "registry.fly.io/studio:2"


async def test_secrets_stay_as_they_are_when_the_machine_they_are_for_is_refused() -> None:
    """alice's machine moved after the plan: her new secret is not set, and both are told as refused."""
    async with stage("alice") as scene:
        applier = Applier(scene)
        await settled(applier)
        scene.environ["FLEET_SECRET_OPENAI_API_KEY"] = "another"
        plan = await applier.save()
        assert [one.key for one in plan.apps[0].actions] == ["secrets", "machine:web-0"]
        machine, before = scene.machine("alice"), dict(scene.app("alice").secrets)
        config = {**machine.config, "image": "registry.fly.io/studio:9"}
        await scene.by_hand("POST", f"/apps/acme-alice/machines/{machine.id}", {"config": config})
        await asyncio.sleep(30)  # Fly is done with it

        assert await applier.apply(plan) == Outcome({"alice": {"machine:web-0", "secrets"}}, 0, ())
        assert scene.app("alice").secrets == before


async def test_documents_that_were_edited_since_are_refused_for_whom_they_concern() -> None:
    """The plan said studio:2; the template says studio:3 now, so nobody gets either."""
    async with stage("alice", "bob") as scene:
        applier = Applier(scene)
        await settled(applier)
        scene.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        plan = await applier.save()
        scene.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:3")
        outcome = await applier.apply(plan)
        assert outcome.refused == {name: {"machine:web-0", "secrets"} for name in ("alice", "bob")}
        assert scene.machine("bob").config["image"] == "registry.fly.io/studio:1"


async def test_a_user_who_came_since_is_left_for_a_new_plan() -> None:
    """Nobody saw carol in the plan, so nothing of hers is made."""
    async with stage("alice") as scene:
        applier = Applier(scene)
        plan = await applier.save()
        scene.files["users/carol.yaml"] = user("carol")
        assert await applier.apply(plan) == Outcome({}, 0, ())
        assert scene.shape == {"acme-alice": (1, 1)}


async def test_a_plan_carried_out_twice_does_nothing_the_second_time() -> None:
    """Each action is known to be done; none is refused, none repeated."""
    async with stage("alice") as scene:
        applier = Applier(scene)
        plan = await applier.save()
        await applier.apply(plan)
        again = await applier.apply(plan)
        assert again.refused == {}
        assert again.already == len(plan.apps[0].actions)
        assert scene.shape == {"acme-alice": (1, 1)}


async def test_a_document_that_is_gone_since_refuses_its_user() -> None:
    """bob's document was removed: what the plan wanted for him is not done."""
    async with stage("alice", "bob") as scene:
        applier = Applier(scene)
        plan = await applier.save()
        del scene.files["users/bob.yaml"]
        outcome = await applier.apply(plan)
        assert outcome.refused.keys() == {"bob"}
        assert scene.shape == {"acme-alice": (1, 1)}


async def test_a_secret_with_another_value_since_is_not_sent() -> None:
    """The plan's digest covers the value; another one needs another plan."""
    async with stage("alice") as scene:
        applier = Applier(scene)
        plan = await applier.save()
        scene.environ["FLEET_SECRET_OPENAI_API_KEY"] = "another"
        outcome = await applier.apply(plan)
        assert "secrets" in outcome.refused["alice"]
        assert "machine:web-0" in outcome.refused["alice"]


async def test_what_is_held_beside_the_saved_actions_holds_none_of_them() -> None:
    """A volume cannot shrink, as the plan said; the other machine's new image was saved, and comes."""
    async with stage("alice") as scene:
        applier = Applier(scene)
        small = user("alice").replace("size_gb: 1}}]", "size_gb: 1}}, {name: aux, template: studio}]")
        scene.files["users/alice.yaml"] = small.replace("size_gb: 1", "size_gb: 2")
        await settled(applier)
        scene.files["users/alice.yaml"] = small
        scene.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        found = (await applier.plan()).plan
        assert found.action_count
        assert found.hold_count
        assert (await applier.apply(await applier.save())).held == ()
        images = sorted(machine.config["image"] for machine in scene.app("alice").living())
        assert images == ["registry.fly.io/studio:1", "registry.fly.io/studio:2"]


async def test_a_plan_for_another_fleet_is_one_line() -> None:
    """Installation and organisation are in the file."""
    async with stage("alice") as scene:
        applier = Applier(scene)
        plan = await applier.save()
        fleet = scene.files["fleet.yaml"]
        assert isinstance(fleet, str)
        scene.files["fleet.yaml"] = fleet.replace("installation: teststage", "installation: otherone")
        with pytest.raises(ConfigError, match=r"fleet\.plan: it is a plan for installation teststage, and"):
            check(plan, scene.intent(), Path("fleet.plan"))
