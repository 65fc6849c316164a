"""What a fleet's documents allow to happen, how much of it at a time, and what they forbid for a while.

Answers for the fields. Budgets are counted in `budget`, the order of an update is decided in `plan`.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from reconciler.core.problem import quote
from reconciler.core.scalar import Strict, wrong


class LimitSpec(Strict):
    """User apps an hour. Of `max_count` and `max_percent` the smaller counts, and at least 1."""

    max_count: int | None = Field(default=None, ge=1, description="At most so many.")
    max_percent: int | None = Field(default=None, ge=1, le=100, description="At most this part of the fleet.")
    min_count: int | None = Field(default=None, ge=1, description="So many in any case.")

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.max_count is None and self.max_percent is None:
            raise wrong("a limit needs max_count or max_percent", "limit-without-number")
        return self


class BudgetSpec(Strict):
    """How many user apps may be created, restarted and deleted within an hour."""

    create: LimitSpec = Field(
        default=LimitSpec(max_count=200), description="More are held until somebody approves them."
    )
    restart: LimitSpec = Field(
        default=LimitSpec(max_percent=20, min_count=50), description="More are paced over the hours."
    )
    delete: LimitSpec = Field(
        default=LimitSpec(max_count=10, max_percent=10),
        description="More are held until somebody approves them.",
    )


def _moment(value: object, parse: ValidatorFunctionWrapHandler) -> object:
    try:
        if isinstance(value, str) and "T" in value.upper():  # a day alone would be its midnight
            return parse(value)
    except ValidationError:
        pass
    raise wrong(
        f"{quote(value)} is not a moment; expected date, time and zone such as 2027-01-31T18:00:00Z",
        "bad-moment",
    )


class PauseSpec(Strict):
    """Nothing is changed before `until`."""

    reason: str = Field(min_length=1, description="Why, for whoever finds it.")
    until: Annotated[AwareDatetime, Field(strict=False), WrapValidator(_moment)] = Field(
        description="The end, with its time zone: 2027-01-31T18:00:00Z."
    )


def _part_or_count(value: object) -> object:
    match value:
        case bool():
            pass
        case int() if value >= 1:
            return value
        case float() if 0 < value < 1:
            return value
    raise wrong(
        f"{quote(value)} is neither a part such as 0.33 nor a count of at least 1", "bad-max-unavailable"
    )


def _offered(value: object) -> object:
    if value in ("canary", "bluegreen"):
        raise wrong(
            f"{quote(value)} is not offered: it puts new machines beside the old ones, and a volume can be "
            "on one machine only; expected rolling or immediate",
            "strategy-not-offered",
        )
    return value


class DeploySpec(Strict):
    """In which order the machines of one user app are changed (contract §17)."""

    strategy: Annotated[Literal["rolling", "immediate"], BeforeValidator(_offered)] = Field(
        default="rolling", description="rolling: the first alone, then so many that the others can serve."
    )
    max_unavailable: Annotated[float | int, BeforeValidator(_part_or_count)] = Field(
        default=0.33, description="With rolling: how many may be away at once, as a part or a count."
    )
