"""A branch as the source: what is read of it, when it is asked, and what holds while it cannot be."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import asynccontextmanager, chdir
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.core.spec import Specs
from reconciler.git_source import FIRST_PAUSE_S, JITTER, GitSource
from reconciler.source import Source
from reconciler.witness import Witness
from tests.core import sample
from tests.git_objects import Objects

POLL_S = 30.0
OUT = "it is a link that leads out of specs"


async def at_once(work: Callable[[], Specs]) -> Specs:
    """Virtual time does not wait for threads."""
    return work()


def source_of(objects: Objects, *, path: str = "specs") -> GitSource:
    random = Random(3)  # noqa: S311 - jitter, not a secret
    return GitSource(objects, path=path, random=random, poll_s=POLL_S, beside=at_once)


def two_users() -> Objects:
    return Objects(
        {
            "README.md": "of the whole repository",
            "specs/base.yaml": sample.BASE,
            "specs/users/a/alice.yml": sample.user("alice"),
            "specs/users/bob.yaml": sample.user("bob"),
        }
    )


def lines(specs: Specs) -> list[str]:
    return [str(problem) for problem in specs.problems]


def test_every_yaml_file_below_the_folder_is_read() -> None:
    """By the rules of a folder: other files, names with a dot in front and other folders do not count."""
    objects = two_users()
    for name in ("specs/.hidden.yaml", "specs/notes.txt", "specs/.github/ci.yaml", "elsewhere/x.yaml"):
        objects.write(name, "broken: [")
    specs = source_of(objects).read()
    assert lines(specs) == []
    assert list(specs.users) == ["alice", "bob"]
    assert specs.complete
    assert objects.revision("specs").commit.startswith(specs.revision)


def test_the_whole_repository_may_be_the_folder() -> None:
    """Then files are shown by their paths in it."""
    objects = two_users()
    objects.write("x.yaml", "broken: [")
    specs = source_of(objects, path=".").read()
    assert list(specs.users) == ["alice", "bob"]
    assert lines(specs)[0].startswith("x.yaml:2:1: ")


def test_a_folder_that_a_revision_lacks_is_one_line_and_nobody_is_gone() -> None:
    """The line names the revision and the flag."""
    specs = source_of(two_users(), path="spec").read()
    (line,) = lines(specs)
    assert line.startswith("spec: cannot be read: no such folder in revision ")
    assert "--path" in line
    assert not specs.complete


@pytest.mark.parametrize(
    ("name", "content", "mode", "reason"),
    [
        ("x.yaml", "nowhere", "120000", "no such file or directory"),
        ("x.yaml", "base.yaml/y", "120000", "not a directory"),
        ("x.yaml", "x.yaml", "120000", "its links lead in a circle"),
        ("x.yaml", "/proc/self/environ", "120000", OUT),
        ("x.yaml", "../../../etc/passwd", "120000", OUT),
        ("x.yaml", "../README.md", "120000", OUT),
        ("x", "../elsewhere", "120000", OUT),
        ("x", "..", "120000", OUT),
        ("x.yaml", "y" * 5000, "120000", "its link is longer than any path"),
        ("x", "ab" * 20, "160000", "it is a submodule; documents of another repository are not fetched"),
        ("x.yaml", "made up", "140000", "it is not an ordinary file"),
        (
            "x.yaml",
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "100644",
            "it is a pointer to Git LFS, not the content; keep this file in git itself",
        ),
        ("x.yaml", b"a: 1\nb: caf\xe9\n", "100755", "line 2 is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_what_is_no_ordinary_file_is_one_line(
    name: str, content: str | bytes, mode: str, reason: str
) -> None:
    """The rest is read all the same, and nobody takes a missing name for a deleted one."""
    objects = two_users()
    objects.write(f"specs/{name}", content, mode)
    specs = source_of(objects).read()
    assert lines(specs) == [f"specs/{name}: cannot be read: {reason} [unreadable]"]
    assert list(specs.users) == ["alice", "bob"]
    assert not specs.complete


SET = """apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: everybody}
spec:
  source: {csv: users.csv}
  template: {spec: {machines: [{name: web, template: studio}]}}
"""


def test_a_table_is_read_beside_its_document() -> None:
    """Through links as well, and anew when it changed."""
    objects = two_users()
    objects.write("specs/tables/set.yaml", SET)
    objects.write("specs/tables/users.csv", "../rows.csv", "120000")
    objects.write("specs/rows.csv", "name\ncarol\n")
    source = source_of(objects)
    assert list(source.read().users) == ["alice", "bob", "carol"]
    objects.write("specs/rows.csv", "name\ndora\n")
    assert list(source.read().users) == ["alice", "bob", "dora"]
    objects.write("specs/tables/users.csv", "../../rows.csv", "120000")
    specs = source.read()
    assert {line.partition("cannot be read: ")[2] for line in lines(specs)} == {f"{OUT} [unreadable]"}
    assert not specs.complete


NAMES = st.sampled_from(["a.yaml", "b.yml", "sub", ".dot", "notes.txt"])
STEPS = st.sampled_from(["a.yaml", "b.yml", "sub", "..", ".", "specs", "gone"])
TARGETS = st.lists(STEPS, min_size=1, max_size=4)
CONTENTS = st.sampled_from([sample.BASE, sample.user("alice"), sample.user("bob"), "broken: [", ""])


@settings(max_examples=150, deadline=None)
@given(
    files=st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), CONTENTS, max_size=5),
    links=st.dictionaries(
        st.lists(NAMES, min_size=1, max_size=3).map("/".join), TARGETS.map("/".join), max_size=5
    ),
)
def test_a_folder_and_a_revision_of_it_say_the_same(files: dict[str, str], links: dict[str, str]) -> None:
    """Documents, problems and their places, and whether anything is missing."""
    with tempfile.TemporaryDirectory() as made, chdir(made):
        folder = Path("specs")
        folder.mkdir()
        for path, content in files.items():
            if _can_be_made(folder / path):
                (folder / path).write_text(content)
        for path, target in links.items():
            if _can_be_made(folder / path):
                (folder / path).symlink_to(target)
        objects = Objects()
        objects.take_folder(folder)
        assume(objects.files)
        on_disk, in_git = Source("specs").read(), source_of(objects).read()
        # Git holds no empty folders, and what lies outside is not looked at.
        assume(not any(OUT in line for line in (*lines(in_git), *lines(on_disk))))
        assume(not any("empty folder" in line for line in lines(on_disk)))
        assert in_git == on_disk
        assert lines(in_git) == lines(on_disk)


def _can_be_made(path: Path) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return not os.path.lexists(path) and path.parent.resolve().is_relative_to(Path("specs").resolve())


def test_only_what_changed_is_read_again() -> None:
    """A commit that touches one file of many costs that one."""
    objects = two_users()
    source = source_of(objects)
    source.read()
    objects.asked_for.clear()
    objects.write("specs/users/bob.yaml", sample.user("carol"))
    assert list(source.read().users) == ["alice", "carol"]
    assert len(objects.asked_for) == 1
    del objects.files["specs/users/a/alice.yml"]
    assert list(source.read().users) == ["carol"]
    assert len(objects.asked_for) == 1


class Follower:
    """Keeps what a source gave, while it is followed."""

    def __init__(self, objects: Objects) -> None:
        self.given: list[Specs] = []
        self.source = source_of(objects)
        self.first = self.source.read()
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        objects.clock = loop.time
        objects.fetched_at.clear()

    async def run(self) -> None:
        async for specs in self.source.watch(self._stop):
            self.given.append(specs)

    def stop(self) -> None:
        self._stop.set()


@asynccontextmanager
async def followed(objects: Objects) -> Any:
    follower = Follower(objects)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follower.run())
        yield follower
        follower.stop()


async def test_the_branch_is_asked_at_every_poll_and_content_decides() -> None:
    """A commit elsewhere in the repository, or back to what was there, is nothing new."""
    objects = two_users()
    async with followed(objects) as follower:
        objects.write("README.md", "another commit")
        await asyncio.sleep(10 * POLL_S)
        assert follower.given == []
        gaps = [b - a for a, b in zip(objects.fetched_at, objects.fetched_at[1:], strict=False)]
        assert len(gaps) >= 8
        assert all(POLL_S * (1 - JITTER) <= gap <= POLL_S * (1 + JITTER) for gap in gaps)
        assert len({round(gap, 3) for gap in gaps}) > 1
        objects.write("specs/users/carol.yaml", sample.user("carol"))
        await asyncio.sleep(POLL_S * (1 + JITTER))
        assert [list(specs.users) for specs in follower.given] == [["alice", "bob", "carol"]]
        assert follower.given[0].revision != follower.first.revision


async def test_a_nudge_asks_now() -> None:
    """As SIGHUP does."""
    objects = two_users()
    async with followed(objects) as follower:
        await asyncio.sleep(1)
        objects.write("specs/users/carol.yaml", sample.user("carol"))
        follower.source.nudge()
        await asyncio.sleep(0.1)
        assert objects.fetched_at == [1.0]
        assert len(follower.given) == 1


async def test_while_it_cannot_be_asked_the_last_revision_stays_and_is_told_once() -> None:
    """It is asked again soon and then less often; in what is known nobody counts as gone meanwhile."""
    objects = two_users()
    async with followed(objects) as follower:
        objects.failure = "git ls-remote: no answer after 130 ms"
        await asyncio.sleep(POLL_S * (1 + JITTER))
        objects.failure = "git ls-remote: no answer after 190 ms"
        await asyncio.sleep(10 * POLL_S)
        (specs,) = follower.given
        assert specs.users == follower.first.users
        assert not specs.complete
        line = (
            "specs: cannot be fetched: git ls-remote: no answer after 130 ms; "
            f"revision {follower.first.revision} stays in force [unreadable]"
        )
        assert lines(specs) == [line]
        first, second = objects.fetched_at[:2]
        assert second - first <= FIRST_PAUSE_S * (1 + JITTER)
        assert objects.fetched_at[-1] - objects.fetched_at[-2] >= POLL_S * (1 - JITTER)
        objects.failure = "git ls-remote: there is no branch main"
        await asyncio.sleep(POLL_S * (1 + JITTER))
        assert "there is no branch main" in lines(follower.given[1])[0]
        objects.failure = ""
        await asyncio.sleep(POLL_S * (1 + JITTER))
        assert follower.given[2] == follower.first
        assert len(follower.given) == 3


async def test_who_is_gone_is_believed_only_of_a_branch_that_answers() -> None:
    """Two readings two seconds apart, both asked of the remote; a failure between them begins anew."""
    objects = two_users()
    source = source_of(objects)
    witness = Witness(lambda: at_once(source.read))

    async def doubt() -> str:
        return await witness.doubt("carol", installation="a1b2c3")

    assert "same names for 2 s" in await doubt()
    await asyncio.sleep(2)
    assert await doubt() == ""
    objects.failure = "no answer"
    await asyncio.sleep(2)
    assert "cannot be fetched: no answer" in await doubt()
    objects.failure = ""
    await asyncio.sleep(2)
    assert "same names for 2 s" in await doubt()
    await asyncio.sleep(2)
    assert await doubt() == ""
    objects.write("specs/carol.yaml", sample.user("carol"))
    await asyncio.sleep(2)
    assert await doubt() == "there is a document carol again"


def test_a_start_while_it_is_away_has_what_an_earlier_life_brought() -> None:
    """And without such, nothing: no fleet, and not complete."""
    objects = two_users()
    objects.failure = "no answer"
    specs = source_of(objects).read()
    assert specs.fleet is None
    assert not specs.complete
    assert lines(specs) == ["specs: cannot be fetched: no answer; nothing is known [unreadable]"]
    objects.has_brought = True
    specs = source_of(objects).read()
    assert list(specs.users) == ["alice", "bob"]
    assert not specs.complete
