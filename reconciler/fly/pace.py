"""Keeps our calls below the rate limits that Fly publishes, and fair: first asked, first admitted.

Answers for when a call may leave; the retry of a 429 is `call`'s.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` calls a second for ever, and up to `burst` at once after a rest."""

    per_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Fly's limits, per action and identifier (Machines API contract, §2.3).

    Where Fly does not say per what (app create, app list, org lists) the identifier is the organisation.
    """

    default: Rate = Rate(1.0, 3)
    by_action: Mapping[str, Rate] = field(default_factory=lambda: {"get machine": Rate(5.0, 10)})

    def of(self, action: str) -> Rate:
        return self.by_action.get(action, self.default)


FLY = Rates()


class Pace:
    """Token buckets on the event loop's clock, one for each action and identifier.

    A bucket is one number: the moment at which it is full again. A full bucket is forgotten, so memory
    follows the calls of the last seconds and not the fleet.
    """

    def __init__(self, rates: Rates | None = FLY) -> None:
        """`rates` None: no limit at all, for a Fly on this laptop."""
        self._rates = rates
        self._full_at: dict[tuple[str, str], float] = {}
        self._sweep_above = 1024

    async def admit(self, action: str, identifier: str) -> None:
        """Return when this call may leave; callers of one bucket leave in the order in which they asked."""
        if self._rates is None:
            return
        rate = self._rates.of(action)
        now = asyncio.get_running_loop().time()
        full_at = max(self._full_at.get((action, identifier), now), now) + 1 / rate.per_s
        self._full_at[action, identifier] = full_at
        if len(self._full_at) > self._sweep_above:
            self._forget_full(now)
        await asyncio.sleep(full_at - now - rate.burst / rate.per_s)

    def __len__(self) -> int:
        """Buckets that are not known to be full."""
        return len(self._full_at)

    def _forget_full(self, now: float) -> None:
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        self._sweep_above = max(1024, 2 * len(self._full_at))
