"""What the router knows: which host and which user leads where. Immutable; publishing swaps one reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Route:
    """A user app that is observed, proven ours and serving."""

    app: str  # Fly app name, the replay's target
    machines: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({})
    )  # slot → machine id; of several the first is preferred


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A user app that is known but cannot be replayed to now."""

    reason: str  # CamelCase, e.g. "Creating", "NameTaken"
    message: str  # one plain sentence for the visitor's page; no secrets, no app names
    retry_after_s: int = 5


Entry = Route | Unavailable


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms Fly's proxy carries replays out; what is not given is left to Fly."""

    timeout_ms: int | None = None  # 100 to 60,000: how long it tries to reach the app
    fallback: Literal["force_self", "prefer_self"] | None = None  # then our own page, not an empty 502
    regions: tuple[str, ...] = ()  # codes and aliases in order of preference


@dataclass(frozen=True, slots=True)
class Table:
    """One published state of the world."""

    revision: int = 0
    hosts: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))  # lower case, no port
    users: Mapping[str, Entry] = field(
        default_factory=lambda: MappingProxyType({})
    )  # document name, for X-User-App
    terms: Terms = Terms()  # of every replay
