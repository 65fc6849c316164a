"""Control endpoints that make a world harder: faults, lag, rate limits, narrower tokens; and the empty world.

Answers for their form. What each of them does is the module's of that name.
"""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from starlette.responses import Response

from localfly.api.answer import empty, ok
from localfly.api.call import Body, Call
from localfly.consistency import Lag
from localfly.faults import Fault, Rule
from localfly.mishap import LOST, MISHAPS, Form
from localfly.refusal import Invalid, NotFound
from localfly.region import REGIONS
from localfly.token import Scope
from localfly.trouble import Trouble

Handler = Callable[[Call], Awaitable[Response]]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Chance = Annotated[float, Field(ge=0, le=1)]
FAULTS = "/_localfly/faults"


def _answer(name: str | None) -> str | None:
    if name not in (None, LOST) and name not in MISHAPS:
        raise ValueError(f"is not {LOST!r} or one of {', '.join(MISHAPS)}")
    return name


def _region(code: str) -> str:
    if code not in REGIONS:
        raise ValueError(f"is not one of {' '.join(REGIONS)}")
    return code


class FaultBody(Body):
    """A fault; its fields are those of `Fault`."""

    answer: Annotated[str | None, AfterValidator(_answer)] = None
    operation: str = "*"
    app: str = "*"
    nth: Annotated[int, Field(ge=1)] = 1
    count: Annotated[int, Field(ge=1)] | None = None
    probability: Chance = 1.0
    seed: int | None = None
    delay_s: Seconds = 0.0
    after_effect: bool = False
    form: Form | None = None


class LagBody(Body):
    """The lag; its fields are those of `Lag`."""

    hidden_s: Seconds = 0.0
    hides_apps_as_401: bool = False
    late_s: Seconds = 0.0
    empty_pages: Chance = 0.0
    error_regions: tuple[Annotated[str, AfterValidator(_region)], ...] = Field(default=(), strict=False)
    errs: Chance = 1.0
    seed: int = 0


class AllFaults(Body):
    """All that shall go wrong, in place of what did."""

    faults: tuple[FaultBody, ...] = Field(default=(), strict=False)
    consistency: LagBody = LagBody()


class LimitsBody(Body):
    """A member left out stays as it is."""

    is_on: bool | None = None
    tells_retry_after: bool | None = None


class TokenBody(Body):
    """What the new token may do; a member left out is no limit."""

    orgs: list[str] | None = None
    app: str | None = None
    machine: str | None = None
    is_read_only: bool = False
    expires_in_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class TroubleControl:
    """The endpoints of one world's troubles; `reset` empties the world."""

    troubles: Trouble
    reset: Callable[[], Awaitable[None]]

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Which path leads to which of them."""
        return {
            ("GET", FAULTS): self.show,
            ("PUT", FAULTS): self.replace,
            ("POST", FAULTS): self.add,
            ("DELETE", FAULTS): self.clear,
            ("DELETE", f"{FAULTS}/{{id}}"): self.remove,
            ("GET", "/_localfly/limits"): self.limits,
            ("PATCH", "/_localfly/limits"): self.limits,
            ("POST", "/_localfly/tokens"): mint,
            ("POST", "/_localfly/reset"): self.empty_world,
        }

    async def show(self, call: Call) -> Response:
        """What goes wrong now, and how often it did."""
        call.query()
        return self._shown()

    async def replace(self, call: Call) -> Response:
        """These faults and this lag in place of all others."""
        call.query()
        asked = await call.body(AllFaults)
        faults = [_fault(fault) for fault in asked.faults]
        self.troubles.faults.clear()
        for fault in faults:
            self.troubles.faults.add(fault)
        self.troubles.consistency.lag = Lag(**asked.consistency.model_dump())
        return self._shown()

    async def add(self, call: Call) -> Response:
        """One more fault."""
        call.query()
        return ok(_rule_json(self.troubles.faults.add(_fault(await call.body(FaultBody)))), status=201)

    async def clear(self, call: Call) -> Response:
        """Nothing goes wrong and nothing lags."""
        call.query()
        self.troubles.faults.clear()
        self.troubles.consistency.lag = Lag()
        return empty(204)

    async def remove(self, call: Call) -> Response:
        """One fault less."""
        call.query()
        if self.troubles.faults.rules.pop(call.named("id"), None) is None:
            raise NotFound("fault not found")
        return empty(204)

    async def limits(self, call: Call) -> Response:
        """Read or turn the switches of the rate limits; all buckets are full after a turn."""
        call.query()
        asked = await call.body(LimitsBody)
        now = self.troubles.limits
        if asked.model_fields_set:
            now.is_on = now.is_on if asked.is_on is None else asked.is_on
            told = asked.tells_retry_after
            now.tells_retry_after = now.tells_retry_after if told is None else told
            now.forget()
        return ok({"is_on": now.is_on, "tells_retry_after": now.tells_retry_after})

    async def empty_world(self, call: Call) -> Response:
        """No app any more; organisations, tokens, faults, lag and limits stay."""
        call.query()
        await call.no_body()
        await self.reset()
        return empty(204)

    def _shown(self) -> Response:
        rules = [_rule_json(rule) for rule in self.troubles.faults.rules.values()]
        lag = dataclasses.asdict(self.troubles.consistency.lag)
        return ok({"faults": rules, "consistency": lag})


async def mint(call: Call) -> Response:
    """A token that may do less."""
    call.query()
    asked = await call.body(TokenBody)
    for slug in asked.orgs or ():
        call.org(slug)
    app = call.world.apps.get(asked.app or "")
    if asked.app is not None and app is None:
        raise NotFound("app not found")
    if asked.machine is not None and asked.machine not in call.world.machines:
        raise NotFound("machine not found")
    scope = Scope(
        orgs=None if asked.orgs is None else tuple(asked.orgs),
        app=None if app is None else app.id,
        machine=asked.machine,
        is_read_only=asked.is_read_only,
        expires_at=None if asked.expires_in_s is None else call.world.clock() + asked.expires_in_s,
    )
    return ok({"token": call.tokens.mint(scope)}, status=201)


def _fault(asked: FaultBody) -> Fault:
    if asked.answer is None and not asked.delay_s:
        raise Invalid("invalid field 'answer': a fault without answer and delay_s does nothing")
    return Fault(**asked.model_dump())


def _rule_json(rule: Rule) -> dict[str, Any]:
    counted = {"id": rule.id, "calls": rule.calls, "strikes": rule.strikes}
    return counted | dataclasses.asdict(rule.fault)
