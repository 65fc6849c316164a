"""One JSON Schema for every kind of document, with a description and examples for every field.

Answers for what an editor shows and refuses. It is draft 7, the newest that all YAML editors read. The
models say what the fields are, `schema_hints` what their validators accept, `examples` what they look like.
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from reconciler.core.kinds import KINDS
from reconciler.writing.examples import examples
from reconciler.writing.schema_hints import EXTRA, Hinted
from reconciler.writing.schema_node import inside, ref, target
from reconciler.writing.schema_variants import vary

Json = Any

DRAFT = "http://json-schema.org/draft-07/schema#"
API_VERSION = "reconciler/v1alpha1"
MOST_EXAMPLES = 2
MODE: JsonSchemaMode = "validation"


def schema() -> dict[str, Json]:
    """The schema as JSON takes it; the same each time."""
    definitions = _definitions()
    _extend(definitions)
    vary(definitions)
    whole = {
        "$schema": DRAFT,
        "description": f"A document of the spec language {API_VERSION}.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {
                "const": API_VERSION,
                "description": "The spec language.",
                "examples": [API_VERSION],
            },
            "kind": {
                "enum": sorted(KINDS),
                "description": "What the document is.",
                "examples": sorted(KINDS),
            },
            "metadata": {"description": "Its name."},
            "spec": {"description": "What it says."},
        },
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": ref(kind)},
            }
            for kind in sorted(KINDS)
        ],
        "definitions": dict(sorted(definitions.items())),
    }
    _show_examples(whole)
    return whole


def schema_text() -> str:
    """What `reconciler schema` prints."""
    return json.dumps(schema(), indent=2, ensure_ascii=False)


def _definitions() -> dict[str, Json]:
    refs, found = models_json_schema(
        [(model, MODE) for model in KINDS.values()],
        ref_template="#/definitions/{model}",
        schema_generator=Hinted,
    )
    names = {}
    for kind, model in KINDS.items():
        envelope = target(refs[model, MODE])
        names[envelope] = kind
        metadata = target(found["$defs"][envelope]["properties"]["metadata"])
        names.setdefault(metadata, "Metadata" if "Metadata" not in names.values() else f"{kind}Metadata")
    text = json.dumps(found["$defs"])
    for old, new in names.items():
        text = text.replace(f'"#/definitions/{old}"', f'"#/definitions/{new}"')
    definitions = {names.get(name, name): _plain(each) for name, each in json.loads(text).items()}
    for kind in KINDS:
        fields = definitions[kind]["properties"]
        fields["kind"]["const"] = kind
        definitions[kind]["description"] = inside(fields["spec"], {"definitions": definitions}).get(
            "description", ""
        )
    return definitions


def _plain(node: Json) -> Json:
    """Without titles, which repeat field names, and without defaults that say nothing."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    if node.get("type") == "array" and "minLength" in node:  # pydantic's word for a list that it cannot see
        node = {"minItems" if key == "minLength" else key: value for key, value in node.items()}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "default" and value is None:
            continue
        # A field may be called title: the names below "properties" are none of JSON Schema's.
        is_fields = key == "properties"
        kept[key] = {name: _plain(each) for name, each in value.items()} if is_fields else _plain(value)
    return kept


def _extend(definitions: dict[str, Json]) -> None:
    for (name, field), extra in EXTRA.items():
        target = definitions[name] if field is None else definitions[name]["properties"][field]
        target.update(extra)


def _show_examples(whole: dict[str, Json]) -> None:
    """Two values of a field show more than one; of a list or mapping the shortest shows enough."""
    for document in examples():
        for node, value in _walk(whole["definitions"][document["kind"]], document, whole):
            shown = node.setdefault("examples", [])
            if not shown or (_is_single(value) and value not in shown and len(shown) < MOST_EXAMPLES):
                shown.append(value)
            elif not _is_single(value) and len(json.dumps(value)) < len(json.dumps(shown[0])):
                shown[:] = [value]


def _is_single(value: Json) -> bool:
    return not isinstance(value, dict | list)


def _walk(node: Json, value: Json, whole: Json) -> Iterator[tuple[Json, Json]]:
    """Every field that `value` gives, with its place in the schema."""
    for branch in _branches(node, whole):
        if isinstance(value, dict):
            for name, field in branch.get("properties", {}).items():
                if name in value:
                    yield field, value[name]
                    yield from _walk(field, value[name], whole)
            more = branch.get("additionalProperties")
            if isinstance(more, dict):
                for name in value.keys() - branch.get("properties", {}).keys():
                    yield from _walk(more, value[name], whole)
        elif isinstance(value, list) and isinstance(branch.get("items"), dict):
            for each in value:
                yield from _walk(branch["items"], each, whole)


def _branches(node: Json, whole: Json) -> Iterator[Json]:
    if "$ref" in node:
        yield from _branches(whole["definitions"][target(node)], whole)
    yield node
    for choice in node.get("anyOf", ()):
        yield from _branches(choice, whole)
