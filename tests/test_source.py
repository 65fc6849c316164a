"""What is on the disk, whatever state it is in, and that a saved file is noticed."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.spec import Specs
from reconciler.source import LARGEST_FILE_BYTES, Source
from tests.core import sample

NOTICED_WITHIN_S = 8.0


def lines(specs: Specs, folder: Path) -> list[str]:
    return [str(problem).replace(str(folder), "specs") for problem in specs.problems]


def filled(folder: Path) -> Path:
    (folder / "users" / "a").mkdir(parents=True)
    (folder / "base.yaml").write_text(sample.BASE)
    (folder / "users" / "a" / "alice.yml").write_text(sample.user("alice"))
    (folder / "users" / "bob.yaml").write_text(sample.user("bob"))
    return folder


def test_every_yaml_file_of_any_depth_is_read(tmp_path: Path) -> None:
    """`.yaml` and `.yml` count; other files and names that begin with a dot do not."""
    filled(tmp_path)
    for name in (".hidden.yaml", "notes.txt", "users/alice.yaml~", "x.yaml.swp"):
        (tmp_path / name).write_text("broken: [")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("broken: [")
    specs = Source(tmp_path).read()
    assert lines(specs, tmp_path) == []
    assert list(specs.users) == ["alice", "bob"]
    assert specs.complete


def test_one_file_is_a_source_too(tmp_path: Path) -> None:
    """Whatever it is called."""
    (tmp_path / "fleet").write_text(sample.BASE + "---\n" + sample.user())
    assert list(Source(tmp_path / "fleet").read().users) == ["alice"]


def test_problems_name_the_file_as_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path stays relative."""
    filled(tmp_path / "specs")
    (tmp_path / "specs" / "users" / "bob.yaml").write_text(sample.user("bob", more="  x: 1\n"))
    monkeypatch.chdir(tmp_path)
    (problem,) = Source("specs").read().problems
    assert str(problem).startswith("specs/users/bob.yaml:6:3: spec.x: unknown field")


def test_a_missing_source_is_a_problem_and_nothing_is_gone(tmp_path: Path) -> None:
    """No folder: one line, and the source is not complete."""
    specs = Source(tmp_path / "nowhere").read()
    assert lines(specs, tmp_path) == ["specs/nowhere: cannot be read: no such file or directory [unreadable]"]
    assert not specs.complete


def test_an_empty_folder_lacks_a_fleet(tmp_path: Path) -> None:
    """It was read, so that is all there is to say."""
    specs = Source(tmp_path).read()
    assert lines(specs, tmp_path) == ["specs: there is no Fleet document; expected exactly one [no-fleet]"]


def unreadable_link(folder: Path) -> None:
    (folder / "x.yaml").symlink_to("nowhere")


def link_out(folder: Path) -> None:
    (folder / "x.yaml").symlink_to("/proc/self/environ")


def folder_out(folder: Path) -> None:
    (folder / "x.yaml").symlink_to("/etc")


def loop(folder: Path) -> None:
    (folder / "x.yaml").symlink_to("x.yaml")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "x.yaml")


def latin1(folder: Path) -> None:
    (folder / "x.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")


def utf16(folder: Path) -> None:
    (folder / "x.yaml").write_bytes("a: 1\n".encode("utf-16"))


def huge(folder: Path) -> None:
    with (folder / "x.yaml").open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (unreadable_link, "no such file or directory"),
        (link_out, "it is a link that leads out of specs"),
        (folder_out, "it is a link that leads out of specs"),
        (loop, "its links lead in a circle"),
        (pipe, "it is not an ordinary file"),
        (latin1, "line 2 is not UTF-8 text; save it as UTF-8"),
        (utf16, "line 1 is not UTF-8 text; save it as UTF-8"),
        (huge, "it is larger than 64 MiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    """The rest is read all the same, and nobody takes a missing name for a deleted one."""
    damage(filled(tmp_path))
    specs = Source(tmp_path).read()
    assert lines(specs, tmp_path) == [f"specs/x.yaml: cannot be read: {reason} [unreadable]"]
    assert list(specs.users) == ["alice", "bob"]
    assert not specs.complete


@pytest.mark.parametrize("name", ["users/bob.yaml", "users"])
def test_a_file_or_folder_without_permission_is_one_line(tmp_path: Path, name: str) -> None:
    """Without the right to read, what is inside is unknown, not gone."""
    path = filled(tmp_path) / name
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(0)
    try:
        specs = Source(tmp_path).read()
        may_read_anything = os.access(path, os.R_OK)  # root may
    finally:
        path.chmod(mode)
    if may_read_anything:
        assert specs.complete
    else:
        assert lines(specs, tmp_path) == [f"specs/{name}: cannot be read: permission denied [unreadable]"]
        assert not specs.complete


def test_links_inside_the_folder_are_followed_once(tmp_path: Path) -> None:
    """A loop of links ends, and a file with two names is not two documents of one name."""
    filled(tmp_path)
    (tmp_path / "users" / "up").symlink_to("..")
    (tmp_path / "again").symlink_to("users")
    (tmp_path / "again.yaml").symlink_to("users/bob.yaml")
    (tmp_path / "self").symlink_to("self")
    specs = Source(tmp_path).read()
    assert lines(specs, tmp_path) == []
    assert list(specs.users) == ["alice", "bob"]


def test_a_folder_mounted_by_kubernetes_is_read_once(tmp_path: Path) -> None:
    """Its files are links into a folder whose name begins with two dots."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "fleet.yaml").write_text(sample.BASE)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "fleet.yaml").symlink_to("..data/fleet.yaml")
    assert lines(Source(tmp_path).read(), tmp_path) == []


def test_a_second_reading_says_what_the_disk_says_then(tmp_path: Path) -> None:
    """What is kept from the first reading never outlives the bytes that it came from."""
    source = Source(filled(tmp_path))
    source.read()
    (tmp_path / "users" / "bob.yaml").write_text(sample.user("carol"))
    (tmp_path / "users" / "a" / "alice.yml").unlink()
    changed = source.read()
    assert list(changed.users) == ["carol"]
    assert changed == Source(tmp_path).read()


async def until(condition: Callable[[], bool], seen: asyncio.Condition) -> None:
    async with asyncio.timeout(NOTICED_WITHIN_S), seen:
        await seen.wait_for(condition)


class Watcher:
    """Keeps the specs that a watched source gave, and wakes whoever waits for the next."""

    def __init__(self, source: Source) -> None:
        self.stop = asyncio.Event()
        self.given: list[Specs] = []
        self._source = source
        self._seen = asyncio.Condition()

    async def run(self) -> None:
        async for specs in self._source.watch(self.stop):
            async with self._seen:
                self.given.append(specs)
                self._seen.notify_all()

    async def until(self, *users: str) -> None:
        await until(lambda: bool(self.given) and list(self.given[-1].users) == sorted(users), self._seen)


@pytest.mark.wire
async def test_what_is_saved_added_moved_and_removed_is_noticed(tmp_path: Path) -> None:
    """Each change below the folder gives the specs again; touching a file without changing it does not."""
    source = Source(filled(tmp_path))
    source.read()
    watcher = Watcher(source)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run())
        (tmp_path / "carol.yaml").write_text(sample.user("carol"))
        await watcher.until("alice", "bob", "carol")
        (tmp_path / "users").rename(tmp_path.with_name("elsewhere"))
        await watcher.until("carol")
        count = len(watcher.given)
        (tmp_path / "carol.yaml").touch()
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "dora.yaml").write_text(sample.user("dora"))
        await watcher.until("carol", "dora")
        assert len(watcher.given) == count + 1
        watcher.stop.set()


@pytest.mark.wire
async def test_a_folder_that_is_replaced_or_comes_later_is_watched(tmp_path: Path) -> None:
    """A checkout beside the old one, swapped in by renaming, is seen; so is a folder that was not there."""
    folder = tmp_path / "specs"
    source = Source(folder)
    source.read()
    watcher = Watcher(source)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run())
        filled(folder)
        await watcher.until("alice", "bob")
        filled(tmp_path / "next")
        (tmp_path / "next" / "users" / "bob.yaml").unlink()
        folder.rename(tmp_path / "old")
        (tmp_path / "next").rename(folder)
        await watcher.until("alice")
        (folder / "users" / "bob.yaml").write_text(sample.user("bob"))
        await watcher.until("alice", "bob")
        watcher.stop.set()


@pytest.mark.wire
async def test_a_single_file_is_watched_through_editors_that_replace_it(tmp_path: Path) -> None:
    """Saving by renaming a new file over the old one is a change like any other."""
    file = tmp_path / "fleet.yaml"
    file.write_text(sample.BASE + "---\n" + sample.user("alice"))
    source = Source(file)
    source.read()
    watcher = Watcher(source)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher.run())
        for name in ("bob", "carol"):
            (tmp_path / "new").write_text(sample.BASE + "---\n" + sample.user(name))
            (tmp_path / "new").rename(file)
            await watcher.until(name)
        watcher.stop.set()
