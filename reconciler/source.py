"""A folder of YAML, or one file: read whole, and watched.

Answers for what is on the disk and what could not be read. What it says is `core.spec`'s.
"""

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

from watchfiles import Change, awatch

from reconciler.checkout import under_way
from reconciler.core.settle import Settle
from reconciler.core.spec import ENV_PREFIX, Specs, Unreadable, wanted_tables
from reconciler.core.table import Table, Unread
from reconciler.readings import (
    LARGEST_FILE_BYTES,
    LARGEST_TABLE_BYTES,
    SUFFIXES,
    Content,
    Readings,
    Wanted,
    decoded,
    no_collecting,
    too_large,
)

DEBOUNCE_MS = 300  # editors and git write several files at once
LOOK_AGAIN_MS = 1_000  # a watched folder that is replaced by another sends no event


class Source:
    """The specs below one path. Files that did not change since the last reading are not parsed again."""

    def __init__(self, path: Path | str, *, env_prefix: str = ENV_PREFIX) -> None:
        self._root = Path(path)
        self._readings = Readings(env_prefix)
        self._settle = Settle()
        self._is_under_way = False  # git was at work during the last reading
        self._seen: object = None

    def read(self, progress: Callable[[int, int], None] | None = None) -> Specs:
        """Every `.yaml` and `.yml` file of any depth, sorted; never fails: trouble is among the problems.

        Names that begin with a dot are passed over, each file is read once however many links lead to
        it, and a link that leads out of the folder is not followed.
        `progress` is told how many files are read, of how many.
        """
        with no_collecting():
            return self._read(progress)

    def _read(self, progress: Callable[[int, int], None] | None) -> Specs:
        places = list(self._places())
        contents: dict[str, Content] = {}
        for number, (file, place) in enumerate(places, start=1):
            contents[file] = place if isinstance(place, Unreadable) else self._file(Path(file), place)
            if progress is not None:
                progress(number, len(places))
        tables = {wanted: self._table(wanted) for wanted in sorted(wanted_tables(contents))}
        half = under_way(self._root)
        self._is_under_way = bool(half)
        self._seen = self._readings.fingerprint(contents, tables), half
        return self._readings.assemble(
            contents,
            tables,
            root=str(self._root),
            incomplete_because=[f"{self._root}: {half}"] if half else (),
        )

    def settled(self, *, now: float) -> bool:
        """Read again; True when the source is complete and has listed the same names for two seconds.

        `now` is a time by the caller's clock, the same one each time.
        """
        return self._settle.take(self.read(), now=now)

    async def watch(self, stop: asyncio.Event) -> AsyncIterator[Specs]:
        """The specs again each time that they have changed since the last reading, until `stop` is set."""
        while not stop.is_set():
            folder = self._root if self._root.is_dir() else self._root.parent
            identity = _identity(folder)
            if identity is None:
                await _pause(stop, LOOK_AGAIN_MS / 1000)
                if _identity(folder) is not None:
                    yield await asyncio.to_thread(self.read)
                continue
            looks = awatch(
                folder,
                watch_filter=_worth_a_look,
                debounce=DEBOUNCE_MS,
                stop_event=stop,
                rust_timeout=LOOK_AGAIN_MS,
                yield_on_timeout=True,
                recursive=folder == self._root,
                ignore_permission_denied=True,
            )
            may_have_missed = True  # what changed after the last reading and before the watch began
            async with aclosing(looks) as events:
                async for changes in events:
                    replaced = _identity(folder) != identity or (folder == self._root) != self._root.is_dir()
                    if changes or replaced or may_have_missed or self._is_under_way:
                        may_have_missed = False
                        before = self._seen
                        specs = await asyncio.to_thread(self.read)
                        if self._seen != before:
                            yield specs
                    if replaced:
                        break

    def _places(self) -> Iterator[tuple[str, Path | Unreadable]]:
        """Every file by the name it is shown with, and where its bytes are."""
        try:
            top = self._root.resolve(strict=True)
            status = top.stat()
        except (OSError, RuntimeError) as error:
            yield str(self._root), Unreadable(_reason(error))
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self._below(self._root, top, {(status.st_dev, status.st_ino)})
        else:
            yield str(self._root), top

    def _below(
        self, folder: Path, top: Path, seen: set[tuple[int, int]]
    ) -> Iterator[tuple[str, Path | Unreadable]]:
        """Depth first and sorted. `seen` holds what links have led to: a loop ends, nothing is read twice."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield str(folder), Unreadable(_reason(error))
            return
        yield from self._if_empty(folder, entries)
        # Links come last, so that a file is shown under its own name.
        for entry in sorted(entries, key=lambda entry: entry.is_symlink()):
            if entry.name.startswith("."):
                continue
            path = folder / entry.name
            is_spec = entry.name.endswith(SUFFIXES)
            try:
                target = path.resolve(strict=True)
                status = target.stat()
            except (OSError, RuntimeError) as error:
                if _may_hold_documents(entry, error):
                    yield str(path), Unreadable(_reason(error))
                continue
            is_folder = stat.S_ISDIR(status.st_mode)
            if not (is_folder or is_spec):
                continue
            if not target.is_relative_to(top):
                yield str(path), Unreadable(f"it is a link that leads out of {self._root}")
            elif (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                if is_folder:
                    yield from self._below(path, top, seen)
                else:
                    yield str(path), target

    def _if_empty(self, folder: Path, entries: list[os.DirEntry[str]]) -> Iterator[tuple[str, Unreadable]]:
        """Git keeps no empty folders, so one below the root may be where something is missing."""
        if not entries and folder != self._root:
            why = "it is an empty folder: something may not be mounted or checked out there; else remove it"
            yield str(folder), Unreadable(why)

    def _file(self, path: Path, target: Path) -> Content:
        content = _bytes(target, LARGEST_FILE_BYTES)
        if isinstance(content, Unreadable):
            return content
        digest = hashlib.sha256(content).digest()
        return self._readings.known(str(path), digest) or self._readings.document(str(path), digest, content)

    def _table(self, wanted: Wanted) -> Table | Unread:
        """A table of rows, by the same rules as specs: below the folder, whatever links lead there."""
        file, _ = wanted
        try:
            top = self._root.resolve(strict=True)
            target = Path(file).resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            return Unread(file, _reason(error))
        if not target.is_relative_to(top if top.is_dir() else top.parent):
            return Unread(file, f"it is a link that leads out of {self._root}")
        content = _bytes(target, LARGEST_TABLE_BYTES)
        if isinstance(content, Unreadable):
            return Unread(file, content.reason)
        digest = hashlib.sha256(content).digest()
        known = self._readings.known_table(wanted, digest)
        if known is not None:
            return known
        text = decoded(content)
        del content
        return self._readings.table(wanted, digest, text)


def _bytes(target: Path, most: int) -> bytes | Unreadable:
    try:
        if not target.is_file():  # reading a pipe would wait for ever
            return Unreadable("it is not an ordinary file")
        with target.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        return Unreadable(_reason(error))
    return content if len(content) <= most else too_large(most)


def _may_hold_documents(entry: os.DirEntry[str], error: Exception) -> bool:
    """Whether what cannot be looked at is a file of ours or a folder, whose name has no dot."""
    is_plain = entry.name.endswith(SUFFIXES) or not entry.is_symlink()
    return is_plain or (isinstance(error, FileNotFoundError) and "." not in entry.name)


def _worth_a_look(_change: Change, path: str) -> bool:
    # Folders have no suffix of ours and matter too: one that is moved away takes its files along.
    return ".git" not in Path(path).parts


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.errno != errno.ELOOP:
        return error.strerror[0].lower() + error.strerror[1:]
    return "its links lead in a circle"
