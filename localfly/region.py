"""Regions and their aliases.

Answers for which codes exist, where they are, and which one of a request's list is the first choice.
"""

from dataclasses import dataclass

from localfly.refusal import Unprocessable


@dataclass(frozen=True, slots=True)
class Place:
    """Where a region is; coordinates are of its city."""

    name: str
    latitude: float
    longitude: float
    part_of_the_world: str


PLACES = {
    "ams": Place("Amsterdam, Netherlands", 52.37, 4.9, "europe"),
    "arn": Place("Stockholm, Sweden", 59.33, 18.07, "europe"),
    "bom": Place("Mumbai, India", 19.08, 72.88, "asia_pacific"),
    "cdg": Place("Paris, France", 48.86, 2.35, "europe"),
    "dfw": Place("Dallas, Texas (US)", 32.78, -96.8, "north_america"),
    "ewr": Place("Secaucus, NJ (US)", 40.79, -74.06, "north_america"),
    "fra": Place("Frankfurt, Germany", 50.11, 8.68, "europe"),
    "gru": Place("Sao Paulo, Brazil", -23.55, -46.63, "south_america"),
    "iad": Place("Ashburn, Virginia (US)", 39.04, -77.49, "north_america"),
    "jnb": Place("Johannesburg, South Africa", -26.2, 28.05, "africa"),
    "lax": Place("Los Angeles, California (US)", 34.05, -118.24, "north_america"),
    "lhr": Place("London, United Kingdom", 51.51, -0.13, "europe"),
    "nrt": Place("Tokyo, Japan", 35.68, 139.69, "asia_pacific"),
    "ord": Place("Chicago, Illinois (US)", 41.88, -87.63, "north_america"),
    "sin": Place("Singapore, Singapore", 1.35, 103.82, "asia_pacific"),
    "sjc": Place("San Jose, California (US)", 37.34, -121.89, "north_america"),
    "syd": Place("Sydney, Australia", -33.87, 151.21, "asia_pacific"),
    "yyz": Place("Toronto, Canada", 43.65, -79.38, "north_america"),
}
REGIONS = tuple(PLACES)
NEAREST = "iad"  # where a request that names no region ends up
_USA = ("iad", "dfw", "ewr", "lax", "ord", "sjc")
ALIASES = {
    "any": (NEAREST,),
    "apac": ("sin", "bom", "nrt", "syd"),
    "eu": ("fra", "ams", "arn", "cdg", "lhr"),
    "na": (*_USA, "yyz"),
    "sa": ("gru",),
    "us": _USA,
    "usa": _USA,
}


def first_choice(wanted: str | None) -> str:
    """The first region of a comma list of codes and aliases; every entry must exist."""
    return choices(wanted)[0]


def choices(wanted: str | None) -> tuple[str, ...]:
    """All regions that a comma list of codes and aliases allows, in its order."""
    if not wanted:
        return (NEAREST,)
    found: list[str] = []
    for entry in wanted.split(","):
        name = entry.strip()
        if name not in REGIONS and name not in ALIASES:
            raise Unprocessable(f"Validation failed: Region '{name}' not found")
        found += ALIASES.get(name, (name,))
    return tuple(found)
