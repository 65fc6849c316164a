"""Example documents in which every field of every kind stands once.

Answers for what `explain`, the schema and the reference show as examples.
"""

from functools import cache
from importlib.resources import files
from typing import Any

from reconciler.core.document import Lost, documents

Json = Any

FILE = "examples.yaml"


@cache
def examples() -> tuple[dict[str, Json], ...]:
    """The documents of `examples.yaml`, which a test proves to be valid."""
    text = files("reconciler.writing").joinpath(FILE).read_text("utf-8")
    found = []
    for document, problems in documents(FILE, text):
        if isinstance(document, Lost) or problems:
            raise ValueError(f"the example documents cannot be read: {problems}")
        found.append(document.value)
    return tuple(found)
