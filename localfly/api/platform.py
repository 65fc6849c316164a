"""What the platform has: its regions, and where machines would find room (contract §15).

Answers for both replies in the capitals that the live API uses. A laptop has room in every region.
"""

from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import UNIMITATED, Body, Call
from localfly.api.guest import Guest, full_guest
from localfly.region import NEAREST, PLACES, REGIONS, choices

MOST_PER_REGION = 50  # stands for an organisation's limit, which `count` 0 asks for

Amount = Annotated[int, Field(ge=0)]


class AskPlacement(Body):
    """`region` is a comma list of codes and aliases; without it, the nearest and then any."""

    org_slug: str
    compute: Guest | None = None
    region: str | None = None
    count: Amount | None = None
    volume_name: Annotated[Any, UNIMITATED] = None
    volume_size_bytes: Amount | None = None
    weights: Annotated[Any, UNIMITATED] = None


async def list_regions(call: Call) -> Response:
    """All regions, and the one nearest to the caller."""
    call.query()
    rows = [
        {
            "code": code,
            "name": place.name,
            "latitude": place.latitude,
            "longitude": place.longitude,
            "gateway_available": True,
            "requires_paid_plan": False,
            "deprecated": False,
            "geo_region": place.part_of_the_world,
            "mpg_available": False,
        }
        for code, place in PLACES.items()
    ]
    return ok({"Regions": rows, "Nearest": NEAREST})


async def ask_placement(call: Call) -> Response:
    """How many machines of that size each region would take now; nothing is reserved."""
    call.query()
    asked = await call.body(AskPlacement)
    call.org(asked.org_slug)
    if asked.compute is not None:
        full_guest(asked.compute, None)
    anywhere = dict.fromkeys((NEAREST, *REGIONS))
    regions = dict.fromkeys(choices(asked.region)) if asked.region else anywhere
    room = asked.count or MOST_PER_REGION
    return ok({"Regions": [{"Region": code, "Count": room, "Concurrency": room} for code in regions]})
