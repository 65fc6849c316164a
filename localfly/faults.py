"""Faults that somebody asked for: which calls they strike, by pattern, order and seeded chance.

Answers for choosing, and for starts of machines; what a struck call answers is `api.struck`'s. Operations are
called `METHOD /v1/path/{template}` as in the API's reference, and the start of a machine is `START user`,
`START proxy` or `START flyd`, by who asked for it.
"""

import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from localfly.clock import Clock
from localfly.mishap import LOST, MISHAPS, Form
from localfly.world import Machine


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong where; `operation` and `app` are patterns with `*` (an app's name, "" for none).

    Of the calls that match, those from the `nth` on are struck, each with `probability`, at most `count` of
    them. A struck call waits `delay_s` and answers `answer`: a name of MISHAPS, `lost` for a connection that
    ends without an answer, None for its ordinary answer. With `after_effect` the call does its work first.
    """

    answer: str | None = None
    operation: str = "*"
    app: str = "*"
    nth: int = 1
    count: int | None = None
    probability: float = 1.0
    seed: int | None = None  # of its chances; None takes the next of the world's seed
    delay_s: float = 0.0
    after_effect: bool = False
    form: Form | None = None  # of the answer's body; None is the mishap's own

    def __post_init__(self) -> None:
        if self.answer not in (None, LOST) and self.answer not in MISHAPS:
            raise ValueError(f"answer {self.answer!r} is not {LOST!r} or one of {', '.join(MISHAPS)}")


@dataclass(slots=True)
class Rule:
    """A fault at work: its calls and strikes so far."""

    id: str
    fault: Fault
    chances: random.Random = field(repr=False)
    calls: int = 0
    strikes: int = 0

    def is_struck(self, operation: str, app: str) -> bool:
        """Count a call, if it matches, and say whether it is struck."""
        fault = self.fault
        if not (fnmatchcase(operation, fault.operation) and fnmatchcase(app, fault.app)):
            return False
        self.calls += 1
        if self.calls < fault.nth or (fault.count is not None and self.strikes >= fault.count):
            return False
        is_struck = fault.probability >= 1 or self.chances.random() < fault.probability
        self.strikes += is_struck
        return is_struck


class Faults:
    """The rules of one world, oldest first; the first that strikes decides. Same seed, same strikes."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self._clock = clock
        self._seed = seed
        self._made = 0
        self.rules: dict[str, Rule] = {}

    def add(self, fault: Fault) -> Rule:
        """Put a fault to work."""
        self._made += 1
        seed = f"{self._seed}/{self._made}" if fault.seed is None else fault.seed
        rule = Rule(str(self._made), fault, random.Random(seed))  # noqa: S311 - chances that a seed repeats
        self.rules[rule.id] = rule
        return rule

    def clear(self) -> None:
        """Let nothing go wrong any more; ids and chances begin anew."""
        self.rules.clear()
        self._made = 0

    def strike(self, operation: str, app: str) -> Fault | None:
        """Count a call with every rule, and return the fault of the first that strikes it."""
        struck = [rule.fault for rule in self.rules.values() if rule.is_struck(operation, app)]
        return struck[0] if struck else None

    async def start(self, machine: Machine) -> str | None:
        """What a fault makes of the start of a machine: why it fails, or None, maybe after a while."""
        source = machine.events[-1].source if machine.events else "flyd"
        fault = self.strike(f"START {source}", machine.app.name)
        if fault is None:
            return None
        if fault.delay_s:
            await self._clock.sleep(fault.delay_s)
        return fault.answer and f"machine failed to start: {fault.answer}, as a fault wants it"
