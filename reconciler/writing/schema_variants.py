"""The parts of documents that are not whole by themselves: merge patches, and templates with columns.

Answers for giving them the fields of what they are laid over or become, so that an editor knows them too.
"""

from collections.abc import Callable
from typing import Any

from reconciler.writing.schema_node import inside, ref, target

Json = Any
Definitions = dict[str, Json]

NULL = {"type": "null"}
COLUMN = {"type": "string", "pattern": r"\{[^{}]+\}"}  # `{column}` somewhere in a text
_ABOUT = ("$comment", "default", "description")


def vary(definitions: Definitions) -> None:
    """Put patches and templates where the models say no more than "a mapping"."""
    _replace(definitions, "GroupSpec", "config", {"anyOf": [_to(patch, definitions, "MachineConfig"), NULL]})
    overrides = {"type": "object", "additionalProperties": _to(patch, definitions, "UserAppSpec")}
    _replace(definitions, "UserAppSetSpec", "overrides", overrides)
    _replace(definitions, "RowTemplateSpec", "spec", _to(template, definitions, "UserAppSpec"))


def patch(definitions: Definitions, name: str) -> str:
    """A definition for merge patches of `name`: every field may be left out, and null removes."""
    made = f"{name}Patch"
    if made in definitions:
        return made
    definitions[made] = {}
    fields = {}
    for field, node in definitions[name].get("properties", {}).items():
        value = _laid_over(definitions, node)
        about = {key: node[key] for key in _ABOUT if key in node}
        fields[field] = {**about, "anyOf": [value, NULL]} if value else dict(node)
    definitions[made] = {
        "type": "object",
        "description": f"Laid over a {name}: mappings are merged, null removes, anything else replaces.",
        "additionalProperties": False,
        "properties": fields,
    }
    return made


def template(definitions: Definitions, name: str) -> str:
    """A definition for templates of `name`: where a value is wanted, a text with columns will do."""
    made = f"{name}Template"
    if made not in definitions:
        definitions[made] = {}
        definitions[made] = _filled(definitions, definitions[name])
    return made


def _filled(definitions: Definitions, node: Json) -> Json:
    if "$ref" in node:
        about = {key: node[key] for key in _ABOUT if key in node}
        return {**about, **_to(template, definitions, target(node))}
    if node.get("type") in ("array", "object", "null"):
        return _filled_inside(definitions, node)
    if "anyOf" in node and "type" not in node:
        return {**node, "anyOf": [_filled(definitions, each) for each in node["anyOf"]]}
    return _or_column(node)


def _filled_inside(definitions: Definitions, node: Json) -> Json:
    if "properties" in node:
        fields = {name: _filled(definitions, each) for name, each in node["properties"].items()}
        return {**node, "properties": fields}
    if node.get("type") == "array":
        kept = {key: value for key, value in node.items() if key != "uniqueItems"}
        return {**kept, "items": _filled(definitions, node["items"])}
    if _has_names(node):
        return {**node, "additionalProperties": _filled(definitions, node["additionalProperties"])}
    return node


def _or_column(node: Json) -> Json:
    return {
        **{key: node[key] for key in ("default", "description") if key in node},
        "anyOf": [
            {key: value for key, value in node.items() if key not in ("default", "description")},
            COLUMN,
        ],
    }


def _laid_over(definitions: Definitions, node: Json) -> Json:
    """What a patch may say at a place, besides null; None where the place takes null already."""
    model = _model(definitions, node)
    if model:
        return _to(patch, definitions, model)
    named = next((each for each in (node, *node.get("anyOf", ())) if _has_names(each)), None)
    if named is None:
        return _value(node)
    member = _laid_over(definitions, named["additionalProperties"]) or named["additionalProperties"]
    return {"type": "object", "additionalProperties": {"anyOf": [member, NULL]}}


def _has_names(node: Json) -> bool:
    """A mapping of names that people choose."""
    return isinstance(node.get("additionalProperties"), dict)


def _model(definitions: Definitions, node: Json) -> str:
    """The one model that stands at a place, null aside; "" where there is none, or a list of them."""
    found = [target(each) for each in (node, *node.get("anyOf", ())) if "$ref" in each]
    if len(found) != 1 or inside(definitions[found[0]], {"definitions": definitions}).get("type") != "object":
        return ""
    return found[0]


def _value(node: Json) -> Json:
    """What a place takes, without what is said about it; None where it takes null already."""
    if NULL in node.get("anyOf", ()):
        return None
    return {key: value for key, value in node.items() if key not in _ABOUT or key == "$comment"}


def _to(variant: Callable[[Definitions, str], str], definitions: Definitions, name: str) -> Json:
    return {"$ref": ref(variant(definitions, name))}


def _replace(definitions: Definitions, owner: str, field: str, value: Json) -> None:
    node = definitions[owner]["properties"][field]
    about = {key: node[key] for key in _ABOUT if key in node}
    definitions[owner]["properties"][field] = {**about, **value}
