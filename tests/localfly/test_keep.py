"""A world in a database: what was under way goes on, nothing is given twice, a folder is one localfly's."""

import asyncio
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localfly.keep import FILE, CannotKeep, Keep, Unwritten, database_in_memory, kept_in
from localfly.lifecycle import Lifecycle
from localfly.world import Machine, World
from tests.localfly.inprocess import rows, rows_of
from tests.localfly.test_lifecycle import Deck, Stage
from tests.virtual_time import VirtualTimeLoop


@contextmanager
def kept_stage() -> Iterator[tuple[Stage, sqlite3.Connection]]:
    """A stage whose world is kept in a database."""
    database = database_in_memory()
    stage = Stage()
    stage.world.forget_app(stage.app)
    keep = Keep(database, stage.world)
    stage.world.orgs.clear()
    keep.restore()
    stage.app = stage.world.add_app("alice", org="acme")
    yield stage, database
    database.close()


def taken_up(database: sqlite3.Connection) -> tuple[World, Lifecycle, Deck]:
    """The same world in a localfly that was started again."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    world, deck = World(loop.wall), Deck()
    Keep(database, world).restore()
    lifecycle = Lifecycle(world, deck)
    lifecycle.take_up()
    return world, lifecycle, deck


@pytest.mark.parametrize(
    ("state", "ends"),
    [
        ("created", "started"),
        ("starting", "started"),
        ("started", "started"),
        ("stopping", "stopped"),
        ("stopped", "stopped"),
        ("suspending", "suspended"),
        ("suspended", "suspended"),
        ("restarting", "started"),
        ("replacing", "started"),
        ("launch_failed", "destroyed"),
        ("destroying", "destroyed"),
    ],
)
async def test_a_passage_that_was_cut_off_goes_on_after_a_restart(state: str, ends: str) -> None:
    with kept_stage() as (stage, database):
        machine = await machine_in(stage, state)
        stage.world.save()
        world, lifecycle, deck = taken_up(database)
        again = world.machines[machine.id]
        before = again.state
        await asyncio.sleep(60)

        assert (before, again.state) == (state, ends)
        assert deck.running == ({again.id} if ends == "started" else set())
        assert again.instance_id == machine.instance_id
        await lifecycle.aclose()
        await stage.lifecycle.aclose()


async def machine_in(stage: Stage, state: str) -> Machine:
    """A machine that just came to that state."""
    if state == "launch_failed":
        stage.world.bad_images = {"studio"}
    machine = stage.machine(skip_launch=state == "stopped")
    ask = {
        "stopping": lambda: stage.lifecycle.stop(machine),
        "suspending": lambda: stage.lifecycle.suspend(machine),
        "suspended": lambda: stage.lifecycle.suspend(machine),
        "restarting": lambda: stage.lifecycle.restart(machine),
        "replacing": lambda: stage.lifecycle.update(machine, config=machine.config, submitted={}, secrets={}),
        "destroying": lambda: stage.lifecycle.destroy(machine, force=True),
    }
    if state in ask:
        await stage.reaches(machine, "started")
        ask[state]()
    await stage.reaches(machine, state)
    return machine


async def test_an_app_that_was_being_deleted_goes_after_a_restart() -> None:
    with kept_stage() as (stage, database):
        machine = stage.machine()
        await stage.reaches(machine, "started")
        stage.lifecycle.delete_app(stage.app, force=True)
        stage.world.save()
        world, lifecycle, _ = taken_up(database)
        await asyncio.sleep(60)

        assert (world.apps, world.machines) == ({}, {})
        world.save()
        assert {kind for kind, _ in rows_of(database)} == {"org"}
        await lifecycle.aclose()
        await stage.lifecycle.aclose()


async def test_schedules_leases_secrets_and_the_clock_hold_over_a_restart() -> None:
    with kept_stage() as (stage, database):
        machine = stage.machine(schedule="daily", skip_launch=True)
        await stage.reaches(machine, "stopped")
        stage.world.set_secrets(stage.app, {"KEY": "s3cret"})
        await stage.world.clock.advance(20 * 3600)
        stage.world.save()
        world, lifecycle, _ = taken_up(database)
        again = world.machines[machine.id]
        now = (world.clock(), stage.world.clock())
        await world.clock.advance(3 * 3600)
        before = again.state
        await world.clock.advance(2 * 3600)

        assert now[0] == now[1]
        assert world.apps["alice"].secrets["KEY"].value == "s3cret"
        assert (before, again.state) == ("stopped", "started")
        await lifecycle.aclose()
        await stage.lifecycle.aclose()


async def test_numbers_are_never_given_twice_even_when_what_had_them_is_gone() -> None:
    with kept_stage() as (stage, database):
        machine = stage.machine(skip_launch=True)
        await stage.reaches(machine, "stopped")
        last = machine.change
        stage.world.forget_app(stage.app)
        stage.world.save()
        world, lifecycle, _ = taken_up(database)
        app = world.add_app("bob", org="acme")

        assert app.number > stage.app.number
        assert world.counts.next_change() > last
        await lifecycle.aclose()
        await stage.lifecycle.aclose()


async def test_a_world_that_is_let_go_ends_without_a_trace_in_its_folder() -> None:
    with kept_stage() as (stage, database):
        machine = stage.machine()
        await stage.reaches(machine, "started")
        world, lifecycle, deck = taken_up(database)
        keep = Keep(database, world)
        await asyncio.sleep(60)
        world.save()
        before, there = rows_of(database), rows(world)
        keep.let_go()
        await lifecycle.aclose()

        assert before == there == rows_of(database)
        assert deck.running == set()
        await stage.lifecycle.aclose()


def test_a_write_that_fails_is_said_and_made_good_later() -> None:
    """The answer is a 503, and the next one that can be written has everything."""
    database = database_in_memory()
    world = World(lambda: 1.0)
    Keep(database, world).restore()
    database.execute("PRAGMA query_only = ON")
    world.add_app("alice", org="acme")
    with pytest.raises(Unwritten, match="cannot write to its state folder"):
        world.save()
    database.execute("PRAGMA query_only = OFF")
    world.save()

    assert rows_of(database) == rows(world) != {}


def test_a_folder_and_what_is_in_it_are_for_their_owner_alone(tmp_path: Path) -> None:
    """It holds secrets as they are."""
    folder = tmp_path / "state"
    with kept_in(folder, world := World(lambda: 1.0)):
        world.set_secrets(world.add_app("alice", org="acme"), {"KEY": "s3cret"})
        world.save()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert modes.keys() >= {FILE, f"{FILE}-wal", "lock"}
        assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.write_bytes(b"no database at all, but a long enough text" * 40), "not a database"),
        (lambda file: sqlite3.connect(file).execute("PRAGMA user_version = 9").close(), "format 9"),
        (lambda file: file.mkdir(), "Is a directory"),
    ],
    ids=["garbage", "other format", "folder"],
)
def test_a_file_that_cannot_be_read_is_one_line_and_stays(tmp_path: Path, spoil: object, why: str) -> None:
    """Nothing is overwritten: the line says what to move away."""
    assert callable(spoil)
    spoil(tmp_path / FILE)
    with pytest.raises(CannotKeep, match=why) as refused, kept_in(tmp_path, World(lambda: 1.0)):
        pass

    assert "\n" not in str(refused.value)
