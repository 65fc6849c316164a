"""What is on the disk, whatever state it is in, and that a saved file is noticed."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.spec import Specs
from reconciler.readings import LARGEST_FILE_BYTES
from reconciler.source import Source
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


def lfs(folder: Path) -> None:
    (folder / "x.yaml").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


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
        (lfs, "it is a pointer to Git LFS, not the content; keep this file in git itself"),
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
    (tmp_path / "broken.yaml").symlink_to("nowhere")
    (tmp_path / "again-and-again").symlink_to(".")
    assert lines(Source(tmp_path).read(), tmp_path) == [
        "specs/broken.yaml: cannot be read: no such file or directory [unreadable]"
    ]


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


SET = """apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: everybody}
spec:
  source: {csv: ../tables/users.csv}
  template: {spec: {machines: [{name: web, template: studio}]}}
"""


def with_table(folder: Path, rows: str = "name\ncarol\n", *, file: str = "users.csv") -> Path:
    filled(folder)
    (folder / "tables").mkdir()
    (folder / "tables" / file).write_text(rows)
    (folder / "tables" / "set.yaml").write_text(SET.replace("../tables/users.csv", file))
    return folder


def test_a_table_is_read_beside_its_document(tmp_path: Path) -> None:
    """Its path starts at the document's folder."""
    specs = Source(with_table(tmp_path)).read()
    assert lines(specs, tmp_path) == []
    assert list(specs.users) == ["alice", "bob", "carol"]


def table_missing(table: Path) -> None:
    table.unlink()


def table_out(table: Path) -> None:
    table.unlink()
    table.symlink_to("/etc/hostname")


def table_pipe(table: Path) -> None:
    table.unlink()
    os.mkfifo(table)


def table_latin1(table: Path) -> None:
    table.write_bytes(b"name\ncaf\xe9\n")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (table_missing, "no such file or directory"),
        (table_out, "it is a link that leads out of specs"),
        (table_pipe, "it is not an ordinary file"),
        (table_latin1, "line 2 is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    """By the same rules as specs; its rows may be anybody's."""
    table = with_table(tmp_path) / "tables" / "users.csv"
    damage(table)
    specs = Source(tmp_path).read()
    assert lines(specs, tmp_path) == [
        "specs/tables/set.yaml:5:17: spec.source.csv: specs/tables/users.csv cannot be read: "
        f"{reason} [unreadable]"
    ]
    assert list(specs.users) == ["alice", "bob"]
    assert not specs.complete


def test_a_second_reading_takes_the_table_as_it_is_then(tmp_path: Path) -> None:
    """Rows are not remembered longer than they stand there."""
    source = Source(with_table(tmp_path))
    source.read()
    (tmp_path / "tables" / "users.csv").write_text("name\ndave\nbob\n")
    specs = source.read()
    assert list(specs.users) == ["alice", "dave"]
    assert specs.broken == {"bob"}
    (tmp_path / "tables" / "users.csv").write_text("name\ncarol\n")
    specs = source.read()
    assert lines(specs, tmp_path) == []
    assert list(specs.users) == ["alice", "bob", "carol"]


def test_what_was_fine_is_checked_again_when_what_it_leans_on_changes(tmp_path: Path) -> None:
    """Documents and rows alike."""
    source = Source(with_table(tmp_path))
    assert len(source.read().users) == 3
    base = tmp_path / "base.yaml"
    base.write_text(sample.BASE.replace("reserved: [www]", "reserved: [www, carol, bob]"))
    specs = source.read()
    assert list(specs.users) == ["alice"]
    assert specs.broken == {"bob", "carol"}
    base.write_text(sample.BASE.replace("{name: studio}", "{name: other}"))
    assert not source.read().users
    base.write_text(sample.BASE)
    assert len(source.read().users) == 3


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("index.lock", "git holds index.lock"),
        ("MERGE_HEAD", "a merge is under way"),
        ("CHERRY_PICK_HEAD", "a cherry-pick is under way"),
        ("rebase-merge", "a rebase is under way"),
        ("rebase-apply", "a rebase is under way"),
    ],
)
@pytest.mark.parametrize("is_second_tree", [False, True])
def test_half_a_checkout_is_not_complete(
    tmp_path: Path, state: str, why: str, *, is_second_tree: bool
) -> None:
    """A document that is not there may be there in a moment; what is there counts all the same."""
    git = tmp_path / ("elsewhere" if is_second_tree else ".git")
    git.mkdir()
    if is_second_tree:
        (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    source = Source(filled(tmp_path / "specs"))
    assert source.read().complete
    (git / state).mkdir() if "rebase" in state else (git / state).touch()
    specs = source.read()
    assert list(specs.users) == ["alice", "bob"]
    assert not specs.complete
    assert specs.incomplete_because == (f"{tmp_path}/specs: {why}",)
    (git / state).rmdir() if "rebase" in state else (git / state).unlink()
    assert source.read().complete


def test_a_source_has_settled_when_two_readings_list_the_same_names(tmp_path: Path) -> None:
    """Two seconds apart; a name more or less, or a file that cannot be read, begins them anew."""
    source = Source(with_table(tmp_path))
    table = tmp_path / "tables" / "users.csv"
    assert not source.settled(now=100.0)
    assert not source.settled(now=101.0)
    table.write_text("name\ncarol\ndave\n")
    assert not source.settled(now=102.0)
    assert not source.settled(now=103.9)
    assert source.settled(now=104.0)
    assert source.settled(now=104.1)
    (tmp_path / "users" / "bob.yaml").write_text(sample.user("bob", more="  protect: true\n"))
    assert source.settled(now=104.2)
    (tmp_path / "users" / "bob.yaml").write_text("broken: [")
    assert not source.settled(now=110.0)
    assert not source.settled(now=120.0)


@pytest.mark.wire
async def test_a_finished_merge_is_noticed_although_no_file_changed(tmp_path: Path) -> None:
    """The source was not complete while it lasted, and nobody touches a document afterwards."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "MERGE_HEAD").touch()
    source = Source(filled(tmp_path / "specs"))
    assert not source.read().complete
    stop = asyncio.Event()
    looks = source.watch(stop)
    (tmp_path / ".git" / "MERGE_HEAD").unlink()
    async with asyncio.timeout(NOTICED_WITHIN_S):
        assert (await anext(looks)).complete
    stop.set()
    await looks.aclose()  # type: ignore[attr-defined]  # a generator behind the Iterator
