"""What makes a localfly as hard to live with as Fly: rate limits, faults, answers that lag.

Answers for holding them together, by default without any; each of them is its own module's.
"""

from dataclasses import dataclass

from localfly.clock import Clock
from localfly.consistency import Consistency
from localfly.faults import Faults
from localfly.limits import Limits


@dataclass(frozen=True, slots=True)
class Trouble:
    """The troubles of one world."""

    limits: Limits
    faults: Faults
    consistency: Consistency


def trouble(
    clock: Clock, *, has_limits: bool = False, tells_retry_after: bool = False, seed: int = 0
) -> Trouble:
    """No fault and no lag yet; `seed` is that of the chances of faults."""
    limits = Limits(clock, is_on=has_limits, tells_retry_after=tells_retry_after)
    return Trouble(limits, Faults(clock, seed), Consistency(clock))
