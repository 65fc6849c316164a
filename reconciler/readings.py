"""What each file said the last time: only what changed is parsed again.

Answers for never giving what an older content said. Where bytes come from, a disk or git, is their reader's.
"""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from reconciler.core.envelope import Reading, read
from reconciler.core.spec import Memory, Specs, Unreadable, assemble
from reconciler.core.table import Format, Table, Unread, read_table

SUFFIXES = (".yaml", ".yml")
LARGEST_FILE_BYTES = 64 * 1024 * 1024
LARGEST_TABLE_BYTES = 1024 * 1024 * 1024
LFS_POINTER = b"version https://git-lfs.github.com/spec/"

Content = Reading | Unreadable
Wanted = tuple[str, Format]


class Readings:
    """Of one source. A digest stands for a file's bytes; two of the same source never mean different ones."""

    def __init__(self, env_prefix: str) -> None:
        self._env_prefix = env_prefix
        self._kept: dict[str, tuple[bytes, Reading]] = {}
        self._tables: dict[Wanted, tuple[bytes, Table]] = {}
        self._memory = Memory()

    def known(self, file: str, digest: bytes) -> Reading | None:
        """What `file` said, when its content is still the same."""
        kept = self._kept.get(file)
        return kept[1] if kept is not None and kept[0] == digest else None

    def document(self, file: str, digest: bytes, content: bytes) -> Content:
        """What a file of YAML says."""
        text = decoded(content)
        if isinstance(text, Unreadable):
            return text
        if not text.removeprefix("\ufeff").strip():  # what a full disk leaves of a document
            return Unreadable("it is empty; remove the file if it is to say nothing")
        reading = read(file, text, env_prefix=self._env_prefix)
        self._kept[file] = digest, reading
        return reading

    def known_table(self, wanted: Wanted, digest: bytes) -> Table | None:
        """The rows of a file, when its content is still the same."""
        kept = self._tables.get(wanted)
        return kept[1] if kept is not None and kept[0] == digest else None

    def table(self, wanted: Wanted, digest: bytes, text: str | Unreadable) -> Table | Unread:
        """The rows of a file, from its text: a large one is not held as bytes as well."""
        file, kind = wanted
        if isinstance(text, Unreadable):
            return Unread(file, text.reason)
        table = read_table(file, text, kind)
        self._tables[wanted] = digest, table
        return table

    def assemble(
        self,
        contents: Mapping[str, Content],
        tables: Mapping[Wanted, Table | Unread],
        *,
        root: str,
        incomplete_because: Iterable[str] = (),
    ) -> Specs:
        """All that these files say together; what any other said is forgotten."""
        self._kept = {file: kept for file, kept in self._kept.items() if file in contents}
        self._tables = {wanted: kept for wanted, kept in self._tables.items() if wanted in tables}
        return assemble(
            contents, root=root, tables=tables, incomplete_because=incomplete_because, memory=self._memory
        )

    def fingerprint(
        self, contents: Mapping[str, Content], tables: Mapping[Wanted, Table | Unread]
    ) -> tuple[object, object]:
        """Equal for the same files with the same contents."""
        return (
            {
                file: content if isinstance(content, Unreadable) else self._kept[file][0]
                for file, content in contents.items()
            },
            {
                wanted: table if isinstance(table, Unread) else self._tables[wanted][0]
                for wanted, table in tables.items()
            },
        )


def too_large(most: int) -> Unreadable:
    """Why a file of more than `most` bytes is not read."""
    return Unreadable(f"it is larger than {most // 1024 // 1024} MiB")


def decoded(content: bytes) -> str | Unreadable:
    """The text of a file, or why it has none."""
    if content.startswith(LFS_POINTER):
        return Unreadable("it is a pointer to Git LFS, not the content; keep this file in git itself")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Unreadable(f"line {line} is not UTF-8 text; save it as UTF-8")


@contextmanager
def no_collecting() -> Iterator[None]:
    """What is read is kept and holds no cycles: looking for some, again and again, takes a quarter longer."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
