"""The documents of each kind while they are checked beside each other, and what is remembered of them."""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.core.envelope import Held
from reconciler.core.problem import Problem

MOST_GUESSES = 100  # each looks through all names, and nobody reads ten thousand of them


@dataclass(slots=True)
class Library:
    """The documents of one kind while references to them are checked."""

    kind: str
    held: dict[str, Held] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    guesses_left: int = MOST_GUESSES
    agreeable: set[tuple[object, ...]] = field(default_factory=set)  # what may lie over these templates

    def drop(self, name: str) -> None:
        self.held.pop(name, None)
        self.broken.add(name)


Libraries = Mapping[str, Library]
Findings = Iterator[Problem | None]
Check = Callable[[Held], Findings]
MayBeLost = Callable[[str], bool]  # whether a name may stand in text that could not be read


class Remembered:
    """User apps that held the last time, so that only what changed is checked again."""

    def __init__(self) -> None:
        self._beside: tuple[object, ...] | None = None
        self._held: dict[str, tuple[Held, tuple[Problem, ...]]] = {}  # with warnings

    def knows(self, held: Held) -> tuple[Problem, ...] | None:
        """The warnings about `held`; None: it is to be checked."""
        known = self._held.get(held.name)
        return known[1] if known is not None and known[0] is held else None

    def keep(self, held: Held, warnings: tuple[Problem, ...]) -> None:
        self._held[held.name] = held, warnings

    def turn_to(self, libraries: Libraries, may_be_lost: MayBeLost) -> None:
        """Forget everything when a document that user apps lean on is another one now."""
        beside: tuple[object, ...] = tuple(
            held
            for kind, library in libraries.items()
            if kind not in ("UserApp", "UserAppSet")
            for held in library.held.values()
        )
        beside += (bool(libraries["Fleet"].broken or libraries["Router"].broken), may_be_lost("Router"))
        is_same = self._beside is not None and len(beside) == len(self._beside)
        if not (is_same and all(map(operator.is_, beside, self._beside or ()))):
            self._held = {}
        users = libraries["UserApp"].held
        if len(self._held) > 2 * len(users):
            self._held = {name: known for name, known in self._held.items() if name in users}
        self._beside = beside
