"""The Machines API's machine config, field by field in its own names (contract §9).

Only checks: what is sent is the document's own text. Services are in `service_config`, containers in
`container_config`.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from reconciler.core.container_config import (
    Command,
    Containers,
    ContainerVolume,
    EnvFrom,
    Environment,
    File,
    Restart,
    SecretRef,
    StopConfig,
)
from reconciler.core.problem import quote
from reconciler.core.scalar import Many, Port, Strict, wrong
from reconciler.core.service_config import ServiceCheck, Services


class Guest(Strict):
    """The size of the machine."""

    cpu_kind: Literal["shared", "performance"] | None = Field(
        default=None, description="shared when not given."
    )
    cpus: int | None = Field(default=None, ge=1, description="Virtual CPUs; 1 when not given.")
    memory_mb: int | None = Field(default=None, ge=1, description="Memory; 256 when not given.")
    max_memory_mb: int | None = Field(default=None, ge=1, description="Upper end of a balloon.")
    gpus: int | None = Field(default=None, ge=0, description="Legacy: how many GPUs.")
    gpu_kind: str | None = Field(default=None, description="Legacy: which GPU.")
    host_dedication_id: str | None = Field(default=None, description="A dedicated host.")
    kernel_args: Many[str] | None = Field(default=None, description="Kernel arguments.")
    persist_rootfs: Literal["never", "always", "restart"] | None = Field(
        default=None, description="Deprecated; use rootfs.persist."
    )


class Init(Command):
    tty: bool | None = Field(default=None, description="Give it a terminal.")
    swap_size_mb: int | None = Field(default=None, ge=0, description="Swap space.")
    kernel_args: Many[str] | None = Field(default=None, description="Kernel arguments.")


class Process(Command):
    """One program among several; the machine stops when any of them ends without error."""

    user: str | None = Field(default=None, description="The user that it runs as.")
    env: Environment | None = Field(default=None, description="Environment variables.")
    env_from: Many[EnvFrom] | None = Field(default=None, description="Variables from the machine's facts.")
    secrets: Many[SecretRef] | None = Field(default=None, description="Only these app secrets.")
    ignore_app_secrets: bool | None = Field(default=None, description="None of the app's secrets.")


class Check(ServiceCheck):
    """A check of the machine as a whole; it never restarts one either."""

    kind: Literal["informational", "readiness"] | None = Field(
        default=None, description="Only shown (informational), or failing leaves the balancing."
    )


class Static(Strict):
    guest_path: str = Field(description="Folder in the machine.")
    url_prefix: str = Field(description="Where Fly's proxy serves it.")
    tigris_bucket: str | None = Field(default=None, description="A bucket instead of a folder.")
    index_document: str | None = Field(default=None, description="Served for a folder.")


class Metrics(Strict):
    port: Port = Field(description="Port inside the machine.")
    path: str = Field(description="Where Prometheus asks.")
    https: bool | None = Field(default=None, description="Ask over https.")


class DnsOption(Strict):
    name: str | None = Field(default=None, description="Resolver option.")
    value: str | None = Field(default=None, description="Its value.")


class DnsForwardRule(Strict):
    basename: str | None = Field(default=None, description="Names below it …")
    addr: str | None = Field(default=None, description="… are asked here.")


class Dns(Strict):
    skip_registration: bool | None = Field(default=None, description="Stay out of .internal.")
    nameservers: Many[str] | None = Field(default=None, description="Addresses of resolvers.")
    searches: Many[str] | None = Field(default=None, description="Search domains.")
    options: Many[DnsOption] | None = Field(default=None, description="Resolver options.")
    dns_forward_rules: Many[DnsForwardRule] | None = Field(default=None, description="Forwarded zones.")
    hostname: str | None = Field(default=None, description="Host name.")
    hostname_fqdn: str | None = Field(default=None, description="Full host name.")


class Rootfs(Strict):
    persist: Literal["never", "restart", "always"] | None = Field(
        default=None, description="Whether the root file system outlives a start."
    )
    size_gb: int | None = Field(default=None, ge=0, description="Size of the root file system.")


class CacheDrive(Strict):
    size_mb: int | None = Field(default=None, ge=0, description="Size of the scratch space.")


class Spot(Strict):
    max_price_fraction: float | None = Field(
        default=None, gt=0, le=1, description="At most this part of the full price."
    )


def _not_ours(metadata: dict[str, str]) -> dict[str, str]:
    for key in metadata:
        if key.startswith("reconciler_"):
            raise wrong(
                f"{quote(key)} is a mark of the reconciler; keys that begin with reconciler_ are its own",
                "reserved-metadata",
            )
    return metadata


class MachineConfig(Strict):
    """A Machines API machine config. Volumes are left to `UserApp.machines[].mount`."""

    image: str | None = Field(
        default=None, min_length=1, description="Image reference; pin it by digest. Required, or containers."
    )
    guest: Guest | None = Field(default=None, description="Size; Fly's default is shared, 1 CPU, 256 MB.")
    size: str | None = Field(default=None, description="A named size; deprecated, excludes guest.")
    env: Environment | None = Field(default=None, description="Environment variables; values are text.")
    init: Init | None = Field(default=None, description="What runs instead of the image's own command.")
    processes: Many[Process] | None = Field(default=None, description="Several programs.")
    services: Services | None = Field(default=None, description="What Fly's proxy offers of the machine.")
    checks: dict[str, Check] | None = Field(default=None, description="Checks by name.")
    metadata: Annotated[dict[str, str], AfterValidator(_not_ours)] | None = Field(
        default=None, description="Labels on the machine; reconciler_* are ours."
    )
    files: Many[File] | None = Field(default=None, description="Files written at the start.")
    restart: Restart | None = Field(default=None, description="What happens when the program ends.")
    stop_config: StopConfig | None = Field(default=None, description="How it is asked to stop.")
    auto_destroy: bool | None = Field(default=None, description="Destroy the machine when it stops.")
    schedule: Literal["hourly", "daily", "weekly", "monthly"] | None = Field(
        default=None, description="Start at this rhythm, counted from creation."
    )
    standbys: Many[str] | None = Field(default=None, description="Machines that this one stands in for.")
    statics: Many[Static] | None = Field(default=None, description="Files that Fly's proxy serves itself.")
    metrics: Metrics | None = Field(default=None, description="Where Fly's Prometheus scrapes.")
    dns: Dns | None = Field(default=None, description="Name resolution.")
    containers: Containers | None = Field(default=None, description="Several images in one machine.")
    volumes: Many[ContainerVolume] | None = Field(default=None, description="Space for containers.")
    rootfs: Rootfs | None = Field(default=None, description="The root file system.")
    cache_drive: CacheDrive | None = Field(default=None, description="Scratch space.")
    spot: Spot | None = Field(default=None, description="Cheaper, may be taken away.")
    disable_machine_autostart: bool | None = Field(default=None, description="Deprecated by Fly.")

    @model_validator(mode="before")
    @classmethod
    def _volumes_belong_to_slots(cls, config: object) -> object:
        if isinstance(config, dict) and "mounts" in config:
            raise wrong(
                "mounts cannot be given here: a volume belongs to one machine of one user; "
                "expected UserApp spec.machines[].mount",
                "mount-in-template",
            )
        return config

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.guest is not None and self.size is not None:
            raise wrong("guest and size exclude each other; size is deprecated", "fields-exclude-each-other")
        if self.standbys and self.services:
            raise wrong("standbys and services exclude each other", "fields-exclude-each-other")
        return self
