"""What a replay says, in whichever form it came, and the `fly-replay-src` that its target sees.

Answers for the fields and what may stand in them, stricter than Fly where Fly's own behaviour is not
published. The two forms are `replay_header`'s and `replay_json`'s; who may be a target is `select`'s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from localfly.proxy.transform import Transform

HOP_LIMIT = 10
SHORTEST_TTL_S = 10  # for a replay to be remembered
FIELDS = frozenset(
    ("app", "region", "instance", "prefer_instance", "state", "elsewhere", "timeout", "fallback")
)

Fallback = Literal["force_self", "prefer_self"]

_TOKEN = re.compile(r"[A-Za-z0-9_.-]+")
_REGIONS = re.compile(r"[a-z0-9-]+(,[a-z0-9-]+)*")
_TIMEOUT = re.compile(r"([0-9]{1,9})(ms|s)")
_FALLBACKS: Mapping[str, Fallback] = {"force_self": "force_self", "prefer_self": "prefer_self"}


class Malformed(ValueError):  # noqa: N818 - Fly's word
    """The answer is not in the grammar: Fly's error PA03."""


class NotImitated(ValueError):  # noqa: N818 - reads as the sentence it is
    """The answer asks for something that localfly does not do."""

    def __init__(self, key: str) -> None:
        super().__init__(f"localfly does not imitate '{key}' in a replay; see docs/localfly.md")
        self.key = key


@dataclass(frozen=True, slots=True)
class CacheWish:
    """What an answer asks of the replay cache; `flaw` says why that cannot be followed."""

    pattern: str = ""
    ttl_s: float = 0.0
    allows_bypass: bool = False
    invalidates: bool = False
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """Where a request is to be sent again; a missing `app` means the app that answered."""

    app: str | None = None
    regions: tuple[str, ...] = ()  # codes and aliases in order of preference
    instance: str | None = None
    prefer_instance: str | None = None
    state: str | None = None
    elsewhere: bool = False
    timeout_s: float | None = None
    fallback: Fallback | None = None
    transform: Transform | None = None
    cache: CacheWish | None = None

    @property
    def uncacheable(self) -> list[str]:
        """The parts in it that exclude it from the cache. Source: behaviour.md §3.1."""
        parts = {
            "state": self.state,
            "transform": self.transform,
            "timeout": self.timeout_s,
            "fallback": self.fallback,
        }
        return [name for name, value in parts.items() if value is not None]


def from_fields(
    fields: Mapping[str, str], *, transform: Transform | None = None, cache: CacheWish | None = None
) -> Replay:
    """A replay of its fields' texts, all known ones; raises Malformed. Source: behaviour.md §2.3."""
    for name, text in fields.items():
        form = _REGIONS if name == "region" else _TOKEN
        if not form.fullmatch(text):
            raise Malformed(f"{name}={text}")
    if "instance" in fields and "prefer_instance" in fields:
        raise Malformed("instance and prefer_instance exclude each other")
    if fields.get("elsewhere", "true") != "true":
        raise Malformed(f"elsewhere={fields['elsewhere']}")
    if "fallback" in fields and fields["fallback"] not in _FALLBACKS:
        raise Malformed(f"fallback={fields['fallback']}")
    return Replay(
        app=fields.get("app"),
        regions=tuple(fields["region"].split(",")) if "region" in fields else (),
        instance=fields.get("instance"),
        prefer_instance=fields.get("prefer_instance"),
        state=fields.get("state"),
        elsewhere="elsewhere" in fields,
        timeout_s=_timeout_s(fields["timeout"]) if "timeout" in fields else None,
        fallback=_FALLBACKS[fields["fallback"]] if "fallback" in fields else None,
        transform=transform,
        cache=cache,
    )


def source(*, instance: str, region: str, micros: int, state: str | None) -> bytes:
    """The `fly-replay-src` value for the target: who replayed, from where, when, and the router's state."""
    text = f"instance={instance};region={region};t={micros}"
    return (text if state is None else f"{text};state={state}").encode("ascii")


def _timeout_s(text: str) -> float:
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise Malformed(f"timeout={text}: a duration has a unit, as in 800ms or 10s")
    return int(match[1]) / (1000 if match[2] == "ms" else 1)
