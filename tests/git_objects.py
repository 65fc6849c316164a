"""A repository in memory, for tests of what is made of one; `git` itself is in those marked wire."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from reconciler.git_mirror import GitError, Revision
from reconciler.git_tree import Entry


class Objects:
    """One branch; `files` by path in the repository: a content, or the id of a submodule's commit."""

    def __init__(self, files: Mapping[str, str | bytes] | None = None) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self.failure = ""  # why it cannot be asked
        self.has_brought = False  # in a life before this one
        self.fetched_at: list[float] = []
        self.asked_for: list[str] = []  # blobs
        self.clock: Callable[[], float] = float
        self._trees: dict[str, dict[str, tuple[str, bytes]]] = {}
        self._blobs: dict[str, bytes] = {}
        for path, content in (files or {}).items():
            self.write(path, content)

    def write(self, path: str, content: str | bytes, mode: str = "100644") -> None:
        """The next commit has it; mode 120000 is a link, whose content is where it leads."""
        self.files[path] = mode, content if isinstance(content, bytes) else content.encode()

    def take_folder(self, folder: Path) -> None:
        """All that git would take of a folder on the disk, as the repository's `specs`."""
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files):
                path = Path(place, name)
                shown = f"specs/{path.relative_to(folder).as_posix()}"
                if path.is_symlink():
                    self.write(shown, os.readlink(path), "120000")  # noqa: PTH115 (as it is written)
                elif path.is_file():
                    self.write(shown, path.read_bytes())

    def fetch(self, path: str) -> Revision:
        self.fetched_at.append(self.clock())
        if self.failure:
            raise GitError(self.failure)
        return self.revision(path)

    def revision(self, path: str) -> Revision:
        """As the files are now."""
        start = "" if path == "." else f"{path}/"
        below = {name.removeprefix(start): it for name, it in self.files.items() if name.startswith(start)}
        tree = _id(repr(sorted(below.items())).encode()) if below else ""
        self._trees[tree] = below
        return Revision(_id(repr(sorted(self.files.items())).encode()), tree)

    def last(self, path: str) -> Revision | None:
        return self.revision(path) if self.has_brought else None

    def entries(self, tree: str) -> dict[str, Entry]:
        found = {}
        for name, (mode, content) in self._trees[tree].items():
            self._blobs[_id(content)] = content
            found[name] = Entry(mode, _id(content), len(content))
        return found

    def blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for oid in oids:
            self.asked_for.append(oid)
            yield oid, self._blobs[oid]


def _id(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:40]


def git(folder: Path, *words: str) -> str:
    """Somebody works in a clone."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
