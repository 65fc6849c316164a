"""The things a world is made of: organisations, apps, machines, volumes, secrets, addresses.

Answers for what each one knows of itself. Look-ups and what belongs to whom are `world`'s, what happens to a
machine over time is `lifecycle`'s.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from localfly.kept import Kept

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
