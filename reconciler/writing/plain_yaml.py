"""Values as YAML that our own reader, and any other, reads back as the same values."""

import io
import re
from typing import Any

import yaml

Json = Any

WIDTH = 110
# PyYAML quotes what YAML 1.1 would not read as text; these are numbers for YAML 1.2 alone.
_NUMBER_ELSEWHERE = re.compile(r"[-+]?(0o[0-7]+|[0-9.]+([eE][-+]?[0-9]+)?)")


class _Dumper(yaml.SafeDumper):
    """Never writes an anchor: our documents have none."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (the shape that PyYAML asks for)
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 (the same)
        """Lists stand below their key, one step in."""
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    must_be_quoted = _NUMBER_ELSEWHERE.fullmatch(value) or not value.replace("\n", "").isprintable()
    style = '"' if must_be_quoted else "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(value: Json) -> str:
    """One document; keys keep their order, what is small stands on one line."""
    node: Any = _Dumper(io.StringIO(), sort_keys=False, default_flow_style=None).represent_data(value)
    node.flow_style = False
    text: str = yaml.serialize(node, Dumper=_Dumper, allow_unicode=True, width=WIDTH)
    return text
