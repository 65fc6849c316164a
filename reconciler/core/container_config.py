"""Containers of a machine config, and the parts that they share with machines (contract §9)."""

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from reconciler.core.problem import did_you_mean, quote
from reconciler.core.scalar import AbsolutePath, Duration, Many, Port, Strict, seconds, wrong
from reconciler.core.service_config import HttpHeader

LONGEST_STOP_S = 300


def _without_replay_keys(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        # A variable of the config hides the app's secret of that name, and the guard would check against it.
        if name.startswith("PRESHARED_KEY"):
            raise wrong(
                f"{quote(name)} is a replay key, which the reconciler sets as an app secret",
                "replay-key-in-env",
            )
    return variables


def _readable(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        if not name or "=" in name or not name.isprintable():
            # The name is not repeated: it may be NAME=VALUE.
            raise wrong("a variable's name is empty, or holds = or a control character", "bad-variable-name")
    return variables


Environment = Annotated[dict[str, str], AfterValidator(_without_replay_keys), AfterValidator(_readable)]


def _base64(value: str) -> str:
    try:
        base64.b64decode("".join(value.splitlines()), validate=True)
    except (binascii.Error, ValueError):
        raise wrong("this is not base64; expected what `base64 FILE` prints", "bad-base64") from None
    return value


class Command(Strict):
    """What runs."""

    exec: Many[str] | None = Field(default=None, description="Runs instead of everything else.")
    entrypoint: Many[str] | None = Field(default=None, description="Instead of the image's.")
    cmd: Many[str] | None = Field(default=None, description="Instead of the image's.")


class EnvFrom(Strict):
    env_var: str = Field(description="Variable to set.")
    field_ref: Literal["id", "version", "app_name", "private_ip", "region", "image"] = Field(
        description="The machine's fact that it gets."
    )


class SecretRef(Strict):
    env_var: str = Field(description="Variable to set.")
    name: str | None = Field(default=None, description="App secret, when it is called otherwise.")


class File(Strict):
    """A file written into the machine at each start."""

    guest_path: AbsolutePath = Field(description="Where the file is written.")
    raw_value: Annotated[str, AfterValidator(_base64)] | None = Field(
        default=None, description="Contents in base64."
    )
    secret_name: str | None = Field(default=None, description="App secret that holds the contents in base64.")
    image_config: str | None = Field(default=None, description="Contents from the image's config.")
    mode: int | None = Field(default=None, ge=0, le=0o7777, description="Permissions, e.g. 0o644.")

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        given = [
            value for value in (self.raw_value, self.secret_name, self.image_config) if value is not None
        ]
        if len(given) != 1:
            raise wrong(
                "exactly one of raw_value, secret_name and image_config must be given", "exactly-one-of"
            )
        return self


class Restart(Strict):
    policy: Literal["no", "always", "on-failure", "spot-price"] | None = Field(
        default=None, description="When the program ends by itself."
    )
    max_retries: int | None = Field(default=None, ge=0, description="For on-failure.")
    gpu_bid_price: float | None = Field(default=None, description="Legacy, for spot-price.")


def _up_to_five_minutes(value: str | int | None) -> str | int | None:
    if value is not None and seconds(value) > LONGEST_STOP_S:
        raise wrong(f"{quote(value)} is too long; Fly waits at most 5 minutes", "stop-timeout-too-long")
    return value


class StopConfig(Strict):
    signal: Literal["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM"] | None = Field(
        default=None, description="The signal that asks it to stop."
    )
    timeout: Annotated[Duration | None, AfterValidator(_up_to_five_minutes)] = Field(
        default=None, description="How long until it is killed: 5 s by default, at most 5 minutes."
    )


class HttpProbe(Strict):
    port: Port | None = Field(default=None, description="Port in the machine.")
    method: str | None = Field(default=None, description="HTTP method.")
    path: str | None = Field(default=None, description="HTTP path.")
    headers: Many[HttpHeader] | None = Field(default=None, description="Headers of the check.")
    scheme: Literal["http", "https"] | None = Field(default=None, description="How it is asked.")
    tls_skip_verify: bool | None = Field(default=None, description="Accept any certificate.")
    tls_server_name: str | None = Field(default=None, description="Name for TLS.")


class TcpProbe(Strict):
    port: Port | None = Field(default=None, description="Port in the machine.")


class ExecProbe(Strict):
    command: Many[str] | None = Field(default=None, description="Passes when it exits with 0.")


class Healthcheck(Strict):
    """A container's check; its times are whole seconds, unlike everywhere else."""

    name: str | None = Field(default=None, description="Its name.")
    interval: int | None = Field(default=None, ge=0, description="Seconds between checks.")
    grace_period: int | None = Field(default=None, ge=0, description="Seconds without checks at first.")
    timeout: int | None = Field(default=None, ge=0, description="Seconds until a check has failed.")
    success_threshold: int | None = Field(default=None, ge=0, description="Passes in a row.")
    failure_threshold: int | None = Field(default=None, ge=0, description="Failures in a row.")
    kind: Literal["readiness", "liveness"] | None = Field(default=None, description="What it decides.")
    unhealthy: Literal["stop"] | None = Field(default=None, description="What failing does.")
    http: HttpProbe | None = Field(default=None, description="Ask over HTTP.")
    tcp: TcpProbe | None = Field(default=None, description="Connect over TCP.")
    exec: ExecProbe | None = Field(default=None, description="Run a command.")


class Dependency(Strict):
    name: str | None = Field(default=None, description="Container that comes first.")
    condition: Literal["exited_successfully", "healthy", "started"] | None = Field(
        default=None, description="What it must have reached."
    )


class ContainerMount(Strict):
    name: str | None = Field(default=None, description="Name of an entry in volumes.")
    path: str | None = Field(default=None, description="Where the container sees it.")


class Container(Command):
    """One image among several in a machine; limited to some organisations."""

    name: str | None = Field(default=None, description="Its name.")
    image: str | None = Field(default=None, description="Image reference.")
    user: str | None = Field(default=None, description="The user that it runs as.")
    env: Environment | None = Field(default=None, description="Environment variables.")
    env_from: Many[EnvFrom] | None = Field(default=None, description="Variables from the machine's facts.")
    secrets: Many[SecretRef] | None = Field(default=None, description="Only these app secrets.")
    files: Many[File] | None = Field(default=None, description="Files written at the start.")
    restart: Restart | None = Field(default=None, description="What happens when it ends.")
    stop: StopConfig | None = Field(default=None, description="How it is asked to stop.")
    depends_on: Many[Dependency] | None = Field(default=None, description="Containers that come first.")
    healthchecks: Many[Healthcheck] | None = Field(default=None, description="Checks of this container.")
    mounts: Many[ContainerMount] | None = Field(default=None, description="Entries of volumes.")


def _know_each_other(containers: list[Container]) -> list[Container]:
    names = [container.name for container in containers if container.name is not None]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise wrong(f"two containers are called {quote(twice)}", "repeated-name")
    for container in containers:
        for before in container.depends_on or ():
            if before.name is not None and before.name not in names:
                raise wrong(
                    f"{quote(container.name)} depends on {quote(before.name)}, and there is no such container"
                    f"{did_you_mean(before.name, names)}",
                    "unknown-reference",
                )
    return containers


Containers = Annotated[Many[Container], AfterValidator(_know_each_other)]


class TempDir(Strict):
    storage_type: Literal["disk", "memory"] | None = Field(default=None, description="Where it lies.")
    size_mb: int | None = Field(default=None, ge=0, description="Its size.")


class ContainerVolume(Strict):
    name: str | None = Field(default=None, description="Referred to by mounts.")
    temp_dir: TempDir | None = Field(default=None, description="Empty at each start.")
    image: str | None = Field(default=None, description="Filled from an image.")
