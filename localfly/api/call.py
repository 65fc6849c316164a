"""One API request, read strictly: its query, body, nonce, and the things that its path names.

Answers for 400s about form, 501s about parts that are not imitated, and what a caller may see (403, 404).
What the request then does is its resource's module's.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo
from pydantic.functional_validators import AfterValidator
from pydantic_core import from_json
from starlette.requests import Request

from localfly.api.gate import Caller
from localfly.consistency import Consistency
from localfly.inside import Inside
from localfly.lease import guard
from localfly.lifecycle import Lifecycle
from localfly.refusal import (
    Invalid,
    MachineNotFound,
    NotFound,
    NotImitated,
    Unauthenticated,
    Unauthorized,
)
from localfly.token import Tokens
from localfly.world import App, Machine, Org, Volume, World

NONCE = "fly-machine-lease-nonce"


class Body(BaseModel):
    """A request body, or an object inside one: types are exact, unknown fields an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    go_type: ClassVar[str] = "map[string]interface {}"  # Fly's own name for it, where that was seen


B = TypeVar("B", bound=Body)


def _refuse_unless_empty(value: Any, info: ValidationInfo) -> Any:
    if value in (None, False, "", 0) or value in ([], {}):
        return None
    raise NotImitated(f"the field '{info.field_name}'")


UNIMITATED = AfterValidator(_refuse_unless_empty)  # a field that Fly has: fine when empty, 501 otherwise


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed the gate, with the world it is about."""

    world: World
    lifecycle: Lifecycle
    request: Request
    tokens: Tokens
    consistency: Consistency
    inside: Inside
    allows_exec: bool = False
    is_strict_wait: bool = False

    @property
    def caller(self) -> Caller:
        """Whose request it is."""
        caller: Caller = self.request.scope["caller"]
        return caller

    @property
    def nonce(self) -> str | None:
        """The lease nonce it carries."""
        return self.request.headers.get(NONCE)

    def named(self, part: str) -> str:
        """A part of its path."""
        return str(self.request.path_params[part])

    def query(self, *names: str, repeatable: str = "", prefix: str = "") -> Mapping[str, str]:
        """Its query: only these names and the prefix's, each once (repeatable: joined by commas)."""
        values: dict[str, str] = {}
        for name, value in self.request.query_params.multi_items():
            if name not in names and not (prefix and name.startswith(prefix)):
                raise NotImitated(
                    f"the query parameter '{name}' of {self.request.method} {self.request.url.path}"
                )
            if name in values and name != repeatable:
                raise Invalid(f"query parameter '{name}' is given twice")
            values[name] = f"{values[name]},{value}" if name in values else value
        return values

    async def body(self, shape: type[B]) -> B:
        """Its JSON body in that shape; 400 names the first field that is wrong."""
        return shaped(shape, await self.json(go_type=shape.go_type))

    async def json(self, *, go_type: str = Body.go_type) -> dict[str, Any]:
        """Its body as a JSON object; no body reads as an empty object."""
        received = await self.request.body()
        if not received:
            return {}
        try:
            content = from_json(received, allow_inf_nan=False)
        except ValueError as error:
            raise Invalid(f"invalid JSON in the request body: {error}") from None
        if not isinstance(content, dict):
            raise Invalid(f"json: cannot unmarshal {_go_kind(content)} into Go value of type {go_type}")
        return content

    async def no_body(self) -> None:
        """Refuse a body where the operation takes none."""
        if await self.json():
            raise Invalid(f"{self.request.method} {self.request.url.path} takes no body")

    def org(self, slug: str) -> Org:
        """An organisation that the caller may act in as a whole."""
        orgs = self.caller.scope.orgs
        if orgs is not None and slug not in orgs:
            raise Unauthorized if slug in self.world.orgs else NotFound("organization not found")
        if self.caller.scope.app is not None or self.caller.scope.machine is not None:
            raise Unauthorized
        if slug not in self.world.orgs:
            raise NotFound("organization not found")
        return self.world.orgs[slug]

    def app(self) -> App:
        """The app that its path names: 404 when the name is free, 403 when it is another organisation's."""
        app = self.world.apps.get(self.named("app_name"))
        if app is None:
            raise NotFound("app not found")
        if self.consistency.is_hidden(app.created_at):
            raise Unauthenticated if self.consistency.lag.hides_apps_as_401 else NotFound("app not found")
        scope = self.caller.scope
        if (
            (scope.orgs is not None and app.org.slug not in scope.orgs)
            or scope.app not in (None, app.id)
            or scope.machine not in (None, self.request.path_params.get("machine_id"))
        ):
            raise Unauthorized
        return app

    def lasting_app(self) -> App:
        """The app that its path names, to put something into; one that is being deleted counts as gone."""
        app = self.app()
        if app.is_being_deleted:
            raise NotFound("app not found")
        return app

    def machine(self) -> Machine:
        """The machine that its path names; a destroyed one is there for a while."""
        machine = self.app().machines.get(self.named("machine_id"))
        if machine is None or not self.lifecycle.is_readable(machine):
            raise MachineNotFound
        if self.consistency.is_hidden(machine.created_at):
            raise MachineNotFound
        return machine

    def changeable_machine(self) -> Machine:
        """The machine that its path names, for a call that a lease guards."""
        machine = self.machine()
        if machine.state == "destroyed":
            raise MachineNotFound
        guard(machine, self.nonce, self.world.clock())
        return machine

    def volume(self) -> Volume:
        """The volume that its path names."""
        volume = self.app().volumes.get(self.named("volume_id"))
        if volume is None:
            raise NotFound("volume not found")
        return volume


def shaped(shape: type[B], content: object) -> B:
    """The content in that shape, or Invalid with the path of the first field that is wrong."""
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise Invalid(f"unknown field '{path}': localfly refuses what Fly would ignore") from None
        raise Invalid(f"invalid field '{path}': {first['msg']}") from None


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean of the query; false when absent, true without a value, as fly-admin asks."""
    return parsed(query, name, _boolean, default=False)


def whole_number(query: Mapping[str, str], name: str, *, default: int) -> int:
    """An integer of the query."""
    return parsed(query, name, _whole, default=default)


T = TypeVar("T")


def parsed(query: Mapping[str, str], name: str, parse: Callable[[str], T], *, default: T) -> T:
    """A value of the query, or Invalid naming the parameter."""
    if name not in query:
        return default
    try:
        return parse(query[name])
    except ValueError:
        raise Invalid(f"invalid query parameter '{name}': {query[name][:100]!r}") from None


def _whole(text: str) -> int:
    """As Go reads it: no blanks, no underscores, no digits of other scripts."""
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise ValueError(text)
    return int(text)


def _boolean(text: str) -> bool:
    answers = {"": True, "true": True, "1": True, "false": False, "0": False}
    if text not in answers:
        raise ValueError(text)
    return answers[text]


def _go_kind(content: object) -> str:
    kinds = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    return kinds.get(type(content), "null")
