"""An open connection to a machine of an app: running ones first, else one is woken, until time is up.

Answers for retries, autostart and the reasons why nothing was reached. Which machines count is
`select`'s; the start itself is the lifecycle's, one for all who wait.
"""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from localfly.lifecycle import Lifecycle
from localfly.proxy.door import Attached
from localfly.proxy.pipe import Ends
from localfly.proxy.select import Candidate, Refused, Selection, UnknownApp
from localfly.refusal import Refusal
from localfly.world import App, Machine

PAUSE_S = 0.1  # between rounds of tries; with the give-up time about Fly's 90 attempts
WAKE_LIMIT_S = 60.0  # a machine that needs longer to start is one that does not start


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request needs: a public port of an app, exactly one instance or preferably one."""

    app: App
    public_port: int
    instance: str | None = None
    prefer_instance: str | None = None
    replayed_by: App | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """A machine and an open connection to it."""

    candidate: Candidate
    ends: Ends


class Reach:
    """Finds and connects, for one proxy; `give_up_s` is how long without anybody to connect to."""

    def __init__(self, selection: Selection, lifecycle: Lifecycle, *, give_up_s: float) -> None:
        self._selection = selection
        self._lifecycle = lifecycle
        self._give_up_s = give_up_s
        self._turns = itertools.count()

    async def connect(self, wanted: Wanted) -> Reached:
        """Connect to a machine that fits; raises Refused with the last reason when time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._give_up_s
        woken: set[str] = set()
        while True:
            reason = _nobody(wanted)
            for candidate in self._in_order(wanted):
                try:
                    if not candidate.is_running:
                        await self._wake(candidate)
                        if candidate.machine_id not in woken:  # from here on it may need time to listen
                            woken.add(candidate.machine_id)
                            deadline = loop.time() + self._give_up_s
                    return Reached(candidate, await self._open(candidate))
                except Refused as refused:
                    reason = refused
            if loop.time() >= deadline:
                raise reason
            await asyncio.sleep(PAUSE_S)

    async def target(self, source: App, name: str) -> App:
        """The app that `source` may replay to; an app that does not exist is looked for until time is up."""
        deadline = asyncio.get_running_loop().time() + self._give_up_s
        while True:
            try:
                return self._selection.check_replay(source, name)
            except UnknownApp:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            await asyncio.sleep(PAUSE_S)

    def _in_order(self, wanted: Wanted) -> Sequence[Candidate]:
        """The preferred instance, then what runs (in turn), then what can be woken."""
        fitting = [
            candidate
            for candidate in self._selection.serving(wanted.app, wanted.public_port)
            if wanted.instance in (None, candidate.machine_id)
            and ("http" in candidate.handlers or wanted.replayed_by is None)
        ]
        turn = next(self._turns)
        running = [candidate for candidate in fitting if candidate.is_running]
        near = [candidate for candidate in running if candidate.region == running[0].region]
        far = running[len(near) :]
        near = near[turn % len(near) :] + near[: turn % len(near)] if near else []
        asleep = [candidate for candidate in fitting if not candidate.is_running]
        return sorted([*near, *far, *asleep], key=lambda one: one.machine_id != wanted.prefer_instance)

    async def _wake(self, candidate: Candidate) -> None:
        machine = candidate.runs_on
        assert isinstance(machine, Machine)  # noqa: S101 - an attached backend always counts as running
        if machine.state in ("starting", "restarting"):
            await self._lifecycle.until(
                machine, lambda m: m.state not in ("starting", "restarting"), timeout_s=WAKE_LIMIT_S
            )
            if machine.state == "started":
                return
        if not candidate.can_be_woken:
            raise Refused(
                f"[PR03] machine {machine.id} is {machine.state} and its service on internal port "
                f"{candidate.internal_port} has no autostart"
            )
        try:
            async with asyncio.timeout(WAKE_LIMIT_S):
                await self._lifecycle.start(machine, source="proxy")
        except Refusal as refusal:
            raise Refused(f"[PM01] machine {machine.id} cannot be started: {refusal.text}") from None
        except TimeoutError:
            raise Refused(f"[PM02] machine {machine.id} did not start within {WAKE_LIMIT_S:g} s") from None

    async def _open(self, candidate: Candidate) -> Ends:
        if isinstance(candidate.runs_on, Attached):
            where: tuple[str, int] | None = (candidate.runs_on.host, candidate.runs_on.port)
        else:
            where = self._lifecycle.runtime.address(candidate.machine_id, candidate.internal_port)
        try:
            if where is None:
                raise ConnectionRefusedError
            return await asyncio.open_connection(*where)
        except OSError:
            raise Refused(
                f"[PC01] instance refused connection: machine {candidate.machine_id}, "
                f"internal port {candidate.internal_port}. is your app listening on the port it was given?"
            ) from None


def _nobody(wanted: Wanted) -> Refused:
    serves = f"serves port tcp/{wanted.public_port}"
    if wanted.replayed_by is not None:
        who = f"app {wanted.replayed_by.name} tried to fly-replay to app {wanted.app.name}"
        which = f"no instance {wanted.instance}" if wanted.instance else "nothing"
        return Refused(f"{who}, but {which} from that app {serves}")
    return Refused(f"[PR03] could not find a good candidate: nothing from app {wanted.app.name} {serves}")
