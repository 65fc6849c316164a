"""A branch of a git repository as the source: asked for now and then, read from the object database.

Answers for the last good revision staying in force while the branch cannot be asked, and for saying that
nothing counts as gone meanwhile. Speaking to git is `git_mirror`'s.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Protocol

from reconciler.core.problem import Problem
from reconciler.core.spec import ENV_PREFIX, Specs, Unreadable, wanted_tables
from reconciler.core.table import Table, Unread
from reconciler.git_mirror import GitError, Revision
from reconciler.git_tree import Entry, GitTree
from reconciler.readings import (
    LARGEST_FILE_BYTES,
    LARGEST_TABLE_BYTES,
    Content,
    Readings,
    Wanted,
    decoded,
    no_collecting,
    too_large,
)

JITTER = 0.1  # of a pause, either way
FIRST_PAUSE_S = 2.0  # after a failure; doubles up to the usual one
SHOWN = 12  # digits of a commit
LONGEST_LINK_BYTES = 4096

Beside = Callable[[Callable[[], Specs]], Awaitable[Specs]]


class Objects(Protocol):
    """A repository that can be asked for one branch. Everything raises GitError."""

    def fetch(self, path: str) -> Revision:
        """As it is there now, with the id of the folder `path`."""

    def last(self, path: str) -> Revision | None:
        """As the last fetch brought it."""

    def entries(self, tree: str) -> Mapping[str, Entry]:
        """All files below a folder."""

    def blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The content of each."""


class GitSource:
    """The specs in one folder of one branch. Only files that changed since the last revision are parsed."""

    def __init__(
        self,
        objects: Objects,
        *,
        path: str = ".",
        env_prefix: str = ENV_PREFIX,
        random: Random,
        poll_s: float = 30.0,
        beside: Beside = asyncio.to_thread,
    ) -> None:
        """`beside` does what takes long without holding up the event loop."""
        self._objects = objects
        self._path = path
        self._random = random
        self._poll_s = poll_s
        self._beside = beside
        self._readings = Readings(env_prefix)
        self._specs = Specs(complete=False)
        self._tree: str | None = None  # that `_specs` were read from
        self._failure = ""
        self._wake = asyncio.Event()

    def read(self) -> Specs:
        """The branch as it is now; never fails: when it cannot be had, the last revision, not complete."""
        with no_collecting():
            try:
                self._take(self._objects.fetch(self._path))
            except GitError as error:
                self._fail(str(error))
                return self._doubted()
        self._failure = ""
        return self._specs

    def nudge(self) -> None:
        """Ask now instead of at the next poll."""
        self._wake.set()

    async def watch(self, stop: asyncio.Event) -> AsyncIterator[Specs]:
        """The specs again each time that their folder's content, or what keeps us from it, changed."""
        failures = 0
        while True:
            await self._pause(stop, failures)
            if stop.is_set():
                return
            before = self._tree, self._failure
            specs = await self._beside(self.read)
            failures = failures + 1 if self._failure else 0
            if (self._tree, self._failure) != before:
                yield specs

    def _fail(self, why: str) -> None:
        if not _are_alike(why, self._failure):  # a duration or a port in it is no news
            self._failure = why
        if self._tree is not None:
            return
        try:  # nothing was read yet: an earlier life of this process may have brought something
            if (last := self._objects.last(self._path)) is not None:
                self._take(last)
        except GitError:
            return

    def _doubted(self) -> Specs:
        """What is in force, with the reason why nothing in it counts as gone."""
        stays = (
            f"revision {self._specs.revision} stays in force" if self._specs.revision else "nothing is known"
        )
        line = f"cannot be fetched: {self._failure}; {stays}"
        problem = Problem(self._path, None, None, "", line, "unreadable")
        return replace(
            self._specs,
            problems=(problem, *self._specs.problems),
            complete=False,
            incomplete_because=(f"{self._path} {line}", *self._specs.incomplete_because),
        )

    def _take(self, revision: Revision) -> None:
        if revision.tree != self._tree:
            specs = self._load(revision)
            self._specs, self._tree = replace(specs, revision=revision.commit[:SHOWN]), revision.tree

    def _load(self, revision: Revision) -> Specs:
        if not revision.tree:
            missing = Unreadable(f"no such folder in revision {revision.commit[:SHOWN]}; --path says which")
            return self._readings.assemble({self._path: missing}, {}, root=self._path)
        entries = self._objects.entries(revision.tree)
        tree = GitTree(self._path, entries, self._links(entries.values()))
        contents = self._contents(tree)
        tables = {wanted: self._table(tree, wanted) for wanted in sorted(wanted_tables(contents))}
        return self._readings.assemble(contents, tables, root=self._path)

    def _links(self, entries: Iterable[Entry]) -> dict[str, str]:
        ids = {each.oid for each in entries if each.is_link and each.size <= LONGEST_LINK_BYTES}
        return {oid: content.decode("utf-8", "surrogateescape") for oid, content in self._objects.blobs(ids)}

    def _contents(self, tree: GitTree) -> dict[str, Content]:
        contents: dict[str, Content] = {}
        unknown: dict[str, list[str]] = {}  # id of a content → files with it
        for file, place in tree.places():
            if isinstance(place, Unreadable):
                contents[file] = place
            elif place.size > LARGEST_FILE_BYTES:
                contents[file] = too_large(LARGEST_FILE_BYTES)
            elif (known := self._readings.known(file, place.oid.encode())) is not None:
                contents[file] = known
            else:
                unknown.setdefault(place.oid, []).append(file)
        for oid, content in self._objects.blobs(unknown):
            for file in unknown[oid]:
                contents[file] = self._readings.document(file, oid.encode(), content)
        return contents

    def _table(self, tree: GitTree, wanted: Wanted) -> Table | Unread:
        """By the same rules as specs."""
        file, _ = wanted
        place = tree.find(file)
        if isinstance(place, Entry) and place.size > LARGEST_TABLE_BYTES:
            place = too_large(LARGEST_TABLE_BYTES)
        if isinstance(place, Unreadable):
            return Unread(file, place.reason)
        digest = place.oid.encode()
        if (known := self._readings.known_table(wanted, digest)) is not None:
            return known
        text: str | Unreadable = ""
        for _, content in self._objects.blobs([place.oid]):
            text = decoded(content)
        return self._readings.table(wanted, digest, text)

    async def _pause(self, stop: asyncio.Event, failures: int) -> None:
        """Until the next poll, a nudge, or the end."""
        pause_s = self._poll_s
        if failures:
            pause_s = min(pause_s, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16))
        pause_s *= 1 + self._random.uniform(-JITTER, JITTER)
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._wake)]
        try:
            await asyncio.wait(waits, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._wake.clear()


def _are_alike(one: str, other: str) -> bool:
    return re.sub(r"\d+", "", one) == re.sub(r"\d+", "", other)
