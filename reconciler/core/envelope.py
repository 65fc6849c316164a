"""One file's documents, each checked by itself.

Answers for kind, name and fields. What documents say about each other is `reference`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from reconciler.core.complaint import complaints
from reconciler.core.document import Document, Lost, documents
from reconciler.core.kinds import KINDS
from reconciler.core.problem import Problem, did_you_mean, one_of, quote

Json = Any

MOST_PROBLEMS = 1_000  # of one file
_IDENTITY = ("kind", "metadata", "metadata.name")


@dataclass(frozen=True, slots=True)
class Held:
    """A document that holds by itself."""

    kind: str
    name: str
    spec: Any = field(repr=False)
    document: Document = field(repr=False)


@dataclass(frozen=True, slots=True)
class Broken:
    """A document that does not hold and still says whose it is. `kind` may be none of ours."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one file says."""

    held: tuple[Held, ...] = ()
    broken: tuple[Broken, ...] = ()
    lost: tuple[Lost, ...] = ()  # whose kind and name nobody knows
    problems: tuple[Problem, ...] = ()


def read(file: str, text: str, *, env_prefix: str) -> Reading:
    """Every document of one file; depends on nothing else, so that it may be kept while the text stays."""
    held: list[Held] = []
    broken: list[Broken] = []
    lost: list[Lost] = []
    problems: list[Problem] = []
    untold = 0
    for document, found in documents(file, text):
        has_room = len(problems) < MOST_PROBLEMS
        if has_room:
            problems += found
        if isinstance(document, Lost):
            lost.append(document)
            untold += not has_room
            continue
        result, complained = check(document, env_prefix) if not found else (_salvage(document, found), ())
        if has_room:
            problems += complained  # only now are they worded and their places looked up
        match result:
            case Held():
                held.append(result)
            case Broken():
                broken.append(result)
            case Lost():
                lost.append(result)
        untold += not (has_room or isinstance(result, Held))
    if untold:
        message = f"the problems of {untold} more documents are not shown"
        problems.append(Problem(file, None, None, "", message, "more-problems"))
    return Reading(tuple(held), tuple(broken), tuple(lost), tuple(problems))


def check(document: Document, env_prefix: str) -> tuple[Held | Broken | Lost, Iterable[Problem]]:
    """One document by itself, and what is wrong with it."""
    value = document.value
    if not isinstance(value, dict):
        expected = "a document is a mapping with apiVersion, kind, metadata and spec"
        return Lost(document.text), (
            document.problem(
                (),
                f"this is {'text' if isinstance(value, str) else quote(value)}; {expected}",
                code="not-a-document",
            ),
        )
    kind = value.get("kind")
    if kind is None:
        return _salvage(document), (
            document.problem(
                ("kind",), f"is missing; expected one of {one_of(sorted(KINDS))}", code="missing-field"
            ),
        )
    if not isinstance(kind, str) or kind not in KINDS:
        expected = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
        expected = expected or f"; expected one of {one_of(sorted(KINDS))}"
        return _salvage(document), (
            document.problem(("kind",), f"{quote(kind)} is not a kind{expected}", code="unknown-kind"),
        )
    try:
        envelope = KINDS[kind].model_validate(value, context={"env_prefix": env_prefix})
    except ValidationError as error:
        return _salvage(document), complaints(document, error, KINDS[kind])
    return Held(kind, envelope.metadata.name, envelope.spec, document), ()


def _salvage(document: Document, found: tuple[Problem, ...] = ()) -> Broken | Lost:
    if any(problem.path in _IDENTITY for problem in found):
        return Lost(document.text)  # given twice, say: nobody knows which of the two is meant
    match document.value:
        case {"metadata": {"name": str(name)}, **rest}:
            kind = rest.get("kind")
            return Broken(kind if isinstance(kind, str) else "", name)
    return Lost(document.text)
