"""What the Machines API answers, as read from its JSON: lenient about what may be missing or new.

Field names are Fly's. Leaves what our own code makes of them to `core.observed`.
"""

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Json = Any
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Count = Annotated[int, BeforeValidator(lambda value: 0 if value is None else value)]
Listed = BeforeValidator(lambda value: () if value is None else value)  # Go writes an empty list as null


class Answer(BaseModel):
    """A piece of an answer; fields that we do not know are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Organization(Answer):
    slug: Text = ""
    name: Text = ""


class App(Answer):
    name: str
    network: Text = ""
    status: Text = ""
    machine_count: int | None = None
    volume_count: int | None = None
    organization: Organization = Organization()


class AppsPage(Answer):
    apps: Annotated[tuple[App, ...], Listed] = ()


class MachineEvent(Answer):
    type: Text = ""
    status: Text = ""
    timestamp: Count = 0  # unix milliseconds
    instance_id: Text = ""  # not always given
    request: dict[str, Json] | None = None

    @property
    def exit_code(self) -> int | None:
        code = self._exit.get("exit_code")
        return code if isinstance(code, int) else None

    @property
    def is_crash(self) -> bool:
        """Whether a program ended badly, or so that it is started again."""
        is_exit = self.type == "exit" and not self._exit.get("requested_stop")
        return is_exit and bool(self._exit.get("restarting") or self.exit_code)

    @property
    def restart_count(self) -> int:
        count = (self.request or {}).get("restart_count")
        return count if isinstance(count, int) else 0

    @property
    def _exit(self) -> dict[str, Json]:
        """Of an exit event; Fly puts it in one of two places (contract §4.3)."""
        request = self.request or {}
        return (request.get("MonitorEvent") or {}).get("exit_event") or request.get("exit_event") or {}


class Check(Answer):
    name: Text = ""
    status: Text = ""
    output: Text = ""


class Machine(Answer):
    """`config` is None while `host_status` is not `ok`: the host cannot be asked."""

    id: str
    name: Text = ""
    state: Text = ""
    region: Text = ""
    instance_id: Text = ""
    config: dict[str, Json] | None = None
    host_status: Text = "ok"
    cordoned: bool | None = None
    updated_at: Text = ""
    events: Annotated[tuple[MachineEvent, ...], Listed] = ()  # of this version, newest first
    checks: Annotated[tuple[Check, ...], Listed] = ()

    @property
    def metadata(self) -> dict[str, str]:
        return (self.config or {}).get("metadata") or {}


class MachineVersion(Answer):
    version: Text = ""
    user_config: dict[str, Json] | None = None


class OrgMachine(Answer):
    """A row of the org-wide list; its config holds image, guest and metadata only."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # there are many

    id: str
    app_name: Text = ""
    name: Text = ""
    state: Text = ""
    region: Text = ""
    version: Text = Field(default="", validation_alias=AliasChoices("version", "instance_id"))
    updated_at: Text = ""
    config: dict[str, Json] | None = None


class OrgMachinesPage(Answer):
    machines: Annotated[tuple[OrgMachine, ...], Listed] = ()
    next_cursor: Text = ""
    error_regions: Annotated[tuple[str, ...], Listed] = ()


class Waited(Answer):
    state: Text = ""
    version: Text = ""


class LeaseGrant(Answer):
    """Live answers wrap this in `data`, the specification's are flat (contract §7): both are read.

    `nonce` is empty when the lease was only looked at; it stays out of the repr.
    """

    nonce: Annotated[Text, Field(repr=False)] = ""
    expires_at: Count = 0  # unix seconds
    owner: Text = ""
    description: Text = ""
    version: Text = ""  # the machine's instance_id when the lease was taken

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Json) -> Json:
        return value["data"] if isinstance(value, dict) and isinstance(value.get("data"), dict) else value


class Volume(Answer):
    id: str
    name: Text = ""
    state: Text = ""
    region: Text = ""
    size_gb: Count = 0
    attached_machine_id: str | None = None
    created_at: Text = ""


class Extended(Answer):
    volume: Volume
    needs_restart: bool | None = None


class Snapshot(Answer):
    id: str
    status: Text = ""  # waiting or pending, running, created
    created_at: Text = ""


class AppSecret(Answer):
    """The name alone: a value, should one ever be answered, is dropped here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str


class AppSecrets(Answer):
    model_config = ConfigDict(extra="ignore", frozen=True)

    secrets: Annotated[tuple[AppSecret, ...], Listed] = ()


class SecretsSet(Answer):
    model_config = ConfigDict(extra="ignore", frozen=True)

    version: int = Field(validation_alias=AliasChoices("version", "Version"))


class IPAssignment(Answer):
    ip: Text = ""
    egress: bool | None = None
    shared: bool | None = None


class IPAssignments(Answer):
    ips: Annotated[tuple[IPAssignment, ...], Listed] = ()
