"""Which machines come first: by the regions a replay or a client names, else by distance from the edge.

Answers for order and exclusion by region alone. Load, health and what is asleep are `reach`'s.
"""

import math
from collections.abc import Sequence

from localfly.region import ALIASES

ANYWHERE = "any"

# Degrees north and east of the airports that the codes name: Fly does not publish what "nearest" means.
_PLACES = {
    "ams": (52.3, 4.8),
    "arn": (59.7, 17.9),
    "bom": (19.1, 72.9),
    "cdg": (49.0, 2.5),
    "dfw": (32.9, -97.0),
    "ewr": (40.7, -74.2),
    "fra": (50.0, 8.6),
    "gru": (-23.4, -46.5),
    "iad": (38.9, -77.5),
    "jnb": (-26.1, 28.2),
    "lax": (33.9, -118.4),
    "lhr": (51.5, -0.5),
    "nrt": (35.8, 140.4),
    "ord": (42.0, -87.9),
    "sin": (1.4, 104.0),
    "sjc": (37.4, -121.9),
    "syd": (-33.9, 151.2),
    "yyz": (43.7, -79.6),
}


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
    """The angle between two regions as seen from the centre of the earth; same is 0."""
    if one == other:
        return 0.0
    (north, east), (north2, east2) = (tuple(map(math.radians, _PLACES[code])) for code in (one, other))
    cosine = math.sin(north) * math.sin(north2)
    cosine += math.cos(north) * math.cos(north2) * math.cos(east - east2)
    return math.acos(max(-1.0, min(1.0, cosine)))
