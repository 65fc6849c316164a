"""The documents as a commit has them, put into a folder of their own for as long as they are looked at.

Answers for reading git's objects and leaving work tree and index alone. `git` itself is asked: whoever made
the clone has it, and it alone knows every way to name a commit and every kind of clone.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.config import ConfigError
from reconciler.git_environment import QUIET, git_environment

LONGEST_S = 300


@contextmanager
def documents_at(specs: Path, revision: str) -> Iterator[Path]:
    """What `specs` was at `revision`, to be read as any documents are; nothing of it remains.

    An empty folder when it was not there. Raises ConfigError.
    """
    place = specs.resolve()
    is_folder = place.is_dir()
    folder = place if is_folder else place.parent
    top = Path(_answer(folder, revision, "rev-parse", "--show-toplevel"))
    commit = _commit(folder, revision)
    inside = folder.relative_to(top.resolve()).as_posix()
    tree = _git(folder, "rev-parse", "--verify", "--quiet", f"{commit}:{'' if inside == '.' else inside}")
    with tempfile.TemporaryDirectory(prefix="reconciler-") as made:
        there = Path(made).resolve() / "documents"
        there.mkdir()
        if tree.returncode == 0:
            _check_out(folder, revision, tree.stdout.strip(), there)
        yield there if is_folder else there / place.name


def _check_out(folder: Path, revision: str, tree: str, there: Path) -> None:
    objects = _answer(folder, revision, "rev-parse", "--absolute-git-dir")
    apart = {
        "GIT_DIR": objects,
        "GIT_WORK_TREE": str(there),
        "GIT_INDEX_FILE": str(there.parent / "index"),
    }
    _answer(there, revision, "read-tree", tree, **apart)
    _answer(there, revision, "checkout-index", "--all", **apart)


def _commit(folder: Path, revision: str) -> str:
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode == 0:
        return found.stdout.strip()
    if _answer(folder, revision, "rev-parse", "--is-shallow-repository") == "true":
        raise ConfigError(
            f"--changed-since {revision}: there is no such commit in this clone, which is shallow; fetch "
            "more: git fetch --unshallow, or fetch-depth: 0 where CI checks out"
        )
    raise ConfigError(
        f"--changed-since {revision}: there is no such commit in this clone; git fetch may bring it"
    )


def _answer(folder: Path, revision: str, *words: str, **variables: str) -> str:
    """What git says. Raises ConfigError with git's own line."""
    done = _git(folder, *words, **variables)
    if done.returncode:
        why = next(iter(done.stderr.strip().splitlines()), "it says nothing").removeprefix("fatal: ")
        raise ConfigError(f"--changed-since {revision}: git {words[0]} in {folder}: {why}")
    return done.stdout.strip()


def _git(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 (words are ours; a revision follows --end-of-options)
            ["git", *QUIET, *words],  # noqa: S607 (found where the user's own shell finds it)
            cwd=folder,
            env={**git_environment(os.environ), **variables},
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST_S,
        )
    except FileNotFoundError:
        raise ConfigError("--changed-since needs git, which is not installed here") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"--changed-since: git {words[0]} did not end within {LONGEST_S} s") from None
