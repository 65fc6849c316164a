"""What one app is on Fly, as read at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Json = Any


class Claim(StrEnum):
    """Whose the app of that name is."""

    ABSENT = "absent"  # nobody's: free to create
    OURS = "ours"  # proven: network and name agree with the installation
    FOREIGN = "foreign"  # in our organisation without our proof: never touched, never routed
    TAKEN = "taken"  # another organisation's: never touched, never routed


@dataclass(frozen=True, slots=True)
class ObservedMachine:
    id: str
    name: str
    state: str
    region: str
    version: str  # instance_id
    config: Mapping[str, Json]  # live, as Fly echoes it; empty while the host is unreachable
    submitted: (
        Mapping[str, Json] | None
    )  # what the current version was made from (`user_config`); None: not known
    host_status: str = "ok"
    cordoned: bool = False

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.config.get("metadata") or {}

    @property
    def volume_id(self) -> str | None:
        mounts = self.config.get("mounts") or ()
        return mounts[0].get("volume") if mounts else None


@dataclass(frozen=True, slots=True)
class ObservedVolume:
    id: str
    name: str
    state: str
    region: str
    size_gb: int
    attached_machine_id: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot of a volume."""

    id: str
    status: str  # waiting or pending, running, created
    created_at: float  # unix seconds, by Fly's clock; 0.0 when Fly does not say


@dataclass(frozen=True, slots=True)
class Row:
    """One machine as the org-wide list shows it: a hint, read for the whole fleet in few calls."""

    id: str
    app_name: str
    name: str
    state: str
    region: str
    version: str
    config: Mapping[str, Json]  # image, guest and metadata only

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.config.get("metadata") or {}


@dataclass(frozen=True, slots=True)
class ListedApp:
    """One app as `GET /v1/apps?org_slug=` shows it."""

    name: str
    network: str


@dataclass(frozen=True, slots=True)
class ObservedFleet:
    """The organisation in one pass. `error_regions` not empty: machines there are missing here, not gone."""

    apps: Mapping[str, ListedApp]  # by app name
    rows: Mapping[str, tuple[Row, ...]]  # by app name, sorted by id
    error_regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ObservedApp:
    """The truth about one app, read just before it is changed: every call was answered, or there is none."""

    app_name: str
    claim: Claim
    machines: tuple[ObservedMachine, ...] = ()  # living ones, destroying included, sorted by name
    gone: tuple[ObservedMachine, ...] = ()  # destroyed ones that Fly still lists, newest first
    volumes: tuple[ObservedVolume, ...] = ()
    secret_names: frozenset[str] = field(default_factory=frozenset)
    public_addresses: tuple[str, ...] = ()
    network: str = ""  # the app's own, whatever it proves
    machine_count: int = 0  # as Fly counts them apart from the lists, which lag and may come back empty
    volume_count: int = 0
    snapshots: Mapping[str, tuple[Snapshot, ...]] = field(
        default_factory=dict
    )  # by volume id; absent: not read
