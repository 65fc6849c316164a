"""A field of the spec language, or a finding's code, laid out for a person or a program."""

import json
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from reconciler.core.finding import FINDINGS
from reconciler.core.problem import did_you_mean
from reconciler.writing.field import Field, NoSuchFieldError, find
from reconciler.writing.plain_yaml import to_yaml

Json = Any

WIDEST_TYPE = 44


def explained(word: str, whole: Json) -> Field | str:
    """The field at a path, or the code as it is. Raises NoSuchFieldError."""
    if word in FINDINGS:
        return word
    kinds = whole["properties"]["kind"]["enum"]
    if "." in word or word.partition("[")[0] in kinds:
        return find(word, whole)
    known = [*kinds, *FINDINGS]
    guess = did_you_mean(word, known) or f"; kinds are {', '.join(kinds)}"
    raise NoSuchFieldError(f'"{word}" is neither a kind nor a code of a finding{guess}')


def lines(subject: Field | str) -> Iterator[Text]:
    """For a person."""
    if isinstance(subject, str):
        finding = FINDINGS[subject]
        yield Text(subject, style="bold")
        yield Text(f"  why  {finding.why}")
        yield Text(f"  fix  {finding.fix}")
        return
    yield Text.assemble((subject.path, "bold"), f"  {subject.type}{_terms(subject)}")
    for said in (subject.description, subject.more):
        if said:
            yield Text(f"  {said}")
    if subject.choices:
        yield Text(f"  One of {', '.join(subject.choices)}.")
    for example in subject.examples[:2]:
        yield Text("")
        for line in to_yaml({subject.name: example}).splitlines():
            yield Text(f"  {line}", style="cyan")
    fields = list(subject.below())
    if fields:
        yield Text("")
        yield from _table(fields)


def to_json(subject: Field | str) -> Json:
    """For a program."""
    if isinstance(subject, str):
        finding = FINDINGS[subject]
        return {"code": subject, "why": finding.why, "fix": finding.fix}
    told = {
        "path": subject.path,
        "type": subject.type,
        "required": subject.is_required,
        "description": " ".join(filter(None, (subject.description, subject.more))),
        "examples": subject.examples,
        "fields": [each.name for each in subject.below()],
    }
    return {**told, "default": subject.default} if subject.has_default else told


def _terms(field: Field) -> str:
    if field.is_required:
        return ", required"
    return f", default {json.dumps(field.default, ensure_ascii=False)}" if field.has_default else ""


def _table(fields: list[Field]) -> Iterator[Text]:
    names = max(len(field.name) for field in fields) + 2
    types = min(max(len(_short(field)) for field in fields), WIDEST_TYPE) + 2
    for field in fields:
        kind = _short(field)
        head = (field.name.ljust(names), "bold" if field.is_required else "")
        if len(kind) > WIDEST_TYPE:
            yield Text.assemble("  ", head, kind)
            yield Text(f"  {' ' * (names + types)}{field.description}")
        else:
            yield Text.assemble("  ", head, kind.ljust(types), field.description)


def _short(field: Field) -> str:
    return f"{field.type}{_terms(field)}"
