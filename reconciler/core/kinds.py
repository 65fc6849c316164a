"""The kinds of document and their fields: Fleet, UserApp, Machine, Service, Secret, Router.

Answers for what one document may say by itself. What it says about others is `reference`'s; the
Machines API's own objects are `machine_config` and `service_config`.
"""

from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from reconciler.core.allow_unknown import AllowUnknown, AllowUnknownInService, without_allowed
from reconciler.core.armor import armored
from reconciler.core.machine_config import MachineConfig
from reconciler.core.policy import BudgetSpec, DeploySpec, PauseSpec
from reconciler.core.problem import quote, quote_name
from reconciler.core.replay_spec import ReplaySpec
from reconciler.core.scalar import (
    LONGEST_VOLUME_NAME,
    AbsolutePath,
    AppName,
    AppNamePattern,
    Bind,
    Duration,
    GroupName,
    Host,
    Installation,
    Name,
    Port,
    Region,
    Strict,
    Unique,
    VariableName,
    VolumeName,
    bind_parts,
    no_repeats_of,
    seconds,
    wrong,
)
from reconciler.core.service_config import ServiceConfig
from reconciler.core.set_spec import UserAppSetSpec

MOST_MACHINES = 100  # of one name in one user app: a slip of the keyboard must not ask Fly for a million
MOST_VERSIONS = 999_999  # of a generated secret
LARGEST_VOLUME_GB = 500  # contract §11
SHORTEST_GRACE_S = 60

Json = Any


def _verbatim_machine(value: Json, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Json:
    check(without_allowed(value, (info.data or {}).get("allow_unknown", ())))
    return value


def _verbatim_service(value: Json, check: ValidatorFunctionWrapHandler) -> Json:
    allowed = value.get("allow_unknown") if isinstance(value, dict) else None
    names = [path for path in allowed if isinstance(path, str)] if isinstance(allowed, list) else []
    check(without_allowed(value, names))
    return value


class ServiceSpec(ServiceConfig):
    """What Fly's proxy offers of a machine: a Machines API service, verbatim."""

    allow_unknown: AllowUnknownInService = Field(
        default=(),
        description="Unknown fields that are sent all the same, e.g. ports[].quic; itself not sent.",
    )


if TYPE_CHECKING:
    VerbatimMachine = dict[str, Json]
    VerbatimService = dict[str, Json]
else:
    VerbatimMachine = Annotated[MachineConfig, WrapValidator(_verbatim_machine)]
    VerbatimService = Annotated[ServiceSpec, WrapValidator(_verbatim_service)]


def _a_minute_at_least(value: str | int) -> str | int:
    if seconds(value) < SHORTEST_GRACE_S:
        raise wrong(
            f"{quote(value)} is too short: a file that is being replaced must not count as gone; "
            "expected at least 1m",
            "out-of-range",
        )
    return value


class FleetSpec(Strict):
    """What all user apps have in common."""

    org: Name = Field(description="Fly organisation that holds the user apps, by its slug.")
    installation: Installation = Field(
        description="What makes an app ours: a letter, then 5 to 11 of a-z and 0-9. Never change it."
    )
    app_name: AppNamePattern = Field(
        description='Pattern of Fly app names, e.g. "acme-{name}"; app names are global on Fly.'
    )
    regions: Annotated[Unique[Region], Field(min_length=1)] = Field(
        description="Where machines go, in order of preference, unless a user app says otherwise."
    )
    drift: Literal["correct", "warn"] = Field(
        default="correct", description="What happens to changes made by hand: undone, or only reported."
    )
    budget: BudgetSpec = Field(default=BudgetSpec(), description="How much may happen within an hour.")
    deletion_grace: Annotated[Duration, AfterValidator(_a_minute_at_least)] = Field(
        default="10m",
        description="How long a document must have been gone before its app may be deleted; at least 1m.",
    )
    deploy: DeploySpec = Field(default=DeploySpec(), description="How machines are changed.")
    paused: PauseSpec | None = Field(default=None, description="Change nothing at all for a while.")


class MountSpec(Strict):
    """A volume per machine: Fly's mount together with the fields of its create-volume call."""

    name: VolumeName = Field(description="Part of the volume's name, {machine}_{name}_{number}.")
    path: AbsolutePath = Field(description="Where it is mounted; not / itself.")
    size_gb: int = Field(ge=1, le=LARGEST_VOLUME_GB, description="Its size.")
    volume_name: VolumeName | None = Field(
        default=None, description="The volume's whole name, when Fly has it under another: of an adopted app."
    )
    extend_threshold_percent: int | None = Field(
        default=None, ge=0, le=100, description="Fly extends the volume when it is this full."
    )
    add_size_gb: int | None = Field(default=None, ge=0, description="By how much Fly extends it.")
    size_gb_limit: int | None = Field(default=None, ge=0, description="Up to which size.")
    encrypted: bool | None = Field(default=None, description="Fly's default is true.")
    fstype: Literal["ext4", "raw"] | None = Field(default=None, description="Fly's default is ext4.")
    require_unique_zone: bool | None = Field(default=None, description="On a host without its siblings.")
    unique_zone_app_wide: bool | None = Field(default=None, description="The same over the whole app.")
    snapshot_id: str | None = Field(default=None, description="Create it from this snapshot.")
    source_volume_id: str | None = Field(default=None, description="Create it as a copy of this volume.")
    snapshot_retention: int | None = Field(default=None, ge=1, le=60, description="Days.")
    auto_backup_enabled: bool | None = Field(default=None, description="Daily snapshots.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.path.strip("/"):
            raise wrong("a volume cannot be mounted at /", "bad-path")
        if (self.extend_threshold_percent is None) != (self.add_size_gb is None):
            raise wrong("extend_threshold_percent and add_size_gb need each other", "fields-need-each-other")
        return self


class GroupSpec(Strict):
    """Machines of one template in one user app: `name-0`, `name-1` …"""

    name: GroupName = Field(description="First part of the machines' names.")
    template: str = Field(description="Name of a Machine document.")
    count: int = Field(default=1, ge=0, le=MOST_MACHINES, description="How many.")
    config: dict[str, Json] | None = Field(
        default=None, description="Laid over the template's config as a JSON merge patch (RFC 7396)."
    )
    allow_unknown: AllowUnknown = Field(
        default=(), description="Unknown fields of config that are sent all the same, e.g. guest.new_field."
    )
    mount: MountSpec | None = Field(default=None, description="A volume for each machine.")
    skip_launch: bool = Field(default=False, description="Create the machine asleep.")

    @model_validator(mode="after")
    def _volume_names_fit(self) -> Self:
        if self.mount:
            longest = volume_name(self.name, self.mount.name, max(self.count - 1, 0))
            if len(longest) > LONGEST_VOLUME_NAME:
                raise wrong(
                    f"gives the volume name {quote(longest)}, which is too long: {len(longest)} characters, "
                    f"at most {LONGEST_VOLUME_NAME}",
                    "too-long",
                )
        return self


class UserAppSpec(Strict):
    """One end user: a Fly app of its own, on a network of its own."""

    hosts: Unique[Host] | None = Field(
        default=None, description="Where visitors find it; {name}.{domain} when not given."
    )
    regions: Annotated[Unique[Region], Field(min_length=1)] | None = Field(
        default=None, description="In order of preference; the fleet's when not given."
    )
    machines: Annotated[tuple[GroupSpec, ...], Field(strict=False, min_length=1)] = Field(
        description="What runs."
    )
    secrets: Unique[VariableName] = Field(default=(), description="Names of Secret documents.")
    app_name: AppName | None = Field(
        default=None, description="The Fly app, when the fleet's pattern does not give it: an adopted one."
    )
    protect: bool | None = Field(
        default=None, description="true: never delete it; only an applied false lifts that."
    )
    paused: PauseSpec | None = Field(default=None, description="Change nothing of this app for a while.")
    deploy: DeploySpec | None = Field(default=None, description="How its machines are changed.")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        no_repeats_of([group.name for group in self.machines], "machines")
        no_repeats_of(
            [volume_name(group.name, group.mount.name, 0) for group in self.machines if group.mount],
            "volumes",
        )
        return self


def volume_name(group: str, volume: str, number: int) -> str:
    """A slot's volume name: its identity within the app. Fly takes no dashes there."""
    return f"{group.replace('-', '_')}_{volume}_{number}"


class MachineSpec(Strict):
    """A template for machines."""

    services: Unique[str] | None = Field(
        default=None, description="Names of Service documents; or config.services, not both."
    )
    allow_unknown: AllowUnknown = Field(
        default=(),
        description="Unknown fields of config that are sent all the same, e.g. guest.new_field or "
        "services[].ports[].new_field.",
    )
    config: VerbatimMachine = Field(description="A Machines API machine config, sent as it stands.")

    @model_validator(mode="after")
    def _services_come_from_one_place(self) -> Self:
        if self.services is not None and self.config.get("services") is not None:
            raise wrong(
                "services and config.services exclude each other; expected one of them",
                "fields-exclude-each-other",
            )
        return self


class GenerateSpec(Strict):
    """Made at random, once for each user app, and known to nobody but Fly and the app."""

    version: int = Field(ge=1, le=MOST_VERSIONS, description="Raise it to have another value made.")
    length: int = Field(
        default=43, ge=16, le=256, description="Letters, digits, - and _; 43 of them hold 256 bits."
    )


class DeriveSpec(Strict):
    """Made from the root key, the app and the secret's name: always the same, written down nowhere."""


def _offered(name: str, info: ValidationInfo) -> str:
    prefix = (info.context or {}).get("env_prefix", "")
    if not prefix or not name.startswith(prefix):
        raise wrong(
            f"{quote_name(name)} is not offered to documents; expected a variable that begins with {prefix}",
            "secret-not-offered",
        )
    return name


def _stays_below(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or not path.strip("/.") or not path.isprintable():
        raise wrong("this must be a path below the secrets folder, without ..", "secret-path")
    return path


class SecretFrom(Strict):
    """Where a secret's value comes from: one of these."""

    env: Annotated[VariableName, AfterValidator(_offered)] | None = Field(
        default=None, description="A variable of the reconciler's environment, with the offered prefix."
    )
    file: Annotated[str, AfterValidator(_stays_below)] | None = Field(
        default=None, description="A file below --secrets-dir; one line break at its end is left out."
    )
    age: Annotated[str, AfterValidator(armored)] | None = Field(
        default=None, description="age ciphertext, armored; `reconciler secret encrypt` writes it."
    )
    generate: GenerateSpec | None = Field(
        default=None, description="Made at random when the app has none yet; written down nowhere else."
    )
    derive: DeriveSpec | None = Field(default=None, description="derive: {} makes it from the root key.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        sources = (self.env, self.file, self.age, self.generate, self.derive)
        if sum(source is not None for source in sources) != 1:
            raise wrong("exactly one of env, file, age, generate and derive must be given", "exactly-one-of")
        return self


class SecretSpec(Strict):
    """An app secret; the document's name is its variable's name."""

    from_: SecretFrom = Field(alias="from", description="Where the value comes from.")


class ListenerSpec(Strict):
    """One door of the router."""

    name: Name = Field(description="Its name.")
    app: AppName = Field(description="The Fly app that the router is deployed as, behind this door.")
    bind: Bind = Field(description="ADDRESS:PORT to listen on, e.g. 0.0.0.0:8080; port 0 takes a free one.")
    ports: Annotated[Unique[Port], Field(min_length=1)] = Field(
        description="Public ports on Fly that lead here."
    )
    private: bool = Field(default=False, description="Only for the platform: the caller names the user.")

    @property
    def host(self) -> str:
        return (bind_parts(self.bind) or ("", 0))[0]

    @property
    def port(self) -> int:
        return (bind_parts(self.bind) or ("", 0))[1]


class RouterSpec(Strict):
    """Who is sent where, and how a user's machine knows that the router sent them."""

    domains: Annotated[Unique[Host], Field(min_length=1)] = Field(
        description="Every host of a user app is one of these or below one."
    )
    reserved: Unique[Name] = Field(default=(), description="Labels below a domain that no user gets.")
    listeners: Annotated[tuple[ListenerSpec, ...], Field(strict=False, min_length=1)] = Field(
        description="The router's doors."
    )
    auth: Literal["signed", "psk", "none"] = Field(
        default="signed", description="Proof in a replay's state: a signature, the key itself, or none."
    )
    replay: ReplaySpec = Field(default=ReplaySpec(), description="On what terms Fly carries replays out.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        no_repeats_of([listener.name for listener in self.listeners], "listeners")
        binds: set[tuple[str, int]] = set()
        for listener in self.listeners:
            if listener.port and (listener.host, listener.port) in binds:
                raise wrong(f"two listeners bind {quote(listener.bind)}", "address-taken-twice")
            binds.add((listener.host, listener.port))
        private = {listener.app for listener in self.listeners if listener.private}
        for listener in self.listeners:
            if not listener.private and listener.app in private:
                raise wrong(
                    f"a private and a public listener share the app {quote(listener.app)}; "
                    "a public address would expose the private one: expected two apps",
                    "private-beside-public",
                )
        return self


def _secret_name(name: str) -> str:
    if name.startswith(("RECONCILER_", "PRESHARED_KEY")):
        raise wrong(
            f"{quote(name)} is not free: RECONCILER_* and PRESHARED_KEY* are the reconciler's own secrets",
            "reserved-secret-name",
        )
    return name


NameT = TypeVar("NameT")
SpecT = TypeVar("SpecT")


class Metadata(Strict, Generic[NameT]):
    name: NameT = Field(description="Unique among documents of one kind.")
    labels: dict[str, str] = Field(default_factory=dict, description="For people; nothing depends on them.")


class Envelope(Strict, Generic[NameT, SpecT]):
    """One document."""

    api_version: Literal["reconciler/v1alpha1"] = Field(alias="apiVersion", description="The spec language.")
    kind: str = Field(description="What it is.")
    metadata: Metadata[NameT] = Field(description="Its name.")
    spec: SpecT = Field(description="What it says.")


SecretName = Annotated[VariableName, AfterValidator(_secret_name)]

KINDS: dict[str, type[Envelope[str, Any]]] = {
    "Fleet": Envelope[Name, FleetSpec],
    "Machine": Envelope[Name, MachineSpec],
    "Router": Envelope[Name, RouterSpec],
    "Secret": Envelope[SecretName, SecretSpec],
    "Service": Envelope[Name, VerbatimService],
    "UserApp": Envelope[Name, UserAppSpec],
    "UserAppSet": Envelope[Name, UserAppSetSpec],
}
