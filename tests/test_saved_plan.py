"""A saved plan carried out against a laptop's Fly: what was seen is done, what moved since is not."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.config import ConfigError
from reconciler.core.keys import RootKey
from reconciler.core.saved_plan import SavedPlan
from reconciler.resumption import Resumption, check, saved
from reconciler.rollout import rollout
from reconciler.survey import survey
from tests.stage import MACHINE, ROOT_KEY, Stage, stage, user

KEY = RootKey(ROOT_KEY)


class Unwatched:
    def begun(self, name: str) -> None: ...

    def ended(self, name: str, failure: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    refused: dict[str, set[str]]  # keys by user
    already: int
    failures: tuple[str, ...]


async def save(scene: Stage) -> SavedPlan:
    """What `plan --out` would write now."""
    async with scene.client() as fly:
        intent = scene.intent()
        return saved(await survey(fly, intent), intent, KEY, Path("specs"))


async def carry_out(scene: Stage, plan: SavedPlan) -> Outcome:
    """What `apply FILE` would do now."""
    async with scene.client() as fly:
        intent = scene.intent()
        resumption = Resumption(plan, KEY)
        found = resumption.begin(await survey(fly, intent), intent.apps)
        failures = await rollout(
            fly,
            intent,
            found,
            describe="teststage/test",
            workers=4,
            watcher=Unwatched(),
            choose=resumption.choose,
        )
        refused: dict[str, set[str]] = {}
        for one in resumption.refused:
            refused.setdefault(one.name, set()).add(one.key)
        return Outcome(refused, resumption.already, tuple(str(failure) for failure in failures))


async def settled(scene: Stage) -> None:
    """Everything as the documents say."""
    outcome = await carry_out(scene, await save(scene))
    assert outcome == Outcome({}, 0, ())
    assert not (await scene.plan()).plan.action_count


async def test_a_plan_that_nothing_moved_under_is_done_whole_and_leaves_nothing_to_plan() -> None:
    """New users come up, with their marks, and the next plan is empty."""
    async with stage("alice", "bob") as scene:
        await settled(scene)
        assert scene.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1)}


async def test_a_machine_that_somebody_changed_since_is_refused_and_the_others_are_done() -> None:
    """alice's machine got a new version by hand after the plan; bob's gets his new image."""
    async with stage("alice", "bob") as scene:
        await settled(scene)
        scene.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        plan = await save(scene)
        machine = scene.machine("alice")
        config = {**machine.config, "image": "registry.fly.io/studio:9"}
        await scene.by_hand("POST", f"/apps/acme-alice/machines/{machine.id}", {"config": config})
        await asyncio.sleep(30)  # Fly is done with it

        outcome = await carry_out(scene, plan)
        assert outcome == Outcome({"alice": {"machine:web-0"}}, 0, ())
        assert scene.machine("alice").config["image"] == "registry.fly.io/studio:9"
        assert scene.machine("bob").config["image"] == "registry.fly.io/studio:2"


async def test_documents_that_were_edited_since_are_refused_for_whom_they_concern() -> None:
    """The plan said studio:2; the template says studio:3 now, so nobody gets either."""
    async with stage("alice", "bob") as scene:
        await settled(scene)
        scene.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:2")
        plan = await save(scene)
        scene.files["machine.yaml"] = MACHINE.replace("studio:1", "studio:3")
        outcome = await carry_out(scene, plan)
        assert outcome.refused == {"alice": {"machine:web-0"}, "bob": {"machine:web-0"}}
        assert scene.machine("bob").config["image"] == "registry.fly.io/studio:1"


async def test_a_user_who_came_since_is_left_for_a_new_plan() -> None:
    """Nobody saw carol in the plan, so nothing of hers is made."""
    async with stage("alice") as scene:
        plan = await save(scene)
        scene.files["users/carol.yaml"] = user("carol")
        assert await carry_out(scene, plan) == Outcome({}, 0, ())
        assert scene.shape == {"acme-alice": (1, 1)}


async def test_a_plan_carried_out_twice_does_nothing_the_second_time() -> None:
    """Each action is known to be done; none is refused, none repeated."""
    async with stage("alice") as scene:
        plan = await save(scene)
        await carry_out(scene, plan)
        again = await carry_out(scene, plan)
        assert again.refused == {}
        assert again.already == len(plan.apps[0].actions)
        assert scene.shape == {"acme-alice": (1, 1)}


async def test_a_document_that_is_gone_since_refuses_its_user() -> None:
    """bob's document was removed: what the plan wanted for him is not done."""
    async with stage("alice", "bob") as scene:
        plan = await save(scene)
        del scene.files["users/bob.yaml"]
        outcome = await carry_out(scene, plan)
        assert outcome.refused.keys() == {"bob"}
        assert scene.shape == {"acme-alice": (1, 1)}


async def test_a_secret_with_another_value_since_is_not_sent() -> None:
    """The plan's digest covers the value; another one needs another plan."""
    async with stage("alice") as scene:
        plan = await save(scene)
        scene.environ["FLEET_SECRET_OPENAI_API_KEY"] = "another"
        outcome = await carry_out(scene, plan)
        assert "secrets" in outcome.refused["alice"]
        assert "machine:web-0" in outcome.refused["alice"]


async def test_a_plan_for_another_fleet_is_one_line() -> None:
    """Installation and organisation are in the file."""
    async with stage("alice") as scene:
        plan = await save(scene)
        fleet = scene.files["fleet.yaml"]
        assert isinstance(fleet, str)
        scene.files["fleet.yaml"] = fleet.replace("installation: teststage", "installation: otherone")
        with pytest.raises(ConfigError, match=r"fleet\.plan: it is a plan for installation teststage, and"):
            check(plan, scene.intent(), Path("fleet.plan"))
