"""What a Router document says about its replays: how long Fly tries, who answers then, and where it looks.

Answers for the fields and their words. Writing them into an answer is `router.replay`'s.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from reconciler.core.problem import did_you_mean, one_of, quote
from reconciler.core.scalar import REGIONS, Strict, Unique, wrong

ANYWHERE = "any"
ALIASES = frozenset({ANYWHERE, "apac", "eu", "na", "sa", "us", "usa"})  # behaviour.md §2.3
SHORTEST_TIMEOUT_MS = 100
LONGEST_TIMEOUT_MS = 60_000  # a wake-up must not outlive the state that its replay carries

_TIMEOUT = re.compile(r"([0-9]{1,9})(ms|s)")


def _timeout(value: Any) -> str:
    match = _TIMEOUT.fullmatch(value) if isinstance(value, str) else None
    if value != "none" and match is None:
        raise wrong(
            f"{quote(value)} is not a replay timeout; expected whole seconds or milliseconds with their "
            'unit, like "15s" or "800ms", or none',
            "bad-replay-timeout",
        )
    if match is not None and not SHORTEST_TIMEOUT_MS <= _milliseconds(match) <= LONGEST_TIMEOUT_MS:
        raise wrong(f"{quote(value)} is out of range; expected 100ms to 60s", "bad-replay-timeout")
    return str(value)


def _milliseconds(match: re.Match[str]) -> int:
    return int(match[1]) * (1000 if match[2] == "s" else 1)


def _listed(value: Any) -> Any:
    """Fly's own comma list is as good as YAML's."""
    return [region.strip() for region in value.split(",")] if isinstance(value, str) else value


def _region(value: str) -> str:
    known = REGIONS | ALIASES
    if value not in known:
        raise wrong(
            f"{quote(value)} is not a region of Fly or an alias; expected one of "
            f"{one_of(sorted(known), at_most=len(known))}{did_you_mean(value, known)}",
            "unknown-region",
        )
    return value


def _any_comes_last(regions: tuple[str, ...]) -> tuple[str, ...]:
    if ANYWHERE in regions[:-1]:
        raise wrong('what follows "any" would never be tried; expected "any" last', "region-after-any")
    return regions


Timeout = Annotated[str, PlainValidator(_timeout, json_schema_input_type=str)]
RegionChoice = Annotated[
    Unique[Annotated[str, AfterValidator(_region)]],
    Field(min_length=1),
    AfterValidator(_any_comes_last),
    BeforeValidator(_listed),
]


class ReplaySpec(Strict):
    """On what terms Fly's proxy carries replays out."""

    timeout: Timeout = Field(
        default="15s", description="How long Fly tries to reach the app, 100ms to 60s; none: as Fly does."
    )
    fallback: Literal["force_self", "prefer_self", "none"] = Field(
        default="force_self",
        description="Who answers when that fails: the router's own machine, any of the router's, or nobody.",
    )
    region: RegionChoice | None = Field(
        default=None, description="Where Fly looks for a machine: codes and aliases in order of preference."
    )

    @property
    def timeout_ms(self) -> int | None:
        match = _TIMEOUT.fullmatch(self.timeout)
        return _milliseconds(match) if match else None
