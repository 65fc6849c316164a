"""About how many calls a plan takes, and how long at the least under Fly's rate limits.

Answers for the sum of what `apply` and the readings around it ask for when nothing goes wrong; a test holds
it to what they do. The limits themselves are `fly.pace`'s.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from reconciler.core.action import CreateApp, WithdrawRoute
from reconciler.core.plan import AppPlan

READINGS = 2  # of an app that is changed: before, and after
PER_READING = 5  # app, secrets, machines, volumes, addresses; besides one for each machine

CALLS = {
    "create-app": 2,
    "set-secrets": 1,
    "create-volume": 2,
    "create-machine": 4,
    "update-machine": 6,
    "start-machine": 5,
    "mark-machine": 2,
    "extend-volume": 2,
    "withdraw-route": 2,  # for each machine
    "snapshot-volume": 3,
    "destroy-machine": 5,
    "destroy-volume": 2,
    "delete-app": 4,
}
PER_FLEET = {"create-app": "create app", "delete-app": "delete app"}  # Fly limits them for all apps together
PER_APP = {
    "create-volume": "create volume",
    "create-machine": "create machine",
    "destroy-volume": "delete volume",
}


class Rate(Protocol):
    """So many calls a second for ever, and so many at once after a rest."""

    @property
    def per_s(self) -> float: ...

    @property
    def burst(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Cost:
    """What carrying a plan out comes to."""

    calls: int = 0
    at_least_s: float = 0.0


def cost(apps: Iterable[AppPlan], rate_of: Callable[[str], Rate]) -> Cost:
    """`rate_of`: the limit of an action by the name that Fly's limits have for it."""
    calls = 0
    asked: Counter[tuple[str, str]] = Counter()  # (action, the app it is limited for, or "" for all)
    for app in apps:
        if not app.actions:
            continue
        machines = {slot for action in app.actions if (slot := getattr(action, "slot", ""))}
        reading = PER_READING + len(machines)
        is_new = any(isinstance(action, CreateApp) for action in app.actions)
        calls += reading + 1 if is_new else READINGS * reading  # of what is not there one call tells
        for action in app.actions:
            times = len(action.machines) if isinstance(action, WithdrawRoute) else 1
            calls += CALLS[action.kind] * times
            if action.kind in PER_FLEET:
                asked[PER_FLEET[action.kind], ""] += 1
            elif action.kind in PER_APP:
                asked[PER_APP[action.kind], app.app_name] += 1
    waits = [
        (number - rate.burst) / rate.per_s
        for (action, _), number in asked.items()
        for rate in [rate_of(action)]
    ]
    return Cost(calls, max(0.0, *waits) if waits else 0.0)
