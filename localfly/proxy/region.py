"""Which machines come first: by the regions a replay or a client names, else by distance from the edge.

Answers for order and exclusion by region alone. Load, health and what is asleep are `reach`'s.
"""

import math
from collections.abc import Sequence

from localfly.region import ALIASES, PLACES

ANYWHERE = "any"


def rank(region: str, *, wanted: Sequence[str], here: str) -> tuple[int, float] | None:
    """The place of a machine's region in the order, smallest first; None when `wanted` leaves it out.

    `wanted` are codes and aliases in order of preference (an alias is one step, nearest first within it);
    empty is anywhere, nearest first. An unknown word in it matches nothing. Source: behaviour.md §2.3.
    """
    for step, word in enumerate(wanted or (ANYWHERE,)):
        if word in (ANYWHERE, region) or region in ALIASES.get(word, ()):
            return step, distance(region, here)
    return None


def distance(one: str, other: str) -> float:
    """The angle between two regions' cities as seen from the centre of the earth; same is 0.

    Fly does not publish what "nearest" means.
    """
    if one == other:
        return 0.0
    here, there = PLACES[one], PLACES[other]
    north, north2 = math.radians(here.latitude), math.radians(there.latitude)
    east = math.radians(here.longitude - there.longitude)
    cosine = math.sin(north) * math.sin(north2) + math.cos(north) * math.cos(north2) * math.cos(east)
    return math.acos(max(-1.0, min(1.0, cosine)))
