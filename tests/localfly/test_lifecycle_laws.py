"""Laws that hold for a machine whatever is asked of it, in whatever order, at whatever moment."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from localfly.lifecycle import SETTLED
from localfly.refusal import Refusal
from localfly.world import Machine
from tests import virtual_time
from tests.localfly.test_lifecycle import Deck, Stage

VERBS = (
    *("start", "stop", "update", "skip", "destroy", "force", "exit", "crash", "proxy"),
    *("suspend", "restart", "kill", "lose", "regain", "spoil", "mend"),
)
RUNS = frozenset({"started"})
Steps = list[tuple[str, float]]


def ask(stage: Stage, verb: str) -> None:
    """One request, or one thing that happens, whether refused or not."""
    machine, lifecycle = stage.app.machines[next(iter(stage.app.machines))], stage.lifecycle
    new = {"config": machine.config, "submitted": machine.config, "secrets": {}}
    match verb:
        case "start":
            lifecycle.begin_start(machine)
        case "proxy":
            lifecycle.begin_start(machine, source="proxy")
        case "stop":
            lifecycle.stop(machine)
        case "update":
            lifecycle.update(machine, **new)  # type: ignore[arg-type]  # a dict of its keyword arguments
        case "skip":
            lifecycle.update(machine, skip_launch=True, **new)
        case "destroy" | "force":
            lifecycle.destroy(machine, force=verb == "force")
        case "exit" | "crash":
            if machine.id in stage.deck.running | stage.deck.frozen:
                stage.deck.running.discard(machine.id)
                stage.deck.frozen.discard(machine.id)
                lifecycle.exited(machine.id, int(verb == "crash"))
        case _:
            ask_more(stage, machine, verb)


def ask_more(stage: Stage, machine: Machine, verb: str) -> None:
    """The requests and mishaps that most machines never see."""
    lifecycle = stage.lifecycle
    match verb:
        case "suspend":
            lifecycle.suspend(machine)
        case "restart":
            lifecycle.restart(machine)
        case "kill":
            lifecycle.restart(machine, force_stop=True)
        case "lose" | "regain":
            lifecycle.set_host_status(machine, "unreachable" if verb == "lose" else "ok")
        case "spoil" | "mend":
            stage.world.bad_images = {"studio"} if verb == "spoil" else set()


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(VERBS), st.sampled_from([0.0, 0.05, 0.25, 1.0, 4.0]))),
    skip_launch=st.booleans(),
)
def test_every_history_settles_with_the_runtime_in_step(steps: Steps, skip_launch: bool) -> None:
    """In the end a machine runs exactly when it says so, and no move is left under way."""
    virtual_time.run(play(steps, skip_launch=skip_launch))


def was_lost(steps: Steps) -> bool:
    """Whether the host was lost at some time: after that, `started` is what it was last known to be."""
    return any(verb == "lose" for verb, _ in steps)


async def play(steps: Steps, *, skip_launch: bool) -> None:
    stage = Stage(Deck(start_s=0.1, stop_s=0.1))
    machine = stage.machine(skip_launch=skip_launch)
    for verb, pause_s in steps:
        before = machine.state
        try:
            ask(stage, verb)
        except Refusal:
            assert machine.state == before, "a refusal changes nothing"
        await asyncio.sleep(pause_s)
        if machine.state in RUNS and not was_lost(steps):
            assert machine.id in stage.deck.running, "started means that it runs"
    await asyncio.sleep(120)
    if machine.host_status == "unreachable":
        assert stage.deck.running | stage.deck.frozen == set(), "nothing runs on a host that is lost"
    if machine.state != "destroyed":
        stage.lifecycle.set_host_status(machine, "ok")
    await asyncio.sleep(120)

    assert machine.state in SETTLED
    assert not machine.is_being_reaped
    assert stage.deck.running == ({machine.id} if machine.state == "started" else set())
    assert machine.is_running == (machine.id in stage.deck.running | stage.deck.frozen)
    assert not stage.deck.frozen or machine.state == "suspended"
    assert asyncio.all_tasks() == {asyncio.current_task()}
