"""What exists on this laptop's Fly: organisations, apps, machines, volumes, secrets, addresses.

Answers for the nouns, their marks of identity and the look-ups over them. What happens to a machine
over time is `lifecycle`'s; requests, refusals in Fly's words and JSON shapes are `refusal` and `api*`'s.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from localfly.clock import Clock
from localfly.identity import Ids, private_ip
from localfly.kept import Kept, Unsaved

DEFAULT_NETWORK = "default"

Source = Literal["user", "proxy", "flyd"]
HostStatus = Literal["ok", "unknown", "unreachable"]


@dataclass(slots=True, eq=False)
class Org(Kept):
    """One organisation, its networks by name, and what it lets `fly-replay` do."""

    slug: str
    number: int
    networks: dict[str, int] = field(default_factory=dict)
    cross_network_replays: bool = False
    replay_sources: set[str] = field(default_factory=set)  # organisations that may replay into this one
    machines: "dict[str, Machine]" = field(default_factory=dict, repr=False)  # oldest change first


@dataclass(frozen=True, slots=True)
class Secret:
    """One app secret; its value is for the machines only and never leaves through the API."""

    name: str
    digest: str
    created_at: float
    updated_at: float
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of a volume; `size_gb` is the volume's at that moment."""

    id: str
    created_at: float
    size_gb: int
    retention_days: int


@dataclass(slots=True, eq=False)
class Volume(Kept):
    """A volume; bound to a machine until that machine is finally destroyed."""

    id: str
    name: str
    app_name: str
    region: str
    zone: str
    size_gb: int
    is_encrypted: bool
    fstype: str
    snapshot_retention: int
    auto_backup_enabled: bool
    created_at: float
    updated_at: float
    machine_id: str | None = None
    deleted_at: float | None = None
    made_from: Literal["nothing", "snapshot", "volume"] = "nothing"
    snapshots: tuple[Snapshot, ...] = ()  # oldest first
    backed_up_until: float = 0.0  # daily snapshots up to this moment are among them, or were not wanted
    host_status: HostStatus = "ok"  # that of the machine it was last bound to: a lost host takes it along


@dataclass(frozen=True, slots=True)
class Address:
    """An address through which an app is reached: public, or flycast in `network` (`fdaa:` prefix)."""

    ip: str
    region: str
    is_shared: bool
    created_at: float
    network: str | None = None  # the callers' network, for a private address
    org: str | None = None
    is_door: bool = False  # a socket that localfly listens on, not one that was asked for


@dataclass(frozen=True, slots=True)
class CustomCertificate:
    """What an uploaded certificate says about itself; the key is not kept."""

    created_at: float
    expires_at: float
    issuer: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A hostname of an app, with the certificates asked for or uploaded."""

    hostname: str
    created_at: float
    updated_at: float
    is_acme_requested: bool = False
    custom: CustomCertificate | None = None


@dataclass(slots=True, eq=False)
class App(Kept):
    """One app: in one organisation, on one network for ever."""

    id: str
    number: int
    name: str
    org: Org
    network: str
    created_at: float
    machines: "dict[str, Machine]" = field(default_factory=dict, repr=False)
    volumes: dict[str, Volume] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, Secret] = field(
        default_factory=dict, repr=False
    )  # replaced, never changed in place
    secrets_version: int = 0
    addresses: list[Address] = field(default_factory=list)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)  # by hostname; replaced likewise
    is_being_deleted: bool = False

    def living(self) -> "Iterator[Machine]":
        """The machines that are neither destroyed nor being destroyed, in order of creation."""
        return (machine for machine in self.machines.values() if machine.is_living)


@dataclass(frozen=True, slots=True)
class Lease:
    """A time-limited right to change one machine; `nonce` proves it."""

    nonce: str
    expires_at: float
    owner: str
    description: str
    version: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a machine: its `instance_id` and the config as it was submitted."""

    instance_id: str
    user_config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a machine's history, as `GET …/events` shows it; `at` in unix seconds."""

    id: str
    type: str
    status: str
    source: Source
    at: float
    request: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check last found; `updated_at` in unix seconds is when it came to this status."""

    status: Literal["passing", "warning", "critical"]
    output: str
    updated_at: float


@dataclass(frozen=True, slots=True)
class Former:
    """What a machine goes back to when its new version cannot be brought up."""

    instance_id: str
    config: Mapping[str, Any] = field(repr=False)
    secrets: Mapping[str, Secret] = field(repr=False)
    was_to_run: bool


NO_CHECKS: Mapping[str, CheckResult] = MappingProxyType({})


@dataclass(slots=True, eq=False)
class Machine(Kept):
    """One machine; `config` is what its current version was given, with the metadata of now."""

    id: str
    name: str
    app: App = field(repr=False)
    region: str
    private_ip: str
    created_at: float
    updated_at: float
    change: int  # grows with every change of any machine: the order of the organisation's list
    instance_id: str
    state: str
    config: Mapping[str, Any] = field(repr=False)
    secrets: Mapping[str, Secret] = field(repr=False)  # the app's secrets when this version was launched
    versions: list[Version] = field(default_factory=list, repr=False)
    events: list[Event] = field(default_factory=list, repr=False)  # of this version, oldest first
    lease: Lease | None = field(default=None, repr=False)
    is_bound_to_run: bool = False  # what a launch, start or update in progress ends in
    is_running: bool = False  # the runtime holds a guest or process for it
    is_being_reaped: bool = False  # reads `stopped`, but the host has not cleaned up: no start yet
    destroyed_at: float = 0.0
    restarts: tuple[float, ...] = ()  # moments of recent restarts by the restart policy
    waiters: list[asyncio.Future[None]] | None = field(default=None, repr=False)
    is_cordoned: bool = False  # the proxy sends it nothing
    host_status: HostStatus = "ok"
    former: Former | None = field(default=None, repr=False)  # while `replacing`
    checks: Mapping[str, CheckResult] = field(
        default_factory=lambda: NO_CHECKS, repr=False
    )  # by name; replaced, never changed in place

    @property
    def is_living(self) -> bool:
        """Whether it still holds its name: neither destroyed nor on the way there."""
        return self.state not in ("launch_failed", "destroying", "destroyed")

    @property
    def services(self) -> list[Mapping[str, Any]]:
        """The service objects of its config."""
        return list(self.config.get("services") or ())

    @property
    def mount(self) -> Mapping[str, Any] | None:
        """Its one mount, if any: `volume` (id), `path`."""
        mounts = self.config.get("mounts") or ()
        return mounts[0] if mounts else None


class World:
    """All organisations and apps, one namespace of app names, and the clock (unix seconds) they share.

    `clock` is a Clock, or where a new one takes its time from. Once something keeps it, `unsaved` has what
    changed, and `save()` before an answer leaves makes that answer true for good.
    """

    def __init__(self, clock: Clock | Callable[[], float], *, ids: Ids | None = None) -> None:
        self.clock = clock if isinstance(clock, Clock) else Clock(clock)
        self.ids = ids or Ids()
        self.orgs: dict[str, Org] = {}
        self.apps: dict[str, App] = {}
        self.machines: dict[str, Machine] = {}
        self.bad_images: set[str] = set()  # references that no host can pull
        self.unsaved: Unsaved | None = None
        self.save: Callable[[], None] = _nothing_to_do
        self.before_start: Callable[[Machine], Awaitable[str | None]] = _no_fault  # why a start is to fail
        self.counts = Counts()

    def add_org(self, slug: str) -> Org:
        """The organisation of that slug, made if it is new."""
        if slug not in self.orgs:
            self.orgs[slug] = Org(slug, len(self.orgs) + 1)
            self.orgs[slug].follow(self.unsaved)
            self.join_network(self.orgs[slug], DEFAULT_NETWORK)
        return self.orgs[slug]

    def join_network(self, org: Org, name: str) -> int:
        """The number of that network; a network comes into being when it is first named, for ever."""
        if name not in org.networks:
            self.counts.networks += 1
            org.networks[name] = self.counts.networks
            org.changed()
        return org.networks[name]

    def add_app(self, name: str, *, org: str, network: str = DEFAULT_NETWORK) -> App:
        """A new app on that network of an organisation; the name must be free and lawful (caller's check)."""
        owner = self.add_org(org)
        self.join_network(owner, network)
        self.counts.apps += 1
        app = App(
            id=self.ids.hex(14),
            number=self.counts.apps,
            name=name,
            org=owner,
            network=network,
            created_at=self.clock(),
        )
        self.apps[name] = app
        app.follow(self.unsaved)
        return app

    def add_volume(self, app: App, volume: Volume) -> None:
        """A new volume of an app."""
        app.volumes[volume.id] = volume
        volume.follow(self.unsaved)

    def add_machine(
        self,
        app: App,
        *,
        name: str,
        region: str,
        config: Mapping[str, Any],
        submitted: Mapping[str, Any],
        secrets: Mapping[str, Secret],
        volume: Volume | None = None,
    ) -> Machine:
        """A new machine in state `created`, with its first version, bound to its volume; nothing runs yet."""
        now = self.clock()
        machine_id = self._fresh_machine_id()
        machine = Machine(
            id=machine_id,
            name=name,
            app=app,
            region=region,
            private_ip=private_ip(app.org.networks[app.network], machine_id),
            created_at=now,
            updated_at=now,
            change=self.counts.next_change(),
            instance_id=self.ids.ulid(now),
            state="created",
            config=config,
            secrets=secrets,
        )
        machine.versions.append(Version(machine.instance_id, submitted))
        app.machines[machine_id] = self.machines[machine_id] = app.org.machines[machine_id] = machine
        machine.follow(self.unsaved)
        if volume is not None:
            volume.machine_id, volume.updated_at = machine_id, now
        return machine

    def volume_of(self, machine: Machine) -> Volume | None:
        """The volume that is bound to it."""
        volume = machine.app.volumes.get(machine.mount["volume"]) if machine.mount else None
        return volume if volume is not None and volume.machine_id == machine.id else None

    def free_volume(self, machine: Machine) -> None:
        """Unbind the volume of a machine that is finally destroyed."""
        if (volume := self.volume_of(machine)) is not None:
            volume.machine_id, volume.updated_at = None, self.clock()

    def forget_app(self, app: App) -> None:
        """Take a deleted app away with all that it holds; its name is free."""
        for machine in list(app.machines.values()):
            self.forget_machine(machine)
        for volume in app.volumes.values():
            volume.changed()
        self.apps.pop(app.name, None)
        app.changed()

    def empty_app(self, app: App) -> None:
        """Take all away that an app holds, but its addresses; its secrets count on."""
        for machine in list(app.machines.values()):
            self.forget_machine(machine)
        for volume in app.volumes.values():
            volume.changed()
        app.volumes.clear()
        self.set_secrets(app, dict.fromkeys(app.secrets))
        app.changed()

    def forget_machine(self, machine: Machine) -> None:
        """Take a destroyed machine out of every list."""
        for holder in (self.machines, machine.app.machines, machine.app.org.machines):
            holder.pop(machine.id, None)
        machine.changed()

    def touch(self, machine: Machine) -> None:
        """Note that a machine changed now, and wake those who wait for it."""
        machine.updated_at, machine.change = self.clock(), self.counts.next_change()
        rows = machine.app.org.machines
        if rows.pop(machine.id, None) is not None:
            rows[machine.id] = machine
        self.wake(machine)

    def wake(self, machine: Machine) -> None:
        """Let everyone who waits for it look again."""
        waiters, machine.waiters = machine.waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def set_secrets(self, app: App, values: Mapping[str, str | None]) -> int:
        """Set names, or remove those with None, in one step; returns the app's new secrets version."""
        now = self.clock()
        after = dict(app.secrets)
        changes = {name: value for name, value in values.items() if value is not None or name in after}
        for name, value in changes.items():
            before = after.pop(name, None)
            if value is not None:
                digest = hashlib.blake2b(f"{name}\n{value}".encode(), digest_size=16, key=app.id.encode())
                born = before.created_at if before else now
                after[name] = Secret(name, digest.hexdigest(), born, now, value)
        if changes:
            app.secrets = after
            app.secrets_version += 1
        return app.secrets_version

    def _fresh_machine_id(self) -> str:
        while (machine_id := self.ids.hex(14)) in self.machines:
            pass
        return machine_id


@dataclass(slots=True)
class Counts:
    """How many there ever were: numbers that are never given twice."""

    apps: int = 0
    networks: int = 0
    changes: int = 0

    def next_change(self) -> int:
        """The number of a change that happens now."""
        self.changes += 1
        return self.changes


async def _no_fault(_: Machine) -> None:
    """Nothing keeps it from starting."""


def _nothing_to_do() -> None:
    """Nothing keeps this world."""
