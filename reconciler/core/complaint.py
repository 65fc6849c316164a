"""What a model says about a document, in words for the person who wrote it.

Answers for turning pydantic's errors into problems. Which fields there are is `kinds`' business.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from reconciler.core.document import Document, Path
from reconciler.core.problem import PRIVATE, Problem, did_you_mean, one_of, quote
from reconciler.core.refused_field import REFUSED
from reconciler.core.scalar import FindingError

MOST_COMPLAINTS = 100  # about one document; nobody reads more

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_CODES = {
    "missing": "missing-field",
    "literal_error": "bad-choice",
    "greater_than_equal": "out-of-range",
    "less_than_equal": "out-of-range",
    "greater_than": "out-of-range",
    "less_than": "out-of-range",
    "too_short": "empty",
    "string_too_short": "empty",
    "string_too_long": "too-long",
}
_COLLECTIONS = ("a list", "a mapping")
SECRET_SOURCE = ("spec", "from")  # of a Secret: the value itself is easily pasted there


def complaints(
    document: Document,
    error: ValidationError,
    model: type[BaseModel],
    *,
    below: Path = (),
    only_unknown_fields: bool = False,
) -> Iterator[Problem]:
    """One problem for each error; `below` is where in the document the validated value stands."""
    for number, detail in enumerate(error.errors(include_url=False)):
        if number == MOST_COMPLAINTS:
            rest = f"{error.error_count() - number} more problems like these are not shown"
            yield document.problem(below, rest, code="more-problems")
            return
        if only_unknown_fields and detail["type"] != "extra_forbidden":
            continue
        if detail["type"] == "too_short" and detail["input"]:
            continue  # pydantic counts only the items that hold, and has complained about the others
        path = (*below, *(step for step in detail["loc"] if step != "[key]"))
        yield document.problem(
            path,
            message(detail, model, document, path),
            code=code(detail, model),
            at_key=detail["type"] == "extra_forbidden",
        )


def code(detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Which finding an error of pydantic's is."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        refusal = _refusal(detail, model)
        return refusal[1] if refusal else "unknown-field"
    if kind == "value_error" and isinstance(detail["ctx"]["error"], FindingError):
        found: str = detail["ctx"]["error"].code
        return found
    if kind in _EXPECTED:
        return "wrong-type" if detail["input"] is not None else "empty"
    return _CODES.get(kind, "bad-value")


def message(detail: Mapping[str, Any], model: type[BaseModel], document: Document, path: Path) -> str:
    """What is wrong and what was expected; the value is quoted only where it cannot be a secret's."""
    may_show = PRIVATE.isdisjoint(path) and path[: len(SECRET_SOURCE)] != SECRET_SOURCE
    text = _words(detail, model, document.place(path).raw if may_show else "this")
    value = detail["input"]
    if may_show or detail["type"] == "value_error" or not isinstance(value, str | int | float):
        return text
    return f"this{text.removeprefix(quote(value))}" if text.startswith(quote(value)) else text


def _words(detail: Mapping[str, Any], model: type[BaseModel], raw: str | None) -> str:
    kind = detail["type"]
    if kind in _EXPECTED:
        return _wrong_type(detail["input"], _EXPECTED[kind], raw)
    if kind == "extra_forbidden":
        refusal = _refusal(detail, model)
        if refusal:
            return refusal[0]
        known = fields_at(model, detail["loc"][:-1])
        guess = did_you_mean(str(detail["loc"][-1]), known)
        every = (
            f"; expected one of {one_of(sorted(known), at_most=len(known))}" if known else "; expected none"
        )
        return f"unknown field{guess or every}"
    if kind in _WORDING:
        return _WORDING[kind](detail["input"], detail.get("ctx", {}))
    text = str(detail["msg"])
    return text[:1].lower() + text[1:]


def fields_at(model: Any, path: Path) -> frozenset[str]:
    """The field names that the model knows at this place; none where any name may stand."""
    kind = _model_at(model, path)
    if kind is None:
        return frozenset()
    return frozenset(field.alias or name for name, field in kind.model_fields.items())


def _refusal(detail: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str] | None:
    """What is said of a field that people bring along from elsewhere, and the finding's code."""
    kind = _model_at(model, detail["loc"][:-1])
    names = [each.__name__ for each in kind.__mro__] if kind else []
    return next((REFUSED[key] for name in names if (key := (name, str(detail["loc"][-1]))) in REFUSED), None)


def _model_at(model: Any, path: Path) -> type[BaseModel] | None:
    for step in path:
        model = _inside(model, step)
    kind = _bare(model)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _inside(model: Any, step: str | int) -> Any:
    kind = _bare(model)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if step in (name, field.alias):
                return field.annotation
        return None
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    return arguments[0] if arguments else None


def _bare(annotation: Any) -> Any:
    """Without `Annotated[…]` and without `| None`."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, UnionType):
            annotation = next((kind for kind in get_args(annotation) if kind is not type(None)), None)
        else:
            return annotation


def _wrong_type(value: Any, expected: str, raw: str | None) -> str:
    if value is None:
        return f"is empty; expected {expected}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if expected == "text" and isinstance(value, bool | int | float):
        what = "a number" if is_number else "a truth value"
        return f"{raw or quote(value)} is {what}, not text; put it in quotes"
    if expected in _COLLECTIONS and (is_number or isinstance(value, str)):
        # It may be a secret that somebody pasted.
        return f"{'a number' if is_number else 'text'} stands here; expected {expected}"
    if isinstance(value, str):
        if expected == "a whole number" and re.fullmatch(r"0[0-7]+", value):
            return f"{quote(value)} is text; expected a whole number, in octal 0o{value.lstrip('0') or 0}"
        return f"{quote(value)} is text; expected {expected}"
    return f"{quote(value)} stands here; expected {expected}"


def _not_one_of(value: Any, limits: dict[str, Any]) -> str:
    names = [name.strip("'") for name in str(limits["expected"]).replace(" or ", ", ").split(", ")]
    guess = did_you_mean(value, names) if isinstance(value, str) else ""
    return f"{quote(value)} is not accepted; expected {' or '.join(names)}{guess}"


def _out_of_range(value: Any, limits: dict[str, Any]) -> str:
    words = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}
    bounds = " and ".join(f"{words[name]} {limit}" for name, limit in limits.items())
    return f"{quote(value)} is out of range; expected {bounds}"


_WORDING: dict[str, Callable[[Any, dict[str, Any]], str]] = {
    "value_error": lambda _value, limits: str(limits["error"]),
    "missing": lambda _value, _limits: "is missing",
    "literal_error": _not_one_of,
    "greater_than_equal": _out_of_range,
    "less_than_equal": _out_of_range,
    "greater_than": _out_of_range,
    "less_than": _out_of_range,
    "too_short": lambda _value, _limits: "is empty; expected at least one",
    "string_too_short": lambda _value, _limits: "is empty; expected text",
    "string_too_long": lambda value, limits: (
        f"{quote(value)} is too long: {len(value)} characters, at most {limits['max_length']}"
    ),
}
