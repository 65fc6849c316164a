"""Things of the world that notice their own changes, so that a state folder can follow them.

Answers for which things changed since they were last written; the writing is `keep`'s. A value that is
changed in place (a list appended to, a dict's entry set) is not noticed: call `changed()` then.
"""

from dataclasses import dataclass, field


class Unsaved:
    """The things that changed and are not written yet, each once, oldest first."""

    def __init__(self) -> None:
        self._things: dict[int, Kept] = {}

    def __bool__(self) -> bool:
        return bool(self._things)

    def note(self, thing: "Kept") -> None:
        """It changed."""
        self._things[id(thing)] = thing

    def take(self) -> "list[Kept]":
        """All of them; from now on they count as written."""
        things, self._things = self._things, {}
        return list(things.values())


@dataclass(slots=True, eq=False)
class Kept:
    """A thing whose every assignment is noted once `follow()`ed; nothing is noted of fields in UNKEPT."""

    unsaved: Unsaved | None = field(default=None, init=False, repr=False)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if self.unsaved is not None and name not in UNKEPT:
            self.unsaved.note(self)

    def follow(self, unsaved: Unsaved | None) -> None:
        """Note it now and with every change; None: nothing keeps this world."""
        self.unsaved = unsaved
        self.changed()

    def changed(self) -> None:
        """It was changed in place."""
        if self.unsaved is not None:
            self.unsaved.note(self)


# What a world that is read back finds out anew, or builds from other things.
UNKEPT = frozenset({"unsaved", "waiters", "checks", "is_running", "is_being_reaped", "machines", "volumes"})
