"""The rate limits that Fly publishes (contract §2.3), as token buckets on the world's clock.

Answers for when a call is one too many. What counts as one action on one thing is the API's knowledge.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from localfly.refusal import TooFast

EARLY_S = 0.1  # how much too early a call may come: two calls sent a second apart can arrive closer


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` calls a second for ever, and up to `burst` at once after a rest."""

    per_s: float
    burst: int


USUAL = Rate(1, 3)
SPECIAL: Mapping[str, Rate] = MappingProxyType(
    {
        "GET /v1/apps/{app_name}/machines/{machine_id}": Rate(5, 10),
        "DELETE /v1/apps/{app_name}": Rate(100 / 60, 100),
    }
)


class Limits:
    """Lets calls through, or raises TooFast.

    A bucket is one number: the moment at which it is full again. Refused calls take nothing out of it.
    """

    def __init__(
        self, clock: Callable[[], float], *, is_on: bool = True, tells_retry_after: bool = False
    ) -> None:
        self._clock = clock
        self.is_on = is_on
        self.tells_retry_after = tells_retry_after  # Fly documents no such header
        self._full_at: dict[tuple[str, str], float] = {}
        self._sweep_above = 1024

    def admit(self, action: str, identifier: str) -> None:
        """Count a call of this action on this thing, or refuse it."""
        if not self.is_on:
            return
        rate, now, bucket = SPECIAL.get(action, USUAL), self._clock(), (action, identifier)
        full_at = max(self._full_at.get(bucket, now), now) + 1 / rate.per_s
        too_early_s = full_at - now - rate.burst / rate.per_s
        if too_early_s > EARLY_S:
            raise TooFast(math.ceil(too_early_s) if self.tells_retry_after else None)
        self._full_at[bucket] = full_at
        if len(self._full_at) > self._sweep_above:
            self._forget_full(now)

    def __len__(self) -> int:
        """Buckets that are not known to be full."""
        return len(self._full_at)

    def forget(self) -> None:
        """Every bucket is full again."""
        self._full_at.clear()

    def _forget_full(self, now: float) -> None:
        self._full_at = {bucket: at for bucket, at in self._full_at.items() if at > now}
        self._sweep_above = max(1024, 2 * len(self._full_at))
