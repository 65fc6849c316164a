"""Moments and durations as the Machines API writes them.

Answers for RFC 3339 texts and Go duration texts, both ways; what they mean is the caller's.
"""

import functools
import re
from datetime import UTC, datetime
from typing import TypeVar

_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_TOO_LONG_NS = 2**63
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SIGNED = re.compile(r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+")

Number = TypeVar("Number", int, float)


def rfc3339(at: float) -> str:
    """Unix seconds as `2026-01-02T03:04:05Z`."""
    return _second(int(at))


def rfc3339_nano(at: float) -> str:
    """Unix seconds as `2026-01-02T03:04:05.000000000Z`, the log stream's form."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def parse_rfc3339(text: str) -> float:
    """Unix seconds of an RFC 3339 text; ValueError when it is none or has no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.timestamp()


def duration_ns(value: object) -> int:
    """Nanoseconds of a duration given as Go text (`"1m30s"`) or integer nanoseconds; ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _held(value)
    if value == "0":
        return 0
    if not isinstance(value, str) or not _SIGNED.fullmatch(value):
        raise ValueError(f"{value!r} is not a duration; write it like 15s")
    parts = [float(number) * _UNITS_NS[unit] for number, unit in _PART.findall(value)]
    total = sum(round(_held(part)) for part in parts)
    return _held(-total if value.startswith("-") else total)


def duration_s(value: object, *, default_s: float) -> float:
    """Seconds of a duration in a config, or the default when there is none."""
    return default_s if value is None else duration_ns(value) / 1e9


def duration_text(ns: int) -> str:
    """Nanoseconds as Go prints them: `1m30s`, `15s`, `250ms`, `0s`."""
    if ns < 0:
        return "-" + duration_text(-ns)
    if ns < 10**9:
        unit, size = next(((u, s) for u, s in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if ns >= s), ("s", 1))
        return f"{_decimal(ns, size)}{unit}"
    minutes, rest = divmod(ns, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


@functools.lru_cache(maxsize=4096)
def _second(at: int) -> str:
    """A long list names few moments many times."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _held(ns: Number) -> Number:
    """The duration, which Go holds in 64 bits: ValueError for one of more than 292 years."""
    if abs(ns) >= _TOO_LONG_NS:
        raise ValueError("is longer than a duration can be")
    return ns


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if unit > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)
