"""The fields of a machine config that this program knows, by place: those that a document may name.

A field absent from here is Fly's news: it is kept, sent back and reported. What a document may say, and how,
is `machine_config`'s.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.core.machine_config import MachineConfig

_ANY = "*"
_BESIDE = {  # what documents cannot say there and live machines have (contract: config object)
    "": frozenset({"mounts"}),
    "mounts[]": frozenset(
        {"encrypted", "extend_threshold_percent", "name", "path", "size_gb", "volume"}
        | {"add_size_gb", "size_gb_limit"}
    ),
}
_LABELS = {"services[]": frozenset({"name"})}  # documents have it and Fly does not


def below(place: str, key: str) -> str:
    """The place of a field: `services[].ports[]`, or `checks.*` where keys are names that people chose."""
    if place in _MAPS:
        return f"{place}.{_ANY}"
    return f"{place}.{key}" if place else key


def is_known(place: str, key: str) -> bool:
    """Whether this program knows the field; where it knows no field at all, every one counts as known."""
    return place not in _KNOWN or key in _KNOWN[place]


def is_place(place: str) -> bool:
    """Whether this program knows the fields there."""
    return place in _KNOWN


def _fields() -> dict[str, frozenset[str]]:
    schema = MachineConfig.model_json_schema()
    known = dict(_walk("", schema, schema["$defs"]))
    return {
        place: (known.get(place, frozenset()) | _BESIDE.get(place, frozenset()))
        - _LABELS.get(place, frozenset())
        for place in {*known, *_BESIDE}
    }


def _walk(
    place: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[tuple[str, frozenset[str]]]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for choice in schema.get("anyOf", ()):
        yield from _walk(place, choice, definitions)
    if "items" in schema:
        yield from _walk(f"{place}[]", schema["items"], definitions)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _walk(f"{place}.{_ANY}", schema["additionalProperties"], definitions)
    if "properties" in schema:
        yield place, frozenset(schema["properties"])
        for key, value in schema["properties"].items():
            yield from _walk(f"{place}.{key}" if place else key, value, definitions)


_KNOWN = _fields()
_MAPS = frozenset(place.removesuffix(f".{_ANY}") for place in _KNOWN if place.endswith(f".{_ANY}"))
