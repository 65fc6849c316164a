"""Machines that are started every hour, day, week or month, counted from their creation.

Answers for when; that a start may be refused, and why, is the lifecycle's. A round that finds its machine
running, or not startable, is left out.
"""

from collections.abc import Callable

from localfly.clock import Clock, Timer
from localfly.world import Machine

DAY_S = 24 * 3600.0
PERIODS_S = {
    "hourly": 3600.0,
    "daily": DAY_S,
    "weekly": 7 * DAY_S,
    "monthly": 30 * DAY_S,  # what Fly takes for a month is not published
}


class Schedules:
    """Calls `start` with each scheduled machine at its moments."""

    def __init__(self, clock: Clock, start: Callable[[Machine], None]) -> None:
        self._clock = clock
        self._start = start
        self._rounds: dict[str, tuple[float, Timer]] = {}

    def follow(self, machine: Machine) -> None:
        """Keep to the schedule of its config of now; call it whenever the machine changed."""
        wanted = machine.config.get("schedule")
        period_s = PERIODS_S.get(wanted or "", 0.0) if machine.is_living else 0.0
        period_now_s, timer = self._rounds.get(machine.id, (0.0, None))
        if period_s == period_now_s:
            return
        if timer is not None:
            timer.cancel()
            del self._rounds[machine.id]
        if period_s:
            self._arm(machine, period_s)

    def _arm(self, machine: Machine, period_s: float) -> None:
        rounds = int((self._clock() - machine.created_at) / period_s + 1e-9) + 1
        at = machine.created_at + rounds * period_s
        self._rounds[machine.id] = (period_s, self._clock.call_at(at, lambda: self._begin(machine, period_s)))

    def _begin(self, machine: Machine, period_s: float) -> None:
        self._arm(machine, period_s)
        self._start(machine)
