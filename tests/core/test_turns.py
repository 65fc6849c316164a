"""In which order the machines of one app change: how many may be away at once, and what a failure spares."""

from collections import Counter
from collections.abc import Sequence
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.action import Action, Class, DestroyMachine, UpdateMachine
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import ObservedApp
from reconciler.core.policy import DeploySpec
from tests.core.alice import CONFIG, alice, app, found, plan_app, slot
from tests.core.worlds import WORLDS

Deploying = tuple[DesiredApp, ObservedApp]


@st.composite
def deployments(draw: st.DrawFn, strategy: str = "rolling") -> Deploying:
    """A new image for two groups of machines, some asleep, some in a region that is not wanted any more."""
    limit = draw(st.sampled_from([0.33, 0.1, 0.5, 0.99, 1, 2, 5]))
    slots = [
        f"{group}-{number}"
        for group in ("web", "job")
        for number in range(draw(st.integers(0, 6), label=group))
    ]
    old = alice(*(slot(name) for name in slots))
    machines = [
        found(
            old,
            slot(name),
            state=draw(st.sampled_from(["started", "started", "stopped"])),
            region=draw(st.sampled_from(["iad", "iad", "sin"])),
        )
        for name in slots
    ]
    deploy = DeploySpec.model_validate({"strategy": strategy, "max_unavailable": limit})
    image = {**CONFIG, "image": "registry/studio:2"}
    wanted = [slot(name, config=image, spec_hash="spec2") for name in slots]
    return alice(*wanted, deploy=deploy), app(*machines)


def rounds(actions: Sequence[Action]) -> list[list[Action]]:
    """Who may be at work together when each takes equally long."""
    done: set[str] = set()
    found = []
    left = list(actions)
    while left:
        ready = [action for action in left if done >= set(action.after)]
        assert ready, "they wait for each other"
        found.append(ready)
        done |= {action.key for action in ready}
        left = [action for action in left if action.key not in done]
    return found


def group_of(action: Action) -> str | None:
    """Of one that takes a machine down: its group."""
    if isinstance(action, UpdateMachine | DestroyMachine):
        return action.slot.rpartition("-")[0]
    return None


@given(deployments())
@WORLDS
def test_never_more_machines_are_away_than_the_document_allows(world: Deploying) -> None:
    desired, observed = world
    warm = {machine.id for machine in observed.machines if machine.state == "started"}
    count = Counter(machine.name.rpartition("-")[0] for machine in observed.machines if machine.id in warm)
    limit = desired.deploy.max_unavailable
    for together in rounds(plan_app(desired, observed).actions):
        away = Counter(group_of(action) for action in together if getattr(action, "machine_id", None) in warm)
        for group in ("web", "job"):
            allowed = ceil(round(count[group] * limit, 6)) if limit < 1 else limit
            assert away[group] <= max(1, allowed)


@given(deployments())
@WORLDS
def test_the_first_of_each_kind_goes_alone_and_its_failure_spares_all_others(world: Deploying) -> None:
    desired, observed = world
    warm = {machine.id for machine in observed.machines if machine.state == "started"}
    actions = plan_app(desired, observed).actions
    for group in ("web", "job"):
        for is_warm in (True, False):
            turns = [one for one in actions if group_of(one) == group]
            kind = [one for one in turns if (getattr(one, "machine_id", "") in warm) is is_warm]
            spared = without(actions, kind[0].key) if kind else set()
            assert spared.isdisjoint(one.key for one in kind[1:])


def without(actions: Sequence[Action], failed: str) -> set[str]:
    """The keys of what can still be done when one failed."""
    gone = {failed}
    for action in actions:
        if gone & set(action.after):
            gone.add(action.key)
    return {action.key for action in actions} - gone


@given(deployments("immediate"))
@WORLDS
def test_with_immediate_no_machine_waits_for_another(world: Deploying) -> None:
    actions = plan_app(*world).actions
    slots = {action.key: getattr(action, "slot", None) for action in actions}
    for action in actions:
        assert all(slots[key] in (None, getattr(action, "slot", None)) for key in action.after)


@given(deployments())
@WORLDS
def test_a_machine_that_sleeps_is_never_counted_as_a_restart(world: Deploying) -> None:
    desired, observed = world
    asleep = {machine.id for machine in observed.machines if machine.state == "stopped"}
    for action in plan_app(desired, observed).actions:
        if isinstance(action, UpdateMachine):
            assert (action.klass is Class.IN_PLACE) is (action.machine_id in asleep)
