"""What the router reads of a request, and how strictly it reads a Host.

Answers for the values alone; taking them off the wire is `http1`'s, judging them is `decide`'s.
"""

import re
from dataclasses import dataclass, field

# Names whose values are read; every other header is counted, measured and forgotten.
READ = frozenset(
    {
        b"accept",
        b"content-length",
        b"expect",
        b"fly-client-ip",
        b"fly-forwarded-port",
        b"fly-region",
        b"fly-replay-failed",
        b"fly-replay-src",
        b"fly-request-id",
        b"host",
        b"transfer-encoding",
        b"x-user-app",
        b"x-user-machine",
    }
)

_LABEL = rb"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rb"(" + _LABEL + rb"(?:\." + _LABEL + rb")*)\.?(?::([0-9]{1,5}))?\Z")
_PORT = re.compile(rb"[1-9][0-9]{0,4}\Z")
_MAX_HOST = 253
_MAX_PORT = 65_535


@dataclass(slots=True)
class Request:
    """One complete request, reduced to what the router reads of it."""

    method: bytes = b""
    target: bytes = b""
    host: str = ""  # lower case, without port and final dot
    headers: dict[bytes, list[bytes]] = field(default_factory=dict)  # lower-case names of READ alone

    def all(self, name: bytes) -> list[bytes]:
        """Every value of the header `name` (lower case), in the order of the lines."""
        return self.headers.get(name, [])

    def first(self, name: bytes) -> bytes | None:
        """The first value of the header `name` (lower case), or None without one."""
        values = self.headers.get(name)
        return values[0] if values else None


def parse_host(value: bytes) -> str | None:
    """The host name of a Host header, lower case, without port and final dot; None for anything unusual.

    Names are letters, digits, dashes and underscores: labels of at most 63, together at most 253.
    """
    match = _HOST.match(value.lower())
    if match is None or len(match[1]) > _MAX_HOST or (match[2] and int(match[2]) > _MAX_PORT):
        return None
    return match[1].decode("ascii")


def parse_port(value: bytes) -> int | None:
    """A port from 1 to 65535 in plain decimal digits, or None."""
    if not _PORT.match(value):
        return None
    port = int(value)
    return port if port <= _MAX_PORT else None
