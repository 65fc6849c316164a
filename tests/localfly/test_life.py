"""The rest of a machine's life: sleep with memory, restarts, schedules, checks, bad images, lost hosts."""

import asyncio
from typing import Any

import pytest

from localfly.check import Check, Outcome, critical
from localfly.lifecycle import Lifecycle
from localfly.refusal import FailedPrecondition, HostUnreachable, LeaseHeld, MachineNotFound
from localfly.world import Lease, Machine
from tests.localfly.test_lifecycle import Deck, Stage

HOUR_S = 3600


def trail(machine: Machine) -> list[tuple[str, str, str]]:
    """Type, status and source of each event."""
    return [(event.type, event.status, event.source) for event in machine.events]


async def test_a_suspended_machine_keeps_its_memory_and_resumes_from_it() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    stage.lifecycle.suspend(machine)
    during = machine.state
    await stage.reaches(machine, "suspended")
    asleep = (set(stage.deck.frozen), set(stage.deck.running))
    await stage.lifecycle.start(machine, source="proxy")

    assert (during, asleep) == ("suspending", ({machine.id}, set()))
    assert (stage.deck.starts, stage.deck.running) == (1, {machine.id})
    assert trail(machine)[-4:] == [
        ("suspend", "suspending", "user"),
        ("suspend", "suspended", "flyd"),
        ("start", "starting", "proxy"),
        ("start", "started", "flyd"),
    ]


@pytest.mark.parametrize("verb", ["stop", "update"])
async def test_a_stop_and_an_update_drop_the_memory_of_a_suspended_machine(verb: str) -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    stage.lifecycle.suspend(machine)
    await stage.reaches(machine, "suspended")
    if verb == "stop":
        stage.lifecycle.stop(machine)
    else:
        stage.lifecycle.update(machine, config=machine.config, submitted={}, secrets={})
    await stage.reaches(machine, "stopped")
    await stage.lifecycle.start(machine)

    assert (stage.deck.starts, stage.deck.frozen) == (2, set())


async def test_a_suspended_machine_whose_process_is_gone_boots_cold() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    stage.lifecycle.suspend(machine)
    await stage.reaches(machine, "suspended")
    stage.deck.frozen.discard(machine.id)
    stage.lifecycle.exited(machine.id, 137)
    state = machine.state
    await stage.lifecycle.start(machine)

    assert (state, stage.deck.starts) == ("suspended", 2)


async def test_only_a_started_machine_is_suspended_and_twice_is_once() -> None:
    stage = Stage()
    machine = stage.machine(skip_launch=True)
    await stage.reaches(machine, "stopped")
    with pytest.raises(FailedPrecondition, match="unable to suspend machine from current state: 'stopped'"):
        stage.lifecycle.suspend(machine)
    await stage.lifecycle.start(machine)
    stage.lifecycle.suspend(machine)
    stage.lifecycle.suspend(machine)
    await stage.reaches(machine, "suspended")
    stage.lifecycle.suspend(machine)

    assert [event.status for event in machine.events].count("suspended") == 1


@pytest.mark.parametrize("verb", ["stop", "suspend"])
async def test_a_lease_keeps_the_proxy_from_putting_a_machine_to_sleep(verb: str) -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    machine.lease = Lease("abc", stage.world.clock() + 10, "me@tokens.fly.io", "", machine.instance_id)
    ask = getattr(stage.lifecycle, verb)
    with pytest.raises(LeaseHeld):
        ask(machine, source="proxy")
    await asyncio.sleep(11)
    ask(machine, source="proxy")

    assert trail(machine)[-1] == (verb, f"{verb}ing".replace("stoping", "stopping"), "proxy")


@pytest.mark.parametrize(
    ("asked", "stopped_with"),
    [
        ({}, ("SIGTERM", 90.0)),
        ({"signal": "SIGHUP", "timeout_s": 3.0}, ("SIGHUP", 3.0)),
        ({"force_stop": True}, ("SIGKILL", 0)),
    ],
)
async def test_a_restart_is_a_stop_and_a_start_in_the_same_version(
    asked: dict[str, Any], stopped_with: tuple[str, float]
) -> None:
    stage = Stage()
    machine = stage.machine(stop_config={"signal": "SIGTERM", "timeout": "1m30s"})
    await stage.reaches(machine, "started")
    version = machine.instance_id
    stage.lifecycle.restart(machine, **asked)
    during = machine.state
    await stage.reaches(machine, "started")

    assert (during, machine.instance_id) == ("restarting", version)
    assert (stage.deck.starts, stage.deck.stopped_with) == (2, [stopped_with])


async def test_a_failed_machine_recovers_by_a_restart_and_a_stopped_one_refuses_it() -> None:
    stage = Stage()
    stage.deck.is_broken = True
    machine = stage.machine()
    await stage.reaches(machine, "failed")
    stage.deck.is_broken = False
    stage.lifecycle.restart(machine)
    await stage.reaches(machine, "started")
    stage.lifecycle.stop(machine)
    await stage.reaches(machine, "stopped")
    with pytest.raises(FailedPrecondition, match="unable to restart machine from current state: 'stopped'"):
        stage.lifecycle.restart(machine)


async def test_a_signal_reaches_what_runs_and_nothing_else() -> None:
    stage = Stage()
    machine = stage.machine()
    with pytest.raises(FailedPrecondition, match="machine not running"):
        stage.lifecycle.signal(machine, "SIGHUP")
    await stage.reaches(machine, "started")
    stage.lifecycle.signal(machine, "SIGHUP")

    assert stage.deck.signals == [(machine.id, "SIGHUP")]


async def test_auto_destroy_follows_a_stop_of_what_ran() -> None:
    stage = Stage()
    machine = stage.machine(auto_destroy=True, skip_launch=True)
    await stage.reaches(machine, "stopped")
    stage.lifecycle.begin_start(machine)
    await stage.reaches(machine, "started")
    stage.lifecycle.stop(machine)
    await stage.reaches(machine, "destroyed")

    assert stage.deck.running == set()


async def test_an_image_that_cannot_be_pulled_fails_the_launch_and_the_machine_goes() -> None:
    stage = Stage()
    stage.world.bad_images = {"studio"}
    machine = stage.machine()
    await stage.reaches(machine, "launch_failed")
    is_living = machine.is_living
    await stage.reaches(machine, "destroyed")

    assert is_living is False
    assert ("launch", "launch_failed", "flyd") in trail(machine)


async def test_an_update_to_a_bad_image_goes_back_to_the_version_before() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    good = machine.instance_id
    stage.world.bad_images = {"broken"}
    stage.lifecycle.update(machine, config={"image": "broken"}, submitted={}, secrets={})
    new = machine.instance_id
    await stage.reaches(machine, "started")

    assert new != good
    assert (machine.instance_id, machine.config["image"]) == (good, "studio")
    assert stage.deck.running == {machine.id}
    assert machine.events[-1].request == {"error": "could not pull image broken"}


async def test_an_update_that_cannot_start_goes_back_and_a_stopped_machine_stays_stopped() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    good = machine.instance_id
    stage.lifecycle.update(machine, config={"image": "two"}, submitted={}, secrets={})
    stage.deck.is_broken = True
    await stage.reaches(machine, "failed")
    after_both_failed = machine.instance_id
    stage.deck.is_broken = False
    asleep = stage.machine(skip_launch=True)
    await stage.reaches(asleep, "stopped")
    before = asleep.instance_id
    stage.world.bad_images = {"two"}
    stage.lifecycle.update(asleep, config={"image": "two"}, submitted={}, secrets={})
    await stage.reaches(asleep, "stopped")

    assert (after_both_failed, asleep.instance_id) == (good, before)


@pytest.mark.parametrize(("schedule", "period_s"), [("hourly", HOUR_S), ("daily", 24 * HOUR_S)])
async def test_a_scheduled_machine_starts_each_period_counted_from_its_creation(
    schedule: str, period_s: float
) -> None:
    stage = Stage()
    machine = stage.machine(schedule=schedule, restart={"policy": "no"})
    for _ in range(3):
        await stage.reaches(machine, "started")
        stage.deck.running.discard(machine.id)
        stage.lifecycle.exited(machine.id, 0)
        assert machine.state == "stopped"
        await stage.world.clock.advance(period_s)

    starts = [event.at - machine.created_at for event in machine.events if event.status == "starting"]
    assert starts == [pytest.approx(period_s * at) for at in (1, 2, 3)]
    assert stage.starts_by(machine, "flyd") == 3 + 4  # asked for, and each time up


async def test_a_schedule_ends_with_its_config_and_with_its_machine() -> None:
    stage = Stage()
    machine = stage.machine(schedule="hourly", skip_launch=True)
    other = stage.machine(schedule="hourly", skip_launch=True)
    await stage.reaches(other, "stopped")
    stage.lifecycle.update(machine, config={"image": "studio"}, submitted={}, secrets={})
    stage.lifecycle.destroy(other)
    await stage.world.clock.advance(5 * HOUR_S)

    assert (machine.state, other.state, stage.deck.starts) == ("stopped", "destroyed", 0)


async def test_a_lost_host_takes_what_ran_the_volume_and_every_write_with_it() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    stage.lifecycle.set_host_status(machine, "unreachable")
    await stage.world.clock.advance(60)
    for ask in (
        stage.lifecycle.begin_start,
        stage.lifecycle.stop,
        stage.lifecycle.suspend,
        stage.lifecycle.restart,
        stage.lifecycle.destroy,
    ):
        with pytest.raises(HostUnreachable, match=f"host of machine {machine.id} is unreachable"):
            ask(machine)

    assert (machine.state, stage.deck.running) == ("started", set())
    stage.lifecycle.destroy(machine, force=True)
    await stage.reaches(machine, "destroyed")
    with pytest.raises(MachineNotFound):
        stage.lifecycle.set_host_status(machine, "ok")


async def test_a_host_that_comes_back_starts_what_ran_on_it() -> None:
    stage = Stage()
    machine = stage.machine()
    await stage.reaches(machine, "started")
    stage.lifecycle.set_host_status(machine, "unknown")
    still_runs = stage.deck.running == {machine.id}
    stage.lifecycle.set_host_status(machine, "unreachable")
    await stage.world.clock.advance(60)
    stage.lifecycle.set_host_status(machine, "ok")
    await stage.world.clock.advance(60)

    assert still_runs
    assert (machine.state, stage.deck.running, stage.deck.starts) == ("started", {machine.id}, 2)


async def test_a_standby_starts_when_a_machine_that_it_watches_loses_its_host() -> None:
    stage = Stage()
    machine, watched = stage.machine(), stage.machine()
    standby = stage.machine(skip_launch=True, standbys=[watched.id])
    await stage.reaches(standby, "stopped")
    await stage.reaches(watched, "started")
    stage.lifecycle.set_host_status(machine, "unreachable")
    await stage.world.clock.advance(60)
    before = standby.state
    stage.lifecycle.set_host_status(watched, "unreachable")
    await stage.reaches(standby, "started")

    assert before == "stopped"
    assert stage.starts_by(standby, "flyd") == 2


class Patient:
    """Answers every check as the test says."""

    def __init__(self) -> None:
        self.outcome: Outcome = ("passing", "Success")
        self.asked: list[tuple[str, str, int]] = []

    async def __call__(self, check: Check, host: str, port: int) -> Outcome:
        await asyncio.sleep(0)
        self.asked.append((check.name, host, port))
        return self.outcome


CHECKS: dict[str, Any] = {
    "checks": {"alive": {"type": "tcp", "port": 9000, "interval": "10s", "grace_period": "5s"}},
    "services": [
        {
            "internal_port": 8080,
            "checks": [{"type": "http", "path": "/up", "interval": "10s", "grace_period": "20s"}],
        }
    ],
}


def checked(patient: Patient) -> Stage:
    stage = Stage()
    stage.lifecycle = Lifecycle(stage.world, stage.deck, probe=patient)
    return stage


async def test_checks_wait_out_their_grace_and_then_show_what_they_found() -> None:
    patient = Patient()
    stage = checked(patient)
    machine = stage.machine(**CHECKS)
    await stage.reaches(machine, "started")
    at_boot = dict(machine.checks)
    await stage.world.clock.advance(6)
    first = dict(machine.checks)
    await stage.world.clock.advance(16)
    both = {name: (found.status, found.output) for name, found in machine.checks.items()}
    await stage.lifecycle.aclose()

    assert (at_boot, list(first)) == ({}, ["alive"])
    assert both == dict.fromkeys(("alive", "servicecheck-00-http-8080"), ("passing", "Success"))
    assert patient.asked[0] == ("alive", "127.0.0.1", 9000)
    assert [name for name, *_ in patient.asked].count("alive") == 2


async def test_only_service_and_readiness_checks_keep_traffic_away() -> None:
    patient = Patient()
    stage = checked(patient)
    ready = {"type": "tcp", "port": 9001, "kind": "readiness", "grace_period": "0s"}
    machine = stage.machine(services=CHECKS["services"], checks={**CHECKS["checks"], "ready": ready})
    patient.outcome = ("critical", "connect: connection refused")
    await stage.reaches(machine, "started")
    fine_before_any_result = critical(machine) == []
    await stage.world.clock.advance(25)
    failing = {(check.name, check.service) for check in critical(machine)}
    await stage.lifecycle.aclose()

    assert fine_before_any_result
    assert failing == {("ready", None), ("servicecheck-00-http-8080", 0)}


async def test_a_check_changes_its_moment_only_with_its_status_and_ends_with_the_run() -> None:
    patient = Patient()
    stage = checked(patient)
    machine = stage.machine(**CHECKS)
    await stage.reaches(machine, "started")
    await stage.world.clock.advance(6)
    since = machine.checks["alive"].updated_at
    patient.outcome = ("passing", "Success again")
    await stage.world.clock.advance(30)
    same = machine.checks["alive"]
    patient.outcome = ("warning", "429")
    await stage.world.clock.advance(10)
    warned = machine.checks["alive"]
    stage.lifecycle.stop(machine)
    await stage.reaches(machine, "stopped")
    asked = len(patient.asked)
    await stage.world.clock.advance(100)

    assert (same.output, same.updated_at) == ("Success again", since)
    assert (warned.status, warned.updated_at > since) == ("warning", True)
    assert (dict(machine.checks), len(patient.asked)) == ({}, asked)


async def test_a_check_of_a_port_that_nothing_listens_on_is_critical() -> None:
    patient = Patient()
    stage = checked(patient)
    machine = stage.machine(**CHECKS)
    await stage.reaches(machine, "started")
    stage.deck.running.clear()
    await stage.world.clock.advance(6)
    found = machine.checks["alive"]
    await stage.lifecycle.aclose()

    assert (found.status, found.output, patient.asked) == ("critical", "connect: connection refused", [])


async def test_moves_of_every_kind_that_overtake_each_other_leave_nothing_running() -> None:
    stage = Stage(Deck(start_s=3, stop_s=3))
    machine = stage.machine()
    await stage.reaches(machine, "started")
    stage.lifecycle.suspend(machine)
    await asyncio.sleep(0.5)
    stage.lifecycle.stop(machine)
    await asyncio.sleep(0.01)
    stage.lifecycle.destroy(machine, force=True)
    await stage.reaches(machine, "destroyed")

    assert (stage.deck.running, stage.deck.frozen) == (set(), set())
