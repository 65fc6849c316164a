"""The closed list of things that `apply` may do to Fly, each a value with its reason, class and place.

What may be destroyed, and after which proofs, is decided in `removal` and `slot_plan`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

Json = Any


class Class(StrEnum):
    """What an action costs a user."""

    CREATE = "create"
    IN_PLACE = "in-place"  # nobody notices
    RESTART = "restart"  # a machine that runs goes down and comes back
    REPLACE = "replace"  # a machine is destroyed and made anew; what was not on a volume is gone
    DATA_LOSS = "data-loss"  # a volume is lost
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    app_name: str
    because: str  # one line, for people
    key: str = ""  # unique in its plan: "app", "secrets", "volume:web_data_0", "machine:web-0" …
    after: tuple[str, ...] = ()  # keys of the same plan that must be done first
    klass: Class = Class.IN_PLACE


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateApp(_Step):
    kind: ClassVar[str] = "create-app"
    org: str
    network: str
    klass: Class = Class.CREATE


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSecrets(_Step):
    """One call: the owner label, the replay keys and the document's secrets; `unset` names go with it."""

    kind: ClassVar[str] = "set-secrets"
    names: tuple[str, ...]  # values are looked up at apply time, by name
    unset: tuple[str, ...]
    mint: tuple[tuple[str, int], ...] = ()  # besides `names`: name and length of values made at apply time


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume(_Step):
    kind: ClassVar[str] = "create-volume"
    name: str
    regions: tuple[str, ...]  # tried in this order on lack of capacity
    size_gb: int
    create: Mapping[str, Json]  # further fields of the call
    compute: Mapping[str, Json] | None  # guest that must fit beside it
    klass: Class = Class.CREATE


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
    klass: Class = Class.CREATE


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendVolume(_Step):
    """Volumes only grow. The machine that mounts it may have to be restarted to see the space."""

    kind: ClassVar[str] = "extend-volume"
    volume_id: str
    name: str
    size_gb: int
    machine_id: str | None = None  # restart it if Fly says that it must be; None: asleep, or launched next


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawRoute(_Step):
    """Marks the app's machines so that no router sends anybody there any more; nothing restarts."""

    kind: ClassVar[str] = "withdraw-route"
    machines: tuple[tuple[str, str], ...]  # (machine id, expected version)
    klass: Class = Class.DELETE


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotVolume(_Step):
    kind: ClassVar[str] = "snapshot-volume"
    volume_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyMachine(_Step):
    kind: ClassVar[str] = "destroy-machine"
    machine_id: str
    slot: str
    name: str
    expected_version: str
    klass: Class = Class.DELETE


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyVolume(_Step):
    kind: ClassVar[str] = "destroy-volume"
    volume_id: str
    name: str
    klass: Class = Class.DATA_LOSS


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteApp(_Step):
    """Only when nothing is left in it: the call would take machines and volumes along."""

    kind: ClassVar[str] = "delete-app"
    network: str  # the app's own: refuse when the live one differs
    klass: Class = Class.DELETE


Action = (
    CreateApp
    | SetSecrets
    | CreateVolume
    | ExtendVolume
    | CreateMachine
    | UpdateMachine
    | StartMachine
    | MarkMachine
    | WithdrawRoute
    | SnapshotVolume
    | DestroyMachine
    | DestroyVolume
    | DeleteApp
)
