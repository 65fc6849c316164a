"""How far answers lag behind the world: what the API does not see yet, and what its lists still show.

Answers for the settings and for what they hide; which reads ask is the API's knowledge (contract §16).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from localfly.world import App, Machine, Volume


@dataclass(frozen=True, slots=True)
class Lag:
    """Seconds, and probabilities from 0 to 1; as it is by default nothing lags."""

    hidden_s: float = 0.0  # apps and machines created this recently do not exist for requests about them
    hides_apps_as_401: bool = False  # such an app answers 401 and not 404: Fly does both
    late_s: float = 0.0  # lists lack what was created, and still show what went away, this recently
    empty_pages: float = 0.0  # how often a page of an organisation's list is empty though more follows
    error_regions: tuple[str, ...] = ()  # regions whose machines are missing from an organisation's list
    errs: float = 1.0  # how often they are missing
    seed: int = 0


class Consistency:
    """The lag of one world's answers; its chances come from the lag's seed."""

    def __init__(self, clock: Callable[[], float], lag: Lag | None = None) -> None:
        self._clock = clock
        self.lag = lag or Lag()

    @property
    def lag(self) -> Lag:
        """What holds now; setting it begins its chances anew."""
        return self._lag

    @lag.setter
    def lag(self, lag: Lag) -> None:
        self._lag = lag
        self._random = random.Random(lag.seed)  # noqa: S311 - chances that a seed repeats

    def is_hidden(self, created_at: float) -> bool:
        """Whether requests about a thing of that age find nothing yet."""
        return self._is_recent(created_at, self._lag.hidden_s)

    def lists(self, thing: App | Machine | Volume) -> bool:
        """Whether lists have it, as far as its age goes: what is new comes late."""
        return not self._is_recent(thing.created_at, self._lag.late_s)

    def lists_gone(self, machine: Machine) -> bool:
        """Whether lists still show a destroyed machine, as if it were on its way out."""
        return machine.state == "destroyed" and self._is_recent(machine.destroyed_at, self._lag.late_s)

    def lists_deleted(self, volume: Volume) -> bool:
        """Whether lists still show a deleted volume as if nothing had happened to it."""
        return volume.deleted_at is not None and self._is_recent(volume.deleted_at, self._lag.late_s)

    def is_page_empty(self) -> bool:
        """Draw whether this page comes empty."""
        return self._draws(self._lag.empty_pages)

    def missing_regions(self) -> tuple[str, ...]:
        """Draw the regions that do not answer this time."""
        return self._lag.error_regions if self._lag.error_regions and self._draws(self._lag.errs) else ()

    def _is_recent(self, at: float, within_s: float) -> bool:
        return within_s > 0 and self._clock() - at < within_s

    def _draws(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability
