"""Why something wanted is not done, and what is worth knowing although nothing is to be done.

Leaves the deciding to `plan`, and the showing to the commands.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Hold:
    """Something the documents want that is not done, because it is not safe or not possible in place."""

    what: str  # a slot, a volume's name, or "" for the whole app
    reason: str  # CamelCase: NameTaken, Foreign, VolumeMissing, NeedsReplacement …
    message: str  # one line for operators: what, why, next step


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """Something true about the app that changes nothing by itself."""

    what: str  # a slot, a machine, a volume's name, or "" for the whole app
    reason: str  # CamelCase: Drifted, UnknownField, Stray …
    message: str
