"""Regions and their aliases.

Answers for which codes exist and which one a request's list of codes and aliases means first.
"""

from localfly.refusal import Unprocessable

REGIONS = (
    *("ams", "arn", "bom", "cdg", "dfw", "ewr", "fra", "gru", "iad", "jnb", "lax", "lhr"),
    *("nrt", "ord", "sin", "sjc", "syd", "yyz"),
)
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
