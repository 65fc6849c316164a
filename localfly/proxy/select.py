"""Which app a request is for, which service of it, and whether an app may replay there.

Answers from the world as it is now and changes nothing. Waking machines and connecting to them is
`reach`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localfly.check import critical
from localfly.proxy.door import Attached, Door, apps_behind
from localfly.world import App, Machine, World

TLS_PORTS = frozenset((443, 4443))  # of an attached backend, whose handlers nobody states
RAW: frozenset[str] = frozenset()
SOFT_LIMIT = 20  # of concurrent requests, for a service that names none


class Refused(Exception):  # noqa: N818 - reads as the sentence it is
    """The proxy will not carry this request; `status` is for the client, the text for the log of `app`."""

    def __init__(self, text: str, *, status: int = 502) -> None:
        super().__init__(text)
        self.status = status


class UnknownApp(Refused):
    """The target of a replay does not exist; Fly looks for it until its give-up time."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine or attached backend that serves the public port in question, running or not."""

    app: App
    machine_id: str
    region: str
    internal_port: int
    handlers: frozenset[str]
    forces_https: bool
    can_be_woken: bool
    runs_on: Machine | Attached
    http_options: Mapping[str, Any] = field(default_factory=dict)  # of the public port
    soft_limit: int = SOFT_LIMIT
    hard_limit: int | None = None
    ailing: str | None = None  # the service's check that fails, if one does

    @property
    def is_running(self) -> bool:
        """Whether its machine is up, be it well or not."""
        return isinstance(self.runs_on, Attached) or self.runs_on.state == "started"


class Selection:
    """The look-ups of one proxy: its world, its doors and the backends attached to it."""

    def __init__(
        self, world: World, *, doors: Sequence[Door], attached: Sequence[Attached], region: str
    ) -> None:
        self._world = world
        self._attached = attached
        self.region = region
        self._public, self._private = (
            {app for door in doors if door.is_flycast is flycast for app in apps_behind(door, attached)}
            for flycast in (False, True)
        )

    def entry(self, door: Door, host: str | None) -> App | None:
        """The app that a request with this `Host` is for at this door, if there is one.

        `APP.fly.dev` picks that app, at a flycast door `APP.flycast` too; a private app only there.
        """
        name, _, zone = (host or "").lower().rstrip(".").partition(":")[0].partition(".")
        if zone == "fly.dev" or (zone == "flycast" and door.is_flycast):
            is_private = name in self._private and name not in self._public
            return None if is_private and not door.is_flycast else self._world.apps.get(name)
        return self.default(door)

    def default(self, door: Door) -> App | None:
        """The app that unknown hosts go to at this door."""
        behind = apps_behind(door, self._attached)
        return self._world.apps.get(behind[0]) if behind else None

    def serving(self, app: App, public_port: int) -> list[Candidate]:
        """Everything of an app that serves this public port over TCP, in this proxy's region first.

        A cordoned machine counts as one without services.
        """
        found = [
            Candidate(
                app=app,
                machine_id=backend.machine_id,
                region=self.region,
                internal_port=backend.port,
                handlers=frozenset(("tls", "http") if public_port in TLS_PORTS else ("http",)),
                forces_https=False,
                can_be_woken=False,
                runs_on=backend,
            )
            for backend in self._attached
            if (backend.app, backend.org, backend.public_port) == (app.name, app.org.slug, public_port)
        ]
        for machine in app.living():
            is_lost = machine.host_status == "unreachable" and machine.state == "started"
            if machine.is_cordoned or is_lost:  # a lost one that sleeps is tried, and cannot be started
                continue
            for at, service in enumerate(machine.services):
                port = _port_of(service, public_port)
                if port is not None:
                    found.append(_candidate(machine, at, service, port))
                    break
        return sorted(found, key=lambda candidate: candidate.region != self.region)

    def check_replay(self, source: App, target_name: str) -> App:
        """The app that `source` replays to; raises Refused with Fly's words when it may not,
        UnknownApp when there is no such app.

        Another network of the same organisation needs that organisation's switch; another organisation
        must have allowed the source's. Source: behaviour.md §2.5, §5.2.
        """
        target = self._world.apps.get(target_name)
        used = f"app '{source.name}' used 'fly-replay' response header to target app '{target_name}'"
        if target is None:
            raise UnknownApp(f"[PA04] {used}, which we cannot find")
        if target.org is not source.org:
            if source.org.slug not in target.org.replay_sources:
                raise Refused(f"[PA05] {used}, but it doesn't have permission to do so")
        elif target.network != source.network and not source.org.cross_network_replays:
            raise Refused(f"{used}, but cross-network replays are not allowed")
        return target


def services_of(machine: Machine) -> list[Candidate]:
    """All services of a machine, whatever their public ports."""
    return [_candidate(machine, at, service, {}) for at, service in enumerate(machine.services)]


def _candidate(machine: Machine, at: int, service: Mapping[str, Any], port: Mapping[str, Any]) -> Candidate:
    limits = service.get("concurrency") or {}
    ailing = next((check.name for check in critical(machine) if check.service in (None, at)), None)
    return Candidate(
        app=machine.app,
        machine_id=machine.id,
        region=machine.region,
        internal_port=service["internal_port"],
        handlers=frozenset(port.get("handlers") or RAW),
        forces_https=port.get("force_https") is True,
        can_be_woken=service.get("autostart") is True,
        runs_on=machine,
        http_options=port.get("http_options") or {},
        soft_limit=limits.get("soft_limit") or SOFT_LIMIT,
        hard_limit=limits.get("hard_limit") or None,
        ailing=ailing,
    )


def _port_of(service: Mapping[str, Any], public_port: int) -> Mapping[str, Any] | None:
    """The entry of a TCP service that covers this public port; range ends count."""
    if service.get("protocol", "tcp") != "tcp":
        return None
    for entry in service.get("ports") or ():
        if entry.get("port") is not None:
            first = last = entry["port"]
        elif entry.get("start_port") is not None or entry.get("end_port") is not None:
            first, last = entry.get("start_port") or 0, entry.get("end_port") or 65535
        else:
            continue
        if first <= public_port <= last:
            return dict(entry)
    return None
