"""Where in a template a number, or true or false, is wanted instead of text.

Answers by asking the models themselves, so that no list of fields has to follow them.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from reconciler.core.document import Path
from reconciler.core.kinds import UserAppSpec
from reconciler.core.machine_config import MachineConfig
from reconciler.core.row_template import Hole

Json = Any

_WANTS_MORE = frozenset({"int_type", "float_type", "bool_type"})


def typed_paths(template: Json, holes: Iterable[Hole]) -> frozenset[Path]:
    """The holes below `spec` that stand alone where text is not accepted and a number or truth value is."""
    alone = [hole.path for hole in holes if hole.stands_alone]
    return frozenset(path for path in alone if _wants_more(template, path))


def _wants_more(template: Json, path: Path) -> bool:
    inside, rest, model = template, path[1:], UserAppSpec
    match path:
        case ("spec", "machines", int(index), "config", *below):
            # A user app's own config is checked only when it lies over its template.
            return _refuses_text(template["machines"][index]["config"], tuple(below), MachineConfig)
    return _refuses_text(inside, rest, model)


def _refuses_text(value: Json, path: Path, model: type[BaseModel]) -> bool:
    text = _errors(value, path, model, "text")
    return bool(text & _WANTS_MORE) or bool(
        text and not all(_errors(value, path, model, other) for other in (1, True))
    )


def _errors(value: Json, path: Path, model: type[BaseModel], instead: Json) -> set[str]:
    try:
        model.model_validate(_put(value, path, instead))
    except ValidationError as error:
        return {
            detail["type"] for detail in error.errors(include_url=False) if detail["loc"][: len(path)] == path
        }
    return set()


def _put(value: Json, path: Path, instead: Json) -> Json:
    if not path:
        return instead
    step, *rest = path
    if isinstance(value, dict):
        return {**value, step: _put(value[step], tuple(rest), instead)}
    return [_put(one, tuple(rest), instead) if index == step else one for index, one in enumerate(value)]
