"""Whether a source has come to rest: half a copy or checkout lists other names a moment later."""

from reconciler.core.spec import Specs
from reconciler.core.users import same_names, users_of

SETTLE_S = 2.0


class Settle:
    """Told of readings one after the other, with the time of each by one clock."""

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self._settle_s = settle_s
        self._last: tuple[Specs, float] | None = None  # the last reading, since when it lists these names

    def take(self, specs: Specs, *, now: float) -> bool:
        """True when this reading lists the names that one at least `settle_s` ago listed, and all between."""
        if self._last is None or not _list_the_same(self._last[0], specs):
            self._last = specs, now
        since = self._last[1]
        self._last = specs, since
        return specs.complete and now - since >= self._settle_s


def _list_the_same(one: Specs, other: Specs) -> bool:
    if one.complete != other.complete or one.broken != other.broken:
        return False
    return same_names(users_of(one), users_of(other))
