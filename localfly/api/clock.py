"""`/_localfly/clock`: look at the world's clock, stop it, let it run again, move it forward.

Answers for the requests; what time does is `localfly.clock`'s.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import Body, Call
from localfly.moment import rfc3339_nano

LONGEST_S = 10 * 366 * 24 * 3600.0


class ClockChange(Body):
    """First `freeze` is done, then `advance_s`, in seconds; what is left out stays as it is."""

    freeze: bool | None = None
    advance_s: Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)] | None = None


async def show(call: Call) -> Response:
    """Unix seconds, the same as text, and whether it stands still."""
    call.query()
    return ok(_clock_json(call))


async def change(call: Call) -> Response:
    """Answers when everything that was due on the way has happened."""
    call.query()
    asked = await call.body(ClockChange)
    clock = call.world.clock
    if asked.freeze is not None:
        (clock.freeze if asked.freeze else clock.thaw)()
    if asked.advance_s is not None:
        await clock.advance(asked.advance_s)
    return ok(_clock_json(call))


def routes() -> dict[tuple[str, str], Callable[[Call], Awaitable[Response]]]:
    """The endpoints."""
    return {
        ("GET", "/_localfly/clock"): show,
        ("POST", "/_localfly/clock"): change,
        ("PATCH", "/_localfly/clock"): change,
    }


def _clock_json(call: Call) -> dict[str, Any]:
    now = call.world.clock()
    return {"now": now, "time": rfc3339_nano(now), "frozen": call.world.clock.is_frozen}
