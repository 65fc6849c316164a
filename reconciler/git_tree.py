"""The files of a revision, found by the rules by which a folder's are: names, links, and what is refused.

Answers for nothing outside the folder of the documents being read. Objects are read by `git_source`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.spec import Unreadable
from reconciler.readings import SUFFIXES

MOST_HOPS = 40  # as Linux has it
CIRCLE = "its links lead in a circle"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of git's listing."""

    mode: str
    oid: str
    size: int

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"

    @property
    def refusal(self) -> str:
        """Why this is no file to read; empty: it is one."""
        if self.mode == "160000":
            return "it is a submodule; documents of another repository are not fetched"
        return "" if self.mode.startswith("100") else "it is not an ordinary file"


_Folder = dict[str, "_Node"]
_Node = Entry | _Folder
_Path = tuple[str, ...]


class _LostError(Exception):
    def __init__(self, reason: str, *, is_outside: bool = False, is_missing: bool = False) -> None:
        super().__init__(reason)
        self.is_outside = is_outside
        self.is_missing = is_missing


class GitTree:
    """What lies below one folder of a revision."""

    def __init__(self, root: str, entries: Mapping[str, Entry], links: Mapping[str, str]) -> None:
        """`root`: the folder, "." for all; `entries` by path below it; `links`: where each leads, by id."""
        self._root = root
        self._prefix = tuple(root.split("/")) if root != "." else ()
        self._links = links
        self._top: _Folder = {}
        for path, entry in entries.items():
            *folders, name = path.split("/")
            here = self._top
            for folder in folders:
                below = here.setdefault(folder, {})
                if isinstance(below, dict):
                    here = below
            here[name] = entry

    def places(self) -> Iterator[tuple[str, Entry | Unreadable]]:
        """Every file of YAML, by the name it is shown with, each once however many links lead to it."""
        yield from self._below(self._prefix, self._prefix, self._top, {self._prefix})

    def find(self, file: str) -> Entry | Unreadable:
        """The file of that path in the repository."""
        try:
            _, node = self._resolve(file.split("/"))
        except _LostError as lost:
            return Unreadable(str(lost))
        if isinstance(node, dict):
            return Unreadable("it is not an ordinary file")
        return Unreadable(node.refusal) if node.refusal else node

    def _below(
        self, shown: _Path, at: _Path, folder: _Folder, seen: set[_Path]
    ) -> Iterator[tuple[str, Entry | Unreadable]]:
        """`shown`: the path that led to `folder`, which is the one at `at`."""
        # Links come last, so that a file is shown under its own name.
        for name in sorted(folder, key=lambda name: (_is_link(folder[name]), name)):
            if name.startswith("."):
                continue
            path = (*shown, name)
            is_spec = name.endswith(SUFFIXES)
            try:
                is_link = _is_link(folder[name])
                place, node = self._resolve(path) if is_link else ((*at, name), folder[name])
            except _LostError as lost:
                # What lies outside is not looked at, what is missing may be a folder: documents may be lost.
                if is_spec or lost.is_outside or (lost.is_missing and "." not in name):
                    yield "/".join(path), Unreadable(str(lost))
                continue
            is_opaque = isinstance(node, Entry) and node.mode == "160000"
            if place in seen or not (isinstance(node, dict) or is_spec or is_opaque):
                continue
            seen.add(place)
            if isinstance(node, dict):
                yield from self._below(path, place, node, seen)
            else:
                yield "/".join(path), Unreadable(node.refusal) if node.refusal else node

    def _resolve(self, path: Sequence[str]) -> tuple[_Path, _Node]:
        """Where the links of a path in the repository lead, and what is there."""
        if path[0] == "":
            raise self._outside()
        todo = list(reversed(path))
        at: list[str] = []
        hops = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if not at:
                    raise self._outside()
                self._folder(at)
                at.pop()
                continue
            node = self._child(at, name)
            if isinstance(node, Entry) and node.is_link:
                hops += 1
                if hops > MOST_HOPS:
                    raise _LostError(CIRCLE)
                todo.extend(reversed(self._target(node)))
            else:
                at.append(name)
        if len(at) < len(self._prefix):
            raise self._outside()
        return tuple(at), self._node(at)

    def _target(self, link: Entry) -> list[str]:
        target = self._links.get(link.oid)
        if target is None:
            raise _LostError("its link is longer than any path")
        if target.startswith("/"):
            raise self._outside()
        return target.split("/")

    def _child(self, at: Sequence[str], name: str) -> _Node:
        if len(at) < len(self._prefix):  # on the way to the folder of the documents
            if self._prefix[len(at)] != name:
                raise self._outside()
            return {}
        here = self._folder(at)
        if name not in here:
            raise _LostError("no such file or directory", is_missing=True)
        return here[name]

    def _folder(self, at: Sequence[str]) -> _Folder:
        node = self._node(at)
        if isinstance(node, Entry):
            raise _LostError("not a directory")
        return node

    def _node(self, at: Sequence[str]) -> _Node:
        node: _Node = self._top
        for name in at[len(self._prefix) :]:
            node = node[name] if isinstance(node, dict) else {}
        return node

    def _outside(self) -> _LostError:
        return _LostError(f"it is a link that leads out of {self._root}", is_outside=True)


def _is_link(node: _Node) -> bool:
    return isinstance(node, Entry) and node.is_link
