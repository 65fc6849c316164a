"""Places of a JSON Schema: what a reference names, and what stands behind it."""

from typing import Any

Json = Any


def ref(name: str) -> str:
    """The reference to a definition."""
    return f"#/definitions/{name}"


def target(node: Json) -> str:
    """The definition that a place refers to; "" when to none."""
    return str(node.get("$ref", "")).rpartition("/")[2]


def inside(node: Json, whole: Json) -> Json:
    """A place of the schema without `$ref`s and without the choice of null."""
    while True:
        if "$ref" in node:
            node = whole["definitions"][target(node)]
            continue
        choices = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
        if len(choices) != 1 or "properties" in node:
            return node
        node = {**{key: value for key, value in node.items() if key != "anyOf"}, **choices[0]}
