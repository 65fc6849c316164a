"""One place in a spec, in words: its type, whether it is required, its default, what stands below it.

Answers for reading the JSON Schema as a person would. Laying it out is `explain`'s and the reference's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.problem import did_you_mean, one_of, quote
from reconciler.writing.schema_node import inside

Json = Any

_PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
}
MOST_CHOICES = 8


class NoSuchFieldError(Exception):
    """A path that leads nowhere; str() says where it ends and what is near."""


@dataclass(frozen=True, slots=True)
class Field:
    """What the schema says of one place."""

    path: str  # "UserApp.spec.machines"
    node: Json  # of the schema
    is_required: bool
    whole: Json  # the schema itself

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def type(self) -> str:
        return type_words(self.node, self.whole)

    @property
    def marker(self) -> str:
        """What stands between its name and those below it: `[]` in a list, `.*` where people choose names."""
        node = inside(self.node, self.whole)
        if node.get("type") == "array":
            return "[]"
        return ".*" if isinstance(node.get("additionalProperties"), Mapping) else ""

    @property
    def description(self) -> str:
        own = self.node.get("description") or inside(self.node, self.whole).get("description", "")
        return str(own)

    @property
    def more(self) -> str:
        """What is said of the things below it, where that is not said of the field already."""
        model = _model(self.node, self.whole)
        said = str(model.get("description", "")) if model else ""
        return said if said != self.description else ""

    @property
    def choices(self) -> list[str]:
        """What it can be, where its type has a word of its own for that."""
        node = inside(self.node, self.whole)
        node = inside(node.get("anyOf", [node])[0], self.whole)
        node = inside(node.get("items") or node, self.whole)
        return [_word(each) for each in node.get("enum", ())] if "$comment" in node else []

    @property
    def has_default(self) -> bool:
        return "default" in self.node

    @property
    def default(self) -> Json:
        return self.node.get("default")

    @property
    def examples(self) -> list[Json]:
        return list(self.node.get("examples", ()))

    def below(self) -> Iterator["Field"]:
        """Its fields, in the order in which they are best written."""
        model = _model(self.node, self.whole)
        required = set(model.get("required", ())) if model else set()
        for name, node in (model or {}).get("properties", {}).items():
            yield Field(f"{self.path}.{name}", node, name in required, self.whole)


def find(path: str, whole: Json) -> Field:
    """The field at `UserApp.spec.machines.mount`; list indexes may be given. Raises NoSuchFieldError."""
    kind, *steps = [step for step in re.sub(r"\[[0-9]*\]", "", path).split(".") if step] or [""]
    kinds = whole["properties"]["kind"]["enum"]
    if kind not in kinds:
        raise NoSuchFieldError(f"{quote(kind)} is not a kind{did_you_mean(kind, kinds) or _expected(kinds)}")
    found = Field(kind, {"$ref": f"#/definitions/{kind}"}, True, whole)
    for step in steps:
        found = _step(found, step)
    return found


def type_words(node: Json, whole: Json) -> str:
    """The type of a value, for people."""
    node = inside(node, whole)
    if "const" in node or "$comment" in node:
        return str(node.get("const") or node["$comment"])
    if node.get("format") == "date-time":
        return "moment"
    if "enum" in node:
        return one_of([_word(each) for each in node["enum"]], at_most=MOST_CHOICES)
    kind = node.get("type")
    if kind in ("array", "object"):
        return _collection_words(node, whole)
    if kind in _PLAIN:
        bounds = [words.format(node[bound]) for bound, words in _BOUNDS.items() if bound in node]
        return ", ".join([_PLAIN[kind], *bounds])
    choices = [type_words(each, whole) for each in node.get("anyOf", ()) if each.get("type") != "null"]
    return " or ".join(dict.fromkeys(choices)) or "anything"


def _collection_words(node: Json, whole: Json) -> str:
    if node["type"] == "array":
        return f"list of {_plural(type_words(node.get('items', {}), whole))}"
    if isinstance(node.get("additionalProperties"), Mapping):
        return f"mapping of names to {_plural(type_words(node['additionalProperties'], whole))}"
    return "mapping"


def _step(field: Field, step: str) -> Field:
    known = {each.name: each for each in field.below()}
    if step in known:
        return known[step]
    values = inside(field.node, field.whole).get("additionalProperties")
    if isinstance(values, Mapping):  # of names that people choose, such as those of checks
        return Field(f"{field.path}.{step}", dict(values), False, field.whole)
    if not known:
        raise NoSuchFieldError(f"{field.path} has no fields; it is {field.type}")
    guess = did_you_mean(step, known) or _expected(known)
    raise NoSuchFieldError(f"{field.path} has no field {quote(step)}{guess}")


def _expected(names: Any) -> str:
    return f"; expected one of {one_of(sorted(names), at_most=len(names))}"


def _model(node: Json, whole: Json) -> Json:
    """The definition whose fields stand below a place: the value's own, its items' or its members'."""
    node = inside(node, whole)
    if "properties" in node:
        return node
    for below in (node.get("items"), node.get("additionalProperties"), *node.get("anyOf", ())):
        if isinstance(below, Mapping) and below.get("type") != "null":
            found = _model(below, whole)
            if found is not None:
                return found
    return None


def _plural(words: str) -> str:
    return f"{words}s" if words in ("host", "mapping", "region", "text", "whole number") else words


def _word(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
