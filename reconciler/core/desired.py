"""What one user app should be on Fly: every reference followed, every default filled in, every name fixed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Any  # a value that json.dumps takes; machine configs are kept verbatim, in Fly's own field names


@dataclass(frozen=True, slots=True)
class DesiredMount:
    """The slot's volume: Fly's mount plus the fields of the create-volume call."""

    volume_name: str  # "{group}_{volume}_{n}", the volume's identity within its app
    path: str
    size_gb: int
    create: Mapping[str, Json]  # further create-volume fields, verbatim (encrypted, snapshot_retention …)
    config: Mapping[str, Json]  # the mount entry without `volume`: path, and Fly's other mount fields


@dataclass(frozen=True, slots=True)
class DesiredMachine:
    """One slot of a user app."""

    slot: str  # "web-0": identity, and the machine's first name
    regions: tuple[str, ...]  # in order of preference; later ones only on lack of capacity
    config: Mapping[str, Json]  # resolved machine config, without our metadata marks and without `mounts`
    mount: DesiredMount | None
    skip_launch: bool
    may_sleep: bool  # a service has autostart (or skip_launch): stopped and suspended are fine
    spec_hash: str  # of config, mount and what else would change the machine; without marks


@dataclass(frozen=True, slots=True)
class DesiredApp:
    """One `UserApp` document, resolved."""

    name: str  # metadata.name
    app_name: str  # on Fly
    org: str
    network: str  # "{installation}-{name}", the proof that the app is ours
    owner: str  # "{installation}.{name}", the machine mark
    owner_label: str  # "RECONCILER_OWNER_{INSTALLATION}", the label secret
    hosts: tuple[str, ...]
    machines: tuple[DesiredMachine, ...]
    secret_names: tuple[str, ...]  # the document's own, sorted
    key_names: tuple[
        str, ...
    ]  # replay key secrets the app carries, sorted (PRESHARED_KEY …); () with auth: none
    secrets_digest: (
        str | None
    )  # keyed digest over the desired values; None: values unknown here, not compared
    key_id: str | None  # names the root key; None: unknown here
    corrects_drift: bool
