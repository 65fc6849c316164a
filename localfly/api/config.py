"""A machine's config: what may be submitted, and how Fly echoes it.

Answers for types, limits and defaults of the fields that localfly acts on or that only need keeping; a
field that would need acting on, and is not, is a 501 by its name. What the config does is `lifecycle`'s,
the proxy's and the runtime's.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool

from localfly.api.call import UNIMITATED, Body, shaped
from localfly.api.guest import Guest, full_guest
from localfly.moment import duration_ns, duration_text
from localfly.proxy.cache_key import parse as parse_prefix
from localfly.refusal import Invalid

MAX_STOP_NS = 300 * 10**9

Unimitated = Annotated[Any, UNIMITATED]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, Field(min_length=1)]


def _duration(value: str | int) -> str:
    ns = duration_ns(value)
    if ns < 0:
        raise ValueError("must not be negative")
    return duration_text(ns)


def _absolute(path: str) -> str:
    if not path.startswith("/") or path == "/":
        raise ValueError("must be an absolute path, and not /")
    return path


Duration = Annotated[str | int, AfterValidator(_duration)]
Signal = Literal["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM"]


class Init(Body):
    """What to run instead of the image's own command: not imitated."""

    exec: Unimitated = None
    entrypoint: Unimitated = None
    cmd: Unimitated = None
    tty: Unimitated = None
    swap_size_mb: Unimitated = None
    kernel_args: Unimitated = None


class HttpHeader(Body):
    """A header that a check sends, once per value."""

    name: Text
    values: list[str]


class ServiceCheck(Body):
    """A health check of a service; without `port`, of its internal port."""

    type: Literal["tcp", "http"]
    port: Port | None = None
    interval: Duration | None = None
    timeout: Duration | None = None
    grace_period: Duration | None = None
    method: Annotated[str, Field(pattern="^[A-Za-z]+$")] | None = None
    path: Annotated[str, Field(pattern="^/")] | None = None
    protocol: Literal["http", "https"] | None = None
    tls_server_name: str | None = None
    tls_skip_verify: bool | None = None
    headers: list[HttpHeader] | None = None


class Check(ServiceCheck):
    """A health check of the machine; a readiness check that fails keeps traffic away."""

    port: Port
    kind: Literal["informational", "readiness"] | None = None


HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, Field(pattern=r"^([!-~]([ -~]*[!-~])?)?$")]


def _prefix(pattern: str) -> str:
    if parse_prefix(pattern) is None:
        raise ValueError("must be a path, with or without a host in front and /* at its end")
    return pattern


class ReplayCache(Body):
    """For how long a replay is remembered, and by what of a request."""

    path_prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    ttl_seconds: Annotated[int, Field(ge=10)]
    type: Literal["cookie", "header"]
    name: HeaderName
    allow_bypass: bool | None = None


class ResponseOptions(Body):
    """What happens to an answer's headers: set, or with false removed."""

    headers: dict[HeaderName, Literal[False] | HeaderValue | list[HeaderValue]] | None = None
    pristine: bool | None = None


class HttpOptions(Body):
    """How the proxy treats HTTP on a port."""

    replay_cache: list[ReplayCache] | None = None
    compress: Unimitated = None
    h2_backend: Unimitated = None
    idle_timeout: Unimitated = None
    headers_read_timeout: Unimitated = None
    response: ResponseOptions | None = None


class ServicePort(Body):
    """A public port, or a range of them, with its handlers."""

    port: Port | None = None
    start_port: Port | None = None
    end_port: Port | None = None
    handlers: list[Literal["http", "tls"]] | None = None
    force_https: bool | None = None
    tls_options: Unimitated = None
    http_options: HttpOptions | None = None
    proxy_proto_options: Unimitated = None


class Concurrency(Body):
    """Load limits: above the soft one the proxy looks for another machine, above the hard one it must."""

    type: Literal["connections", "requests"] | None = None
    soft_limit: Annotated[int, Field(ge=0)] | None = None
    hard_limit: Annotated[int, Field(ge=0)] | None = None


def _autostop(value: str | bool | None) -> str | bool | None:
    return {"off": False, "stop": True}.get(value, value) if isinstance(value, str) else value


class Service(Body):
    """What the proxy serves; `auto_start` and `auto_stop` are ignored, as Fly ignores them."""

    protocol: Literal["tcp"]
    internal_port: Port
    ports: list[ServicePort] | None = None
    checks: list[ServiceCheck] | None = None
    concurrency: Concurrency | None = None
    autostart: bool | None = None
    autostop: Annotated[Literal["off", "stop", "suspend"] | StrictBool | None, AfterValidator(_autostop)] = (
        None
    )
    min_machines_running: Annotated[int, Field(ge=0)] | None = None
    force_instance_key: Unimitated = None
    force_instance_description: Unimitated = None
    auto_start: Annotated[Any, Field(exclude=True)] = None
    auto_stop: Annotated[Any, Field(exclude=True)] = None


class Mount(Body):
    """A volume, and where the machine sees it; name, size and encryption are echoed from the volume."""

    volume: Text
    path: Annotated[str, AfterValidator(_absolute)]
    name: str | None = None
    encrypted: bool | None = None
    size_gb: int | None = None
    extend_threshold_percent: Unimitated = None
    add_size_gb: Unimitated = None
    size_gb_limit: Unimitated = None


class Restart(Body):
    """What happens when the process ends by itself."""

    policy: Literal["no", "always", "on-failure", ""] | None = None
    max_retries: Annotated[int, Field(ge=0)] | None = None
    gpu_bid_price: Unimitated = None


class StopConfig(Body):
    """How a stop is asked for, and how long until it is forced."""

    signal: Signal | None = None
    timeout: Duration | None = None


class Config(Body):
    """A machine config as submitted."""

    image: Text
    guest: Guest | None = None
    size: str | None = None
    env: dict[str, str] | None = None
    init: Init | None = None
    services: list[Service] | None = None
    metadata: dict[str, str] | None = None
    mounts: Annotated[list[Mount], Field(max_length=1)] | None = None
    restart: Restart | None = None
    stop_config: StopConfig | None = None
    auto_destroy: bool | None = None
    processes: Unimitated = None
    checks: dict[str, Check] | None = None
    schedule: Literal["hourly", "daily", "weekly", "monthly", ""] | None = None
    standbys: list[str] | None = None
    files: Unimitated = None
    statics: Unimitated = None
    metrics: Unimitated = None
    dns: Unimitated = None
    containers: Unimitated = None
    volumes: Unimitated = None
    rootfs: Unimitated = None
    cache_drive: Unimitated = None
    spot: Unimitated = None
    disable_machine_autostart: Unimitated = None


class _Submission(Body):
    config: Config


def echoed(submitted: dict[str, Any]) -> dict[str, Any]:
    """The config as Fly replies it: checked, with durations as text, `autostop` as boolean, and defaults.

    Raises Invalid or NotImitated. Sources: contract §9 and §18 (1).
    """
    config = shaped(_Submission, {"config": submitted}).config
    _check_services(config.services or [])
    if config.standbys and config.services:
        raise Invalid("invalid field 'config.standbys': a standby has no services")
    stop_ns = duration_ns((config.stop_config and config.stop_config.timeout) or "0s")
    if stop_ns > MAX_STOP_NS:
        raise Invalid("invalid stop_config.timeout, cannot exceed 5 minutes")
    echo: dict[str, Any] = config.model_dump(exclude_none=True)
    echo["guest"] = full_guest(config.guest, config.size)
    echo["init"] = {}
    echo["dns"] = {}
    metadata = {key: value for key, value in echo.pop("metadata", {}).items() if value}
    return {**echo, "metadata": metadata} if metadata else echo


def as_submitted(submitted: dict[str, Any]) -> dict[str, Any]:
    """A config that `echoed` took, as it was submitted: without defaults, durations as text."""
    return shaped(_Submission, {"config": submitted}).config.model_dump(exclude_none=True)


def _check_services(services: list[Service]) -> None:
    for at, service in enumerate(services):
        for port in service.ports or []:
            path = f"config.services.{at}.ports"
            is_range = port.start_port is not None and port.end_port is not None
            if (port.port is None) == (not is_range):
                raise Invalid(f"invalid field '{path}': give either port, or start_port and end_port")
            if port.start_port is not None and port.end_port is not None and port.start_port > port.end_port:
                raise Invalid(f"invalid field '{path}': start_port is above end_port")
            if port.force_https and "http" not in (port.handlers or []):
                raise Invalid(f"invalid field '{path}': force_https needs the http handler")
