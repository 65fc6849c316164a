"""An open connection to a machine of an app: running ones first, else one is woken, until time is up.

Answers for retries, autostart and the reasons why nothing was reached. Which machines count is
`select`'s; the start itself is the lifecycle's, one for all who wait.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from localfly.lifecycle import Lifecycle
from localfly.proxy.door import Attached
from localfly.proxy.load import Band, Held, Load
from localfly.proxy.pipe import Ends
from localfly.proxy.region import rank
from localfly.proxy.select import Candidate, Refused, Selection, UnknownApp
from localfly.refusal import Refusal
from localfly.world import App, Machine

Why = Literal["timeout", "retries_exhausted", "no_candidate"]

PAUSE_S = 0.1  # between rounds of tries; with the give-up time about Fly's 90 attempts
WAKE_LIMIT_S = 60.0  # a machine that needs longer to start is one that does not start


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request needs: a public port of an app, exactly one instance or preferably one, and where."""

    app: App
    public_port: int
    instance: str | None = None
    prefer_instance: str | None = None
    regions: tuple[str, ...] = ()  # codes and aliases in order of preference; empty: the nearest
    avoids: str | None = None  # a machine that is left out
    replayed_by: App | None = None
    until: float | None = None  # when a replay's own `timeout` ends, on the world's clock


@dataclass(frozen=True, slots=True)
class Reached:
    """A machine and an open connection to it."""

    candidate: Candidate
    ends: Ends
    held: Held


class Unreached(Refused):
    """Nobody was connected to; `why` in Fly's words for `fly-replay-failed`, `tried` is the last machine."""

    def __init__(self, reason: Refused, *, why: Why, tried: Candidate | None) -> None:
        super().__init__(str(reason), status=reason.status)
        self.why: Why = why if tried else "no_candidate"
        self.tried = tried


class _StartFailed(Refused):
    """The machine's start has failed; this request does not try it again."""


@dataclass(slots=True)
class _Search:
    """How far a search has come."""

    reason: Refused
    tried: Candidate | None = None

    def failed(self, why: Why) -> Unreached:
        return Unreached(self.reason, why=why, tried=self.tried)


class Reach:
    """Finds and connects, for one proxy; `give_up_s` is how long without anybody to connect to."""

    def __init__(self, selection: Selection, lifecycle: Lifecycle, load: Load, *, give_up_s: float) -> None:
        self._selection = selection
        self._lifecycle = lifecycle
        self._load = load
        self._clock = lifecycle.world.clock
        self._give_up_s = give_up_s
        self._turns = itertools.count()

    async def connect(self, wanted: Wanted) -> Reached:
        """Connect to a machine that fits; raises Unreached with the last reason when time is up."""
        search = _Search(_nobody(wanted))
        try:
            async with self._clock.timeout(None if wanted.until is None else wanted.until - self._clock()):
                return await self._search(wanted, search)
        except TimeoutError:
            raise search.failed("timeout") from None

    async def target(self, source: App, name: str, *, until: float | None = None) -> App:
        """The app that `source` may replay to; an app that does not exist is looked for until time is up.

        Raises UnknownApp then, and Refused at once when it may not. `until` as in Wanted.
        """
        deadline = min(self._clock() + self._give_up_s, until or math.inf)
        while True:
            try:
                return self._selection.check_replay(source, name)
            except UnknownApp:
                if self._clock() >= deadline:
                    raise
            await self._clock.sleep(min(PAUSE_S, deadline - self._clock()))

    async def _search(self, wanted: Wanted, search: _Search) -> Reached:
        deadline = self._clock() + self._give_up_s
        woken: set[str] = set()
        broken: set[str] = set()
        while True:
            search.reason = _nobody(wanted)
            order = [one for one in self._in_order(wanted) if one.machine_id not in broken]
            for candidate in order:
                if candidate.is_running or candidate.can_be_woken:
                    search.tried = candidate
                try:
                    if not candidate.is_running:
                        await self._wake(candidate)
                        if candidate.machine_id not in woken:  # from here on it may need time to listen
                            woken.add(candidate.machine_id)
                            deadline = self._clock() + self._give_up_s
                    return await self._open(candidate)
                except Refused as refused:
                    search.reason = refused
                    if isinstance(refused, _StartFailed):
                        broken.add(candidate.machine_id)
            if self._clock() >= deadline or (order and broken.issuperset(one.machine_id for one in order)):
                raise search.failed("retries_exhausted")
            await self._load.change(within_s=PAUSE_S)

    def _in_order(self, wanted: Wanted) -> Sequence[Candidate]:
        """The preferred instance; then, step by step of regions, what runs, nearest and calmest first.

        What sleeps comes after that, or before it when nothing that runs is below its soft limit; equals
        take turns.
        """
        turn = next(self._turns)
        fitting = [
            (place, candidate)
            for candidate in self._selection.serving(wanted.app, wanted.public_port)
            if (place := rank(candidate.region, wanted=wanted.regions, here=self._selection.region))
            and _fits(candidate, wanted)
            and not self._load.is_draining(candidate.machine_id)
        ]
        calm = {place[0] for place, one in fitting if self._is_calm(one)}
        groups: dict[tuple[int, bool, float, int], list[Candidate]] = {}
        for (step, distance), candidate in fitting:
            is_late = candidate.is_running is not (step in calm)
            key = (step, is_late, distance, self._load.band(candidate))
            groups.setdefault(key, []).append(candidate)
        found: list[Candidate] = []
        for _, equals in sorted(groups.items(), key=lambda group: group[0]):
            at = turn % len(equals) if equals[0].is_running else 0
            found += equals[at:] + equals[:at]
        return sorted(found, key=lambda one: one.machine_id != wanted.prefer_instance)

    def _is_calm(self, candidate: Candidate) -> bool:
        is_up = candidate.is_running and candidate.ailing is None
        return is_up and self._load.band(candidate) is Band.CALM

    async def _wake(self, candidate: Candidate) -> None:
        machine = candidate.runs_on
        assert isinstance(machine, Machine)  # noqa: S101 - an attached backend always counts as running
        if machine.state in ("starting", "restarting"):
            await self._lifecycle.until(
                machine, lambda m: m.state not in ("starting", "restarting"), timeout_s=WAKE_LIMIT_S
            )
            if machine.state == "started":
                return
            if machine.state == "failed":
                raise _StartFailed(f"[PM01] machine {machine.id} failed to start")
        if not candidate.can_be_woken:
            raise Refused(
                f"[PM01] machine {machine.id} is {machine.state} and its service on internal port "
                f"{candidate.internal_port} has no autostart"
            )
        try:
            async with self._clock.timeout(WAKE_LIMIT_S):
                await self._lifecycle.start(machine, source="proxy")
        except Refusal as refusal:
            kind = _StartFailed if machine.state == "failed" else Refused
            raise kind(f"[PM01] machine {machine.id} cannot be started: {refusal.text}") from None
        except TimeoutError:
            raise Refused(f"[PM02] machine {machine.id} did not start within {WAKE_LIMIT_S:g} s") from None

    async def _open(self, candidate: Candidate) -> Reached:
        if candidate.ailing is not None:
            raise Refused(
                f"[PR03] could not find a good candidate: machine {candidate.machine_id} "
                f"fails its check {candidate.ailing}"
            )
        if isinstance(candidate.runs_on, Attached):
            where: tuple[str, int] | None = (candidate.runs_on.host, candidate.runs_on.port)
        else:
            where = self._lifecycle.runtime.address(candidate.machine_id, candidate.internal_port)
        try:
            if where is None:
                raise ConnectionRefusedError
            ends, held = await self._load.connect(candidate, where)
        except OSError:
            raise Refused(
                f"[PC01] instance refused connection: machine {candidate.machine_id}, "
                f"internal port {candidate.internal_port}. is your app listening on the port it was given?"
            ) from None
        return Reached(candidate, ends, held)


def _fits(candidate: Candidate, wanted: Wanted) -> bool:
    if candidate.machine_id == wanted.avoids or wanted.instance not in (None, candidate.machine_id):
        return False
    return "http" in candidate.handlers or wanted.replayed_by is None


def _nobody(wanted: Wanted) -> Refused:
    serves = f"serves port tcp/{wanted.public_port}"
    if wanted.regions:
        serves += f" in region {','.join(wanted.regions)}"
    if wanted.replayed_by is not None:
        who = f"app {wanted.replayed_by.name} tried to fly-replay to app {wanted.app.name}"
        which = f"no instance {wanted.instance}" if wanted.instance else "nothing"
        return Refused(f"{who}, but {which} from that app {serves}")
    return Refused(f"[PR03] could not find a good candidate: nothing from app {wanted.app.name} {serves}")
