"""What a JSON replay changes about the request for its target: path and query, headers.

Answers for the order (delete, then set) and for the headers that are the proxy's own. Reading the JSON is
`replay_json`'s.
"""

from dataclasses import dataclass

from localfly.proxy.header import FRAMING, ONE_CONNECTION, SET_BY_PROXY, Headers


@dataclass(frozen=True, slots=True)
class Transform:
    """The changes; header names in lower case."""

    target: bytes | None = None  # path and query
    delete: tuple[bytes, ...] = ()
    put: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def protected(self) -> tuple[bytes, ...]:
        """The names in it that no transform may touch, each once; they stay as they are."""
        names = (*self.delete, *(name for name, _ in self.put))
        return tuple(name for name in dict.fromkeys(names) if is_protected(name))

    def headers(self, given: Headers) -> Headers:
        """The client's headers with deletions made first, then settings in place of same-named ones."""
        put = [(name, value) for name, value in self.put if not is_protected(name)]
        gone = {name for name in (*self.delete, *(name for name, _ in put)) if not is_protected(name)}
        return [pair for pair in given if pair[0] not in gone] + put


def is_protected(name: bytes) -> bool:
    """Whether a header is Fly's, the connection's or the framing's. Fly's own list is not published."""
    return name.startswith(b"fly-") or name in FRAMING or name in ONE_CONNECTION or name in SET_BY_PROXY
