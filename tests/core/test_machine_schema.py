"""The Machines API's machine config, field by field, beside what documents may say."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.core.machine_config import MachineConfig

Json = Any

# The part of Fly's schema (spec and fly-go together) that a machine config reaches.
FLYS = json.loads(Path(__file__).with_name("machine_config.schema.json").read_text(encoding="utf-8"))
OURS = MachineConfig.model_json_schema()

NOT_IN_DOCUMENTS = {
    "mounts": "a volume belongs to one machine of one user: UserApp spec.machines[].mount",
}
OURS_ALONE = {
    "services[].name": "the label in Fly's guide; not sent",
}


def walk(
    place: str, schema: Mapping[str, Json], definitions: Mapping[str, Json]
) -> Iterator[tuple[str, str]]:
    """(place, type) of everything that the schema describes; `[]` for items, `*` for names people choose."""
    if "$ref" in schema:
        yield from walk(place, definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return
    for choice in schema.get("anyOf", ()):
        yield from walk(place, choice, definitions)
    kinds = schema.get("type", ())
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind != "null":
            yield place, kind
    if "items" in schema:
        yield from walk(f"{place}[]", schema["items"], definitions)
    for name, inner in schema.get("properties", {}).items():
        yield from walk(f"{place}.{name}" if place else name, inner, definitions)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from walk(f"{place}.*", schema["additionalProperties"], definitions)


def fields(schema: Mapping[str, Json]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for place, kind in walk("", schema, schema["$defs"]):
        found.setdefault(place, set()).add(kind)
    return found


def below(place: str, tops: Mapping[str, str]) -> bool:
    return any(place == top or place.startswith((f"{top}[]", f"{top}.")) for top in tops)


def test_every_field_of_flys_machine_config_is_known_with_its_type() -> None:
    """What Fly's schema describes, a document may say, and nothing else; the types agree."""
    flys, ours = fields(FLYS), fields(OURS)
    assert {place for place in flys.keys() - ours.keys() if not below(place, NOT_IN_DOCUMENTS)} == set()
    assert {place for place in ours.keys() - flys.keys() if not below(place, OURS_ALONE)} == set()
    differing = {
        place: (flys[place], ours[place]) for place in flys.keys() & ours.keys() if flys[place] != ours[place]
    }
    assert differing == {}
