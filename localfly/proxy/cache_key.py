"""What remembered replays are found by: host, path prefix, and for a session a cookie's or header's value.

Answers for patterns, and for the rules of a port's `http_options.replay_cache`. Keeping is `cache`'s.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from localfly.proxy.header import Headers
from localfly.proxy.replay import SHORTEST_TTL_S

DEEPEST = 32  # parts of a path that a pattern may name

_PATTERN = re.compile(r"(?P<host>[A-Za-z0-9._-]+)?(?P<path>/[!-)+->@-~]*)")  # no `*` and no `?` within


@dataclass(frozen=True, slots=True)
class Prefix:
    """A path and everything below it, on one host or on whichever is asked; `/` is every path."""

    host: str | None
    path: str

    def covers(self, place: "Place") -> bool:
        """Whether a request at that place is within it."""
        return self.host in (None, place.host) and self.path in place.prefixes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request came in, and for what."""

    app: str  # of the door
    port: int  # the public one
    host: str  # in lower case, without port
    path: str  # without query

    @property
    def prefixes(self) -> list[str]:
        """The paths that it is at or below, longest first, as far down as patterns go."""
        parts = self.path.split("/", DEEPEST + 1)[1 : DEEPEST + 1]
        below = [
            "/" + "/".join(parts[: at + 1]) for at in range(len(parts)) if parts[at] or at + 1 < len(parts)
        ]
        return [*reversed(below), "/"]


@dataclass(frozen=True, slots=True)
class SessionRule:
    """One entry of a port's `http_options.replay_cache`. Source: behaviour.md §3.2."""

    prefix: Prefix
    ttl_s: float
    kind: Literal["cookie", "header"]
    name: str
    allows_bypass: bool

    def value(self, headers: Headers) -> str | None:
        """The one value of its cookie or header in a request; None when there is none, or several."""
        values = (
            _cookies(headers, self.name) if self.kind == "cookie" else _values(headers, self.name.lower())
        )
        return values[0] if len(values) == 1 and values[0] else None


Session = tuple[SessionRule, str]  # a rule, and the value that a request carries for it


def place(*, app: str, port: int, host: str | None, target: bytes) -> Place:
    """The place of a request from its Host and its target."""
    name = (host or "").lower().partition(":")[0].rstrip(".")
    return Place(app, port, name, target.decode("latin-1").partition("?")[0])


def parse(pattern: str) -> Prefix | None:
    """`[HOST]/PATH[/*]` without a port or another `*`; None for anything else."""
    match = _PATTERN.fullmatch(pattern.removesuffix("*") if pattern.endswith("/*") else pattern)
    if match is None:
        return None
    path = match["path"].rstrip("/") or "/"
    if path.count("/") > DEEPEST:
        return None
    return Prefix(match["host"].lower() if match["host"] else None, path)


def session_rules(http_options: Mapping[str, Any]) -> list[SessionRule]:
    """The rules of a port, longest prefix first; one that Fly would not take is left out."""
    rules = []
    for entry in http_options.get("replay_cache") or ():
        prefix = parse(entry.get("path_prefix") or "/")
        kind, ttl_s = entry.get("type"), entry.get("ttl_seconds") or 0
        if prefix and kind in ("cookie", "header") and ttl_s >= SHORTEST_TTL_S and entry.get("name"):
            allows = entry.get("allow_bypass") is True
            rules.append(SessionRule(prefix, ttl_s, kind, entry["name"], allows))
    return sorted(rules, key=lambda rule: len(rule.prefix.path), reverse=True)


def session(rules: Sequence[SessionRule], at: Place, headers: Headers) -> Session | None:
    """The rule with the longest prefix whose cookie or header a request carries, and its value."""
    for rule in rules:
        if rule.prefix.covers(at) and (value := rule.value(headers)) is not None:
            return rule, value
    return None


def _values(headers: Headers, name: str) -> list[str]:
    return [value.decode("latin-1") for found, value in headers if found == name.encode("latin-1")]


def _cookies(headers: Headers, name: str) -> list[str]:
    pairs = (pair.strip().partition("=") for line in _values(headers, "cookie") for pair in line.split(";"))
    return [value for found, equals, value in pairs if found == name and equals]
