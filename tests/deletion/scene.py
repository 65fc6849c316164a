"""A small fleet that could be deleted at once, but for one thing: what a test makes look empty or strange.

Grace and budget are short, the fleet is an hour old, and somebody approves whatever is asked. So an app whose
document is gone is deleted with its volume within minutes, unless a proof is missing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.core.spec import Unreadable
from reconciler.intent import NotUsable
from router.table import Route
from tests.stage import FLEET, MACHINE, Running, Stage, stage, user
from tests.virtual_time import VirtualTimeLoop

HOUR_S = 3600.0
GRACE_S = 60.0
SOON_S = 600.0  # within so long a deletion that nothing forbids is done
ROOM = "deletion_grace: 1m, budget: {delete: {max_count: 60}}"
FLEET_YAML = FLEET.replace("drift: correct}", f"drift: correct, {ROOM}}}")
NAMES = ("alice", "bob", "carol")

Lives = dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]
Happens = Callable[["Scene"], Awaitable[None]]
Body = Any


@dataclass(frozen=True, slots=True)
class Way:
    """Something that makes apps look deletable; called by its name."""

    name: str
    sentence: str
    happens: Happens
    proof: str = ""  # the reason that is told for keeping alice; empty: nobody thinks of deleting her

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Scene:
    """The fleet, the reconciler at work on it, and the documents below `folder` (None: they are texts)."""

    on: Stage
    run: Running
    folder: Path | None = None

    def write(self, path: str, content: str | bytes) -> Path:
        """A file below the folder, with its folders."""
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def path(self, path: str) -> Path:
        assert self.folder is not None
        return self.folder / path

    def save(self, **changed: str | Unreadable | None) -> None:
        """Other texts for some files, by their name without `.yaml`, `/` written `__`; None: it is gone."""
        files = dict(self.on.files)
        for name, text in changed.items():
            path = f"{name.replace('__', '/')}.yaml"
            files.pop(path, None)
            if text is not None:
                files[path] = text
        self.run.save(files)

    def route(self, name: str) -> bool:
        """Whether visitors of that user are led to its machine."""
        entry = self.run.entry(f"{name}.example.com")
        living = {machine.id for machine in self.on.app(name).living()}
        return isinstance(entry, Route) and set(entry.machines.values()) <= living

    @property
    def lives(self) -> Lives:
        return lives(self.on)


def lives(on: Stage) -> Lives:
    """Of each app: its id, and those of its living machines and of its volumes: none may be another."""
    return {
        app.name: (
            app.id,
            tuple(sorted(machine.id for machine in app.living())),
            tuple(sorted(volume.id for volume in app.volumes.values() if not volume.deleted_at)),
        )
        for app in sorted(on.fly.world.apps.values(), key=lambda app: app.name)
    }


def documents(*names: str) -> dict[str, str | Unreadable]:
    """The fleet with a short grace, and one file for each user."""
    users: dict[str, str | Unreadable] = {f"users/{name}.yaml": user(name) for name in names}
    return {"fleet.yaml": FLEET_YAML, "machine.yaml": MACHINE, **users}


@asynccontextmanager
async def ground(
    files: Mapping[str, str | Unreadable] | None = None,
    *,
    folder: Path | None = None,
    approves: bool = True,
) -> AsyncIterator[Stage]:
    """Documents and an empty Fly; whatever is held is approved. With `folder` the documents are files."""
    async with stage() as on, asyncio.TaskGroup() as group:
        on.files = dict(documents(*NAMES) if files is None else files)
        if folder is not None:
            on.folder = folder / "specs"
            for path, text in on.files.items():
                assert isinstance(text, str)
                (on.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (on.folder / path).write_text(text)
        approving = group.create_task(approve_for_ever(on) if approves else asyncio.sleep(0))
        try:
            yield on
        finally:
            approving.cancel()


@asynccontextmanager
async def served(on: Stage) -> AsyncIterator[Scene]:
    """Everybody is served, and the budget has room."""
    async with on.running() as run:
        await run.converged(within_s=600)
        await asyncio.sleep(180)
        yield Scene(on, run, on.folder)


@asynccontextmanager
async def restarted(on: Stage) -> AsyncIterator[Scene]:
    """Another reconciler on the same world, after the one before it has ended."""
    async with on.running() as run:
        yield Scene(on, run, on.folder)


@asynccontextmanager
async def scene(
    files: Mapping[str, str | Unreadable] | None = None, *, folder: Path | None = None
) -> AsyncIterator[Scene]:
    """Both, with one reconciler from the beginning to the end."""
    async with ground(files, folder=folder) as on, served(on) as at:
        yield at


async def approve_for_ever(on: Stage) -> None:
    """Somebody who says yes to everything, at once."""
    while True:
        approve(on)
        await asyncio.sleep(10)


def approve(on: Stage) -> None:
    """Somebody approves all that is held."""
    now = wall() + on.skew_s
    for each in on.ledger.pending(now):
        on.ledger.approve(each.batch.items, now)


def wall() -> float:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.wall()


def changes(on: Stage, app: str = "acme-alice") -> list[str]:
    """The calls that took something of an app away, in order, without the journal's doubles."""
    calls = [f"{each.method} {each.path.partition('?')[0]}" for each in on.fly.journal.requests]
    told = [call for call in calls if call.startswith(("POST", "PATCH", "DELETE")) and f"/{app}" in call]
    return [call for call in told if "/lease" not in call]


async def stays(at: Scene, way: Way, *, for_s: float = HOUR_S) -> None:
    """Let it happen, and for sixty times the grace nothing that lives is touched."""
    before = at.lives
    assert all(machines for _, machines, _ in before.values())
    await way.happens(at)
    await asyncio.sleep(for_s)
    same(before, at.on, way)
    if way.proof:
        assert at.run.condition("alice", "Stalled") == ("True", way.proof), way.sentence


async def stays_after_a_restart(on: Stage, before: Lives, way: Way, *, for_s: float = HOUR_S) -> None:
    """The same for a reconciler that knows nothing of what was; or that does not even start."""
    with contextlib.suppress(NotUsable):
        async with on.running():
            await asyncio.sleep(for_s)
    same(before, on, way)


def same(before: Lives, on: Stage, way: Way) -> None:
    """All that lived lives, with the same ids and running."""
    now = lives(on)
    assert {name: now.get(name) for name in before} == before, way.sentence
    states = {each.state for name in before for each in on.fly.world.apps[name].living()}
    assert states == {"started"}, way.sentence


@contextlib.contextmanager
def answering(on: Stage, distort: Callable[[Any, Any, Body], Body]) -> Any:
    """Answers of Fly's are changed for as long as the block."""
    on.line.distort = distort
    try:
        yield
    finally:
        on.line.distort = lambda _request, _answer, body: body
