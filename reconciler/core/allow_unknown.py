"""Fields of the Machines API that are newer than this program, let through by name: `allow_unknown`.

Answers for which names may stand there, and for a config without what they let through, which is checked
as usual. What is let through is sent, hashed and compared as it stands.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator

from reconciler.core.machine_fields import is_known, is_place
from reconciler.core.problem import quote
from reconciler.core.scalar import Unique, wrong

Json = Any

_FIELD = re.compile(r"[a-z0-9_]+(\[\])?(\.([a-z0-9_]+|\*)(\[\])?)*")
_IN_SERVICE = "services[]."


def _checked(path: str, prefix: str) -> str:
    place, _, key = (prefix + path).rpartition(".")
    if not _FIELD.fullmatch(path) or path.endswith(("[]", "*")):
        raise wrong(
            f"{quote(path)} is not the path of a field; expected one like guest.new_field, "
            "with [] after a list and * for any name",
            "bad-field-path",
        )
    if not is_place(place):
        where = quote(place.removeprefix(prefix.rstrip(".")).removeprefix("."))
        raise wrong(
            f"{quote(path)} lies in {where}, which is not known here; expected the path of the unknown "
            "field itself, which is let through with all that is in it",
            "bad-field-path",
        )
    if is_known(place, key) or prefix + path == "services[].name":
        raise wrong(f"{quote(path)} is a known field, which needs no leave", "known-field-allowed")
    return path


AllowUnknown = Unique[Annotated[str, AfterValidator(lambda path: _checked(path, ""))]]
AllowUnknownInService = Unique[Annotated[str, AfterValidator(lambda path: _checked(path, _IN_SERVICE))]]


def allowed_in(
    template: Sequence[str], services: Iterable[Mapping[str, Json]], group: Sequence[str] = ()
) -> tuple[str, ...]:
    """What a template, its `Service` documents and a user's machines let through, as paths in the config."""
    of_services = (path for service in services for path in service.get("allow_unknown") or ())
    return (*template, *(_IN_SERVICE + path for path in of_services), *group)


def without_allowed(config: Json, paths: Iterable[str]) -> Json:
    """The config without the fields at `paths`; it is not changed itself."""
    for path in paths:
        config = _without(config, path.replace("[]", ".[]").split("."))
    return config


def _without(value: Json, steps: Sequence[str]) -> Json:
    step, *rest = steps
    if step == "[]":
        return [_without(item, rest) for item in value] if isinstance(value, list) else value
    if not isinstance(value, Mapping):
        return value
    if not rest:
        return {name: inner for name, inner in value.items() if name != step}
    return {name: _without(inner, rest) if step in (name, "*") else inner for name, inner in value.items()}
