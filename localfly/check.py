"""Health checks: what a config asks for, when it is asked, and what came of it.

Answers for intervals, grace periods and a machine's `checks`. The asking itself is `probe`'s; what an
unhealthy machine is spared is the proxy's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localfly.clock import Clock
from localfly.moment import duration_s
from localfly.world import NO_CHECKS, CheckResult, Machine, World

INTERVAL_S = 15.0  # the three defaults of a check that names none: a choice
TIMEOUT_S = 2.0
GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a config; `service` is its service's place there, None for one of the machine's own."""

    name: str
    type: str
    port: int
    interval_s: float
    timeout_s: float
    grace_s: float
    service: int | None
    is_readiness: bool  # while it is critical, the proxy has no use for what it checks
    method: str = "GET"
    path: str = "/"
    is_tls: bool = False
    tls_server_name: str | None = None
    is_tls_verified: bool = True
    headers: tuple[tuple[str, str], ...] = ()


Outcome = tuple[str, str]  # status, output
Probe = Callable[[Check, str, int], Awaitable[Outcome]]
Address = Callable[[str, int], tuple[str, int] | None]


def checks_of(config: Mapping[str, Any]) -> Iterator[Check]:
    """All checks of a config: the machine's own by their names, services' as Fly names them."""
    for name, check in (config.get("checks") or {}).items():
        yield _check(name, check, port=check.get("port") or 0, service=None)
    for at, service in enumerate(config.get("services") or ()):
        for check in service.get("checks") or ():
            port = check.get("port") or service["internal_port"]
            yield _check(f"servicecheck-{at:02}-{check['type']}-{port}", check, port=port, service=at)


def critical(machine: Machine) -> list[Check]:
    """The checks that keep traffic away now: a service's, or a readiness check, that is critical."""
    if not machine.checks:
        return []
    failing = {name for name, result in machine.checks.items() if result.status == "critical"}
    return [check for check in checks_of(machine.config) if check.is_readiness and check.name in failing]


class Checks:
    """Runs the checks of every started machine; close it with `aclose()`."""

    def __init__(self, world: World, address: Address, probe: Probe) -> None:
        self._world = world
        self._clock: Clock = world.clock
        self._address = address
        self._probe = probe
        self._rounds: dict[str, list[asyncio.Task[None]]] = {}

    def follow(self, machine: Machine) -> None:
        """Check it while it is started; call it whenever its state changed."""
        for task in self._rounds.pop(machine.id, ()):
            task.cancel()
        if machine.checks:
            machine.checks = NO_CHECKS
        if machine.state == "started" and (checks := list(checks_of(machine.config))):
            self._rounds[machine.id] = [
                asyncio.create_task(
                    self._rounds_of(machine, check), name=f"check {check.name} of {machine.id}"
                )
                for check in checks
            ]

    async def aclose(self) -> None:
        """End all rounds."""
        tasks = [task for tasks in self._rounds.values() for task in tasks]
        self._rounds.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _rounds_of(self, machine: Machine, check: Check) -> None:
        await self._clock.sleep(check.grace_s)
        while True:
            status, output = await self._ask(machine, check)
            before = machine.checks.get(check.name)
            at = before.updated_at if before and before.status == status else self._clock()
            result = CheckResult(status, output, at)  # type: ignore[arg-type]  # one of a probe's three words
            if before != result:
                machine.checks = {**machine.checks, check.name: result}
                self._world.wake(machine)
            await self._clock.sleep(check.interval_s)

    async def _ask(self, machine: Machine, check: Check) -> Outcome:
        where = self._address(machine.id, check.port)
        if where is None:
            return "critical", "connect: connection refused"
        with self._clock.working():
            try:
                async with asyncio.timeout(check.timeout_s):
                    return await self._probe(check, *where)
            except TimeoutError:
                return "critical", f"no answer within {check.timeout_s:g}s"


def _check(name: str, check: Mapping[str, Any], *, port: int, service: int | None) -> Check:
    headers = (check.get("headers") or ()) if check["type"] == "http" else ()
    return Check(
        name=name,
        type=check["type"],
        port=port,
        interval_s=duration_s(check.get("interval"), default_s=INTERVAL_S) or INTERVAL_S,
        timeout_s=duration_s(check.get("timeout"), default_s=TIMEOUT_S) or TIMEOUT_S,
        grace_s=duration_s(check.get("grace_period"), default_s=GRACE_S),
        service=service,
        is_readiness=service is not None or check.get("kind") == "readiness",
        method=check.get("method") or "GET",
        path=check.get("path") or "/",
        is_tls=check.get("protocol") == "https",
        tls_server_name=check.get("tls_server_name"),
        is_tls_verified=not check.get("tls_skip_verify"),
        headers=tuple((header["name"], value) for header in headers for value in header.get("values") or ()),
    )
