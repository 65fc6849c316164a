"""The world in a folder: everything that an answer acknowledged is there again after a restart or `kill -9`.

Answers for the file, its lock, and for writing what changed in one transaction. Which things changed is
`kept`'s, going on with what was under way the lifecycle's. The file holds secrets as they are, for its owner
alone to read (mode 0600).
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from localfly.kept import UNKEPT, Kept, Unsaved
from localfly.refusal import Refusal
from localfly.world import App, Counts, Machine, Org, Volume, World

FILE = "world.sqlite3"
FORMAT = 1  # of the rows; another one is refused
BUSY_S = 5.0
TABLE = """
CREATE TABLE IF NOT EXISTS thing (
    place INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id)
)"""
PUT = """
INSERT INTO thing (kind, id, body) VALUES (?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body"""
KINDS: dict[type[Kept], str] = {Org: "org", App: "app", Volume: "volume", Machine: "machine"}

Row = tuple[str, str, bytes]
Thing = TypeVar("Thing", bound=Kept)


class CannotKeep(Exception):  # noqa: N818 - reads as the sentence it is
    """The folder cannot be used; the text says which and why."""


class Unwritten(Refusal):
    """503: it happened, and may not survive; Fly has no such answer."""

    http_status = 503

    def __init__(self, why: str) -> None:
        super().__init__(f"unavailable: localfly cannot write to its state folder: {why}")


class Keep:
    """One world's rows in a database; `restore()` once, then every `world.save()` writes what changed."""

    def __init__(self, database: sqlite3.Connection, world: World) -> None:
        self._database = database
        self._world = world
        self._unsaved = Unsaved()
        self._last_sight = b""
        self._is_held = False

    def restore(self) -> None:
        """Put what was kept into the world, which must be empty, and follow it from now on."""
        world = self._world
        kept = {kind: self._rows(kind) for kind in ("world", *KINDS.values())}
        for body in kept["world"]:
            world.counts = Counts(**body["counts"])
            world.bad_images = set(body["bad_images"])
            world.clock.resume_at((body["clock"][0], body["clock"][1]))
        for body in kept["org"]:
            org = _thing(Org, body)
            world.orgs[org.slug] = org
        for body in kept["app"]:
            app = _thing(App, body, org=world.orgs[body["org"]])
            app.addresses = [address for address in app.addresses if not address.is_door]
            world.apps[app.name] = app
        for body in kept["volume"]:
            volume = _thing(Volume, body)
            world.apps[volume.app_name].volumes[volume.id] = volume
        for body in kept["machine"]:
            machine = _thing(Machine, body, app=world.apps[body["app"]])
            world.machines[machine.id] = machine.app.machines[machine.id] = machine
        for machine in sorted(world.machines.values(), key=lambda machine: machine.change):
            machine.app.org.machines[machine.id] = machine
        self._is_held = True
        world.unsaved, world.save = self._unsaved, self.save
        for thing in everything(world):
            thing.unsaved = self._unsaved

    def save(self) -> None:
        """Write what changed since the last time, all or nothing; what raised Unwritten is tried again."""
        sight = _sight(self._world)
        if not self._unsaved and sight == self._last_sight:
            return
        things = self._unsaved.take()
        gone = [key(thing) for thing in things if not is_there(self._world, thing)]
        rows = [row(thing) for thing in things if is_there(self._world, thing)]
        try:
            self._write(gone, [("world", "", sight), *rows])
        except sqlite3.Error as error:
            for thing in things:
                self._unsaved.note(thing)
            raise Unwritten(str(error)) from None
        self._last_sight = sight

    def let_go(self) -> None:
        """Write what is left, and nothing any more: what happens to the world from now on is not kept."""
        if not self._is_held:
            return
        self._is_held = False
        with contextlib.suppress(Unwritten):  # nobody was told that it is kept
            self.save()
        self._world.unsaved, self._world.save = None, lambda: None
        for thing in everything(self._world):
            thing.unsaved = None

    def _write(self, gone: list[tuple[str, str]], rows: list[Row]) -> None:
        execute = self._database.execute
        execute("BEGIN IMMEDIATE")
        try:
            if gone:
                self._database.executemany("DELETE FROM thing WHERE kind = ? AND id = ?", gone)
            self._database.executemany(PUT, rows)
            execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:
                execute("ROLLBACK")
            raise

    def _rows(self, kind: str) -> list[dict[str, Any]]:
        found = self._database.execute("SELECT body FROM thing WHERE kind = ? ORDER BY place", (kind,))
        return [from_json(body) for (body,) in found]


@contextlib.contextmanager
def kept_in(folder: Path, world: World) -> Iterator[Keep]:
    """Keep a world in this folder, which is made if need be, for as long as the block; raises CannotKeep.

    The world has what was kept before. A folder serves one localfly at a time.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(_locked(folder))
            database = stack.enter_context(contextlib.closing(_open(folder / FILE)))
            keep = Keep(database, world)
            keep.restore()
        except OSError as error:
            raise CannotKeep(f"cannot use {folder}: {error.strerror or error}") from None
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            why = f"{folder / FILE} cannot be read ({error}); move it away to begin with an empty world"
            raise CannotKeep(why) from None
        stack.callback(keep.let_go)
        yield keep


def database_in_memory() -> sqlite3.Connection:
    """A database without a file, for tests of what is kept."""
    return _prepared(sqlite3.connect(":memory:", isolation_level=None))


def row(thing: Kept) -> Row:
    """Kind, id and body of a thing's row."""
    values = {name: getattr(thing, name) for name in _kept_fields(type(thing).__name__)}
    if isinstance(thing, Machine):
        values["app"] = thing.app.name
    elif isinstance(thing, App):
        values["org"] = thing.org.slug
    return (*key(thing), to_json(values, inf_nan_mode="constants"))


def key(thing: Kept) -> tuple[str, str]:
    """Kind and id of a thing's row."""
    match thing:
        case Org():
            return "org", thing.slug
        case App():
            return "app", thing.name
        case Volume() | Machine():
            return KINDS[type(thing)], thing.id
    raise TypeError(f"no row is defined for {type(thing).__name__}")


def is_there(world: World, thing: Kept) -> bool:
    """Whether the thing is still a part of the world."""
    match thing:
        case Org():
            return world.orgs.get(thing.slug) is thing
        case App():
            return world.apps.get(thing.name) is thing
        case Volume():
            app = world.apps.get(thing.app_name)
            return app is not None and app.volumes.get(thing.id) is thing
        case Machine():
            return world.machines.get(thing.id) is thing
    return False


def everything(world: World) -> Iterator[Kept]:
    """All things of a world that have rows."""
    yield from world.orgs.values()
    for app in world.apps.values():
        yield app
        yield from app.volumes.values()
    yield from world.machines.values()


def _sight(world: World) -> bytes:
    counts = {name: getattr(world.counts, name) for name in ("apps", "networks", "changes")}
    return to_json({"counts": counts, "bad_images": sorted(world.bad_images), "clock": world.clock.standing})


def _thing(kind: type[Thing], body: dict[str, Any], **others: Kept) -> Thing:
    readers = _kept_fields(kind.__name__)
    return kind(**{name: reader.validate_python(body[name]) for name, reader in readers.items()}, **others)


@cache
def _kept_fields(name_of_kind: str) -> dict[str, TypeAdapter[Any]]:
    """The fields of a thing that stand in its row, with what reads each back."""
    kind = next(kind for kind in KINDS if kind.__name__ == name_of_kind)
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.name not in UNKEPT]
    return {name: TypeAdapter(hints[name]) for name in names if hints[name] not in (App, Org)}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CannotKeep(f"{folder} is in use by another localfly; give each its own folder") from None
    finally:
        os.close(lock)


def _open(path: Path) -> sqlite3.Connection:
    os.close(
        os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    )  # SQLite's other files follow its mode
    database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    return _prepared(database)


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found not in (0, FORMAT):
        raise ValueError(f"it is of format {found}, this localfly reads {FORMAT}")
    database.execute(TABLE)
    database.execute(f"PRAGMA user_version = {FORMAT}")
    return database
