"""What differs between the config a machine should have and the one it has, field by field, in words.

Answers for text that gives nothing away: values of environments, files, headers and commands are never shown.
Spelling is `defaults`'; metadata is `mark`'s; what to do about a difference is `plan`'s.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import zip_longest
from typing import Any

from reconciler.core.defaults import FREE_MAPS, normalise, normalise_part
from reconciler.core.machine_fields import below, is_known
from reconciler.core.problem import PRIVATE, printable

Json = Any

_ECHOED = frozenset({"encrypted", "name", "size_gb"})  # of a mount: Fly fills them in from the volume
_LONGEST = 100
_NOTHING = "(none)"


@dataclass(frozen=True, slots=True)
class Difference:
    """All sorted by field."""

    changes: tuple[str, ...] = ()  # one line a field
    backwards: tuple[str, ...] = ()  # the same the other way: how what is wanted became what is there
    unknown: tuple[str, ...] = ()  # fields that are there and mean nothing to us


class _Finding(Enum):
    CHANGE = auto()
    UNKNOWN = auto()


_Findings = Iterator[tuple[_Finding, str, str]]  # the text, and the same read backwards


def compare(desired: Mapping[str, Json], found: Mapping[str, Json]) -> Difference:
    """What would change if `desired` replaced `found`; both machine configs, `metadata` left out.

    A known field that only `found` has is a change; an unknown one is kept (see `keep_unknown`).
    """
    wanted, there = _comparable(desired), _comparable(found)
    if "mounts" in there:
        there["mounts"] = _without_echo(wanted.get("mounts", []), there["mounts"])
    findings = tuple(_compare_maps("", "", wanted, there))
    return Difference(
        changes=tuple(text for finding, text, _ in findings if finding is _Finding.CHANGE),
        backwards=tuple(text for finding, _, text in findings if finding is _Finding.CHANGE),
        unknown=tuple(text for finding, text, _ in findings if finding is _Finding.UNKNOWN),
    )


def keep_unknown(desired: Mapping[str, Json], found: Mapping[str, Json]) -> dict[str, Json]:
    """`desired` with the fields of `found` that we do not know, so that sending it erases no news of Fly's.

    News in a part that `desired` takes away goes with it, as does news in a list that grows or shrinks.
    """
    return _keep("", desired, found)


def _comparable(config: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in normalise(config).items() if key != "metadata"}


def _without_echo(wanted: list[Json], there: list[Json]) -> list[Json]:
    named: set[str] = set().union(*wanted) if wanted else set()
    return [
        {key: value for key, value in mount.items() if key in named or key not in _ECHOED} for mount in there
    ]


def _compare_maps(place: str, path: str, wanted: Mapping[str, Json], there: Mapping[str, Json]) -> _Findings:
    for key in sorted({*wanted, *there}):
        here = f"{path}.{printable(key)}" if path else printable(key)
        if key not in wanted and not is_known(place, key):
            yield _Finding.UNKNOWN, here, here
        else:
            yield from _compare_values(below(place, key), here, wanted.get(key), there.get(key))


def _compare_values(place: str, path: str, wanted: Json, there: Json) -> _Findings:
    if _both(Mapping, wanted, there):
        yield from _compare_maps(place, path, wanted or {}, there or {})
    elif _both(list, wanted, there) and _are_entries(wanted or [], there or []):
        for index, (ours, theirs) in enumerate(zip_longest(wanted or [], there or [])):
            here = f"{path}[{index}]"
            if ours is None or theirs is None:
                forth, back = ("removed", "added") if ours is None else ("added", "removed")
                yield _Finding.CHANGE, f"{here}: {forth}", f"{here}: {back}"
            else:
                yield from _compare_maps(f"{place}[]", here, ours, theirs)
    elif wanted != there or isinstance(wanted, bool) is not isinstance(there, bool):  # True == 1 in Python
        forth, back = _change(path, wanted, there), _change(path, there, wanted)
        yield _Finding.CHANGE, f"{path}: {forth}", f"{path}: {back}"


def _both(kind: type, wanted: Json, there: Json) -> bool:
    """Absent counts as empty, but not on both sides."""
    return all(value is None or isinstance(value, kind) for value in (wanted, there)) and wanted is not there


def _are_entries(wanted: list[Json], there: list[Json]) -> bool:
    return all(isinstance(item, Mapping) for item in (*wanted, *there))


def _change(path: str, wanted: Json, there: Json) -> str:
    if not PRIVATE.isdisjoint(path.replace("[", ".").split(".")):
        return "added" if there is None else "removed" if wanted is None else "changed"
    return f"{_shown(there)} → {_shown(wanted)}"


def _shown(value: Json) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, Mapping):
        return "a mapping"  # its fields may be hidden ones
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return "a list"
    text = printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _has_only_news(place: str, part: Mapping[str, Json]) -> bool:
    findings = {finding for finding, *_ in _compare_maps(place, "", {}, normalise_part(place, part))}
    return findings == {_Finding.UNKNOWN}


def _keep(place: str, desired: Mapping[str, Json], found: Mapping[str, Json]) -> dict[str, Json]:
    result = dict(desired)
    if place in FREE_MAPS:
        return result
    for key in sorted(found):
        theirs, here = found[key], below(place, key)
        if key not in result:
            if not is_known(place, key) and theirs is not None:
                result[key] = theirs
            elif isinstance(theirs, Mapping) and _has_only_news(here, theirs):
                result[key] = _keep(here, {}, theirs)
            continue
        ours = result[key]
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            result[key] = _keep(here, ours, theirs)
        elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple) and len(ours) == len(theirs):
            result[key] = [
                _keep(f"{here}[]", mine, other)
                if isinstance(mine, Mapping) and isinstance(other, Mapping)
                else mine
                for mine, other in zip(ours, theirs, strict=True)
            ]
    return result
