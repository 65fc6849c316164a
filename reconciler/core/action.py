"""The closed list of things that `apply` may do to Fly, each a value with its reason.

Nothing here destroys an app, a volume or a machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    app_name: str
    because: str  # one line, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateApp(_Step):
    kind: ClassVar[str] = "create-app"
    org: str
    network: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSecrets(_Step):
    """One call: the owner label, the replay keys and the document's secrets; `unset` names go with it."""

    kind: ClassVar[str] = "set-secrets"
    names: tuple[str, ...]  # values are looked up at apply time, by name
    unset: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume(_Step):
    kind: ClassVar[str] = "create-volume"
    name: str
    regions: tuple[str, ...]  # tried in this order on lack of capacity
    size_gb: int
    create: Mapping[str, Json]  # further fields of the call
    compute: Mapping[str, Json] | None  # guest that must fit beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMachine(_Step):
    kind: ClassVar[str] = "create-machine"
    slot: str
    name: str
    regions: tuple[str, ...]
    config: Mapping[str, Json]  # with our marks, without `mounts`
    mount: (
        Mapping[str, Json] | None
    )  # the mount entry; `volume` is absent when `volume_name` is created by this plan
    volume_name: str | None  # a CreateVolume of this plan that must come first
    skip_launch: bool
    must_run: bool  # wait until it is started


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateMachine(_Step):
    kind: ClassVar[str] = "update-machine"
    machine_id: str
    slot: str
    expected_version: str  # refuse when the live one differs: somebody was faster
    config: Mapping[str, Json]  # whole: Fly replaces everything
    changes: tuple[str, ...]  # "image: a → b", one line a field, secrets never among them
    skip_launch: bool
    must_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StartMachine(_Step):
    kind: ClassVar[str] = "start-machine"
    machine_id: str
    slot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkMachine(_Step):
    """A metadata write: no restart, no new version. Verifies a finished change or restores lost marks."""

    kind: ClassVar[str] = "mark-machine"
    machine_id: str
    slot: str
    expected_version: str
    metadata: Mapping[str, str | None]


Action = CreateApp | SetSecrets | CreateVolume | CreateMachine | UpdateMachine | StartMachine | MarkMachine
