"""Planning what a commit touched: content decides, git's objects are read, work tree and index stay alone."""

import subprocess
from pathlib import Path

import pytest

from reconciler.config import ConfigError
from reconciler.core.spec import Specs
from reconciler.intent import Intent
from reconciler.revision import documents_at
from reconciler.secret_source import SecretSource
from reconciler.source import Source
from tests.stage import FLEET, MACHINE, user

pytestmark = pytest.mark.wire


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A clone with a fleet of two in a folder of it, committed once."""
    folder = tmp_path / "repository" / "deep" / "specs"
    (folder / "users").mkdir(parents=True)
    (folder / "fleet.yaml").write_text(FLEET)
    (folder / "machine.yaml").write_text(MACHINE)
    for name in ("alice", "bob"):
        (folder / "users" / f"{name}.yaml").write_text(user(name))
    git(tmp_path / "repository", "init")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    git(folder, "add", "--all", ".")
    git(folder, "commit", "--message", "m")


def at(specs: Path, revision: str) -> Specs:
    with documents_at(specs, revision) as there:
        return Source(there).read()


def touched(specs: Path, revision: str) -> tuple[set[str], set[str]]:
    """Who is wanted otherwise now, and who is gone."""
    intent = Intent(secrets=SecretSource(environ={}, derive=None), root_key=None)
    intent.take(Source(specs).read())
    change = intent.changed_since(at(specs, revision))
    return set(change.moved), set(change.vanished)


def test_nothing_edited_touches_nobody(specs: Path) -> None:
    """The last commit against itself, and against files that only look different."""
    path = specs / "users" / "alice.yaml"
    path.write_text(
        "# a comment\n"
        + path.read_text("utf-8").replace("metadata: {name: alice}", "metadata:\n  name: alice")
    )
    path.rename(specs / "users" / "renamed.yaml")
    assert touched(specs, "HEAD") == (set(), set())


def test_an_edited_a_new_and_a_removed_document_are_found(specs: Path) -> None:
    """Also before they are committed: what counts is what the documents say now."""
    (specs / "users" / "alice.yaml").write_text(user("alice").replace("size_gb: 1", "size_gb: 2"))
    (specs / "users" / "carol.yaml").write_text(user("carol"))
    (specs / "users" / "bob.yaml").unlink()
    assert touched(specs, "HEAD") == ({"alice", "carol"}, {"bob"})
    commit(specs)
    assert touched(specs, "HEAD") == (set(), set())
    assert touched(specs, "HEAD~1") == ({"alice", "carol"}, {"bob"})


def test_a_template_that_many_share_touches_all_of_them(specs: Path) -> None:
    """No user's document changed, and every machine would."""
    (specs / "machine.yaml").write_text(MACHINE.replace("studio:1", "studio:2"))
    assert touched(specs, "main") == ({"alice", "bob"}, set())


def test_a_document_that_does_not_parse_now_is_nobody_gone(specs: Path) -> None:
    """It is told as a problem, and never planned as if its user had left."""
    (specs / "users" / "bob.yaml").write_text("kind: [")
    assert touched(specs, "HEAD") == (set(), set())


def test_a_folder_that_was_not_there_yet_makes_everybody_new(specs: Path) -> None:
    """The commit before the documents came is a commit with none."""
    git(specs.parent, "mv", "specs", "fleet")
    commit(specs.parent / "fleet")
    assert touched(specs.parent / "fleet", "HEAD~1") == ({"alice", "bob"}, set())


def test_work_tree_and_index_stay_as_they_are(specs: Path) -> None:
    """Uncommitted and staged edits are still there, and git notices nothing."""
    (specs / "users" / "alice.yaml").write_text("edited")
    (specs / "users" / "bob.yaml").write_text("staged")
    git(specs, "add", "users/bob.yaml")
    before = git(specs, "status", "--porcelain=v2")
    with documents_at(specs, "HEAD") as there:
        assert (there / "users" / "alice.yaml").read_text("utf-8") == user("alice")
        assert not there.is_relative_to(specs)
    assert not there.exists()
    assert git(specs, "status", "--porcelain=v2") == before


def test_one_file_is_found_as_one_file(specs: Path) -> None:
    """SPECS may be a file; then that file of the commit is read."""
    with documents_at(specs / "users" / "alice.yaml", "HEAD") as there:
        assert there.is_file()
        assert there.read_text("utf-8") == user("alice")


def test_a_second_work_tree_is_a_clone_as_well(specs: Path, tmp_path: Path) -> None:
    """`git worktree add` puts a file where the folder .git would be."""
    git(specs, "worktree", "add", str(tmp_path / "second"))
    assert touched(tmp_path / "second" / "deep" / "specs", "HEAD") == (set(), set())


@pytest.mark.parametrize("revision", ["nowhere", "--upload-pack=x", "HEAD:deep", "", "HEAD~99"])
def test_a_commit_that_is_not_there_is_one_line(specs: Path, revision: str) -> None:
    """A mistyped name, a tree, an option: the line names what was asked for, and what may help."""
    with pytest.raises(ConfigError, match=r"^--changed-since .*: there is no such commit in this clone; .*$"):
        at(specs, revision)


def test_a_shallow_clone_says_that_it_is_one(specs: Path, tmp_path: Path) -> None:
    """CI clones one commit by default: the line says how to get more."""
    commit_again = specs / "users" / "alice.yaml"
    commit_again.write_text(user("alice") + "# again\n")
    commit(specs)
    git(tmp_path, "clone", "--depth", "1", f"file://{tmp_path / 'repository'}", "shallow")
    with pytest.raises(ConfigError, match="shallow; fetch more: git fetch --unshallow"):
        at(tmp_path / "shallow" / "deep" / "specs", "HEAD~1")


def test_a_folder_outside_any_clone_is_one_line(tmp_path: Path) -> None:
    """The line carries git's own words."""
    with pytest.raises(ConfigError, match=r"--changed-since HEAD: git rev-parse in .*: not a git repository"):
        at(tmp_path, "HEAD")
