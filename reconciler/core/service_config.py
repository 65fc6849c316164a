"""A service of a machine as the Machines API takes it, in its own field names (contract §9.1).

Only checks: what is sent is the document's own text, plus the defaults of `desired`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from reconciler.core.problem import quote
from reconciler.core.scalar import Duration, Many, Port, Strict, Unique, wrong


class HttpHeader(Strict):
    name: str = Field(description="Header name.")
    values: Many[str] = Field(default=(), description="Its values.")


class ServiceCheck(Strict):
    """A health check that takes a failing machine out of routing; it never restarts one."""

    type: Literal["tcp", "http"] | None = Field(default=None, description="What is tried.")
    port: Port | None = Field(default=None, description="Port inside the machine.")
    interval: Duration | None = Field(default=None, description="Time between checks.")
    timeout: Duration | None = Field(default=None, description="Time until a check counts as failed.")
    grace_period: Duration | None = Field(default=None, description="Time after the start without checks.")
    method: str | None = Field(default=None, description="HTTP method.")
    path: str | None = Field(default=None, description="HTTP path; the answer must be 2xx.")
    protocol: Literal["http", "https"] | None = Field(default=None, description="How it is asked.")
    tls_server_name: str | None = Field(default=None, description="Name for TLS.")
    tls_skip_verify: bool | None = Field(default=None, description="Accept any certificate.")
    headers: Many[HttpHeader] | None = Field(default=None, description="Headers of the check.")


class Concurrency(Strict):
    type: Literal["connections", "requests"] | None = Field(
        default=None, description="What is counted; Fly's default is connections."
    )
    soft_limit: int | None = Field(
        default=None, ge=0, description="Above it, others are preferred; 20 when not given."
    )
    hard_limit: int | None = Field(
        default=None, ge=0, description="At it, no new traffic; no limit when not given."
    )


class TlsOptions(Strict):
    alpn: Many[str] | None = Field(default=None, description="Protocols offered.")
    versions: Many[str] | None = Field(default=None, description="TLS versions, e.g. TLSv1.2.")
    default_self_signed: bool | None = Field(default=None, description="Serve a self-signed certificate.")


class ReplayCache(Strict):
    """A `fly-replay` decision remembered per session key; it cannot carry a replay's state."""

    path_prefix: str | None = Field(default=None, description="Path, or host and path; longest match wins.")
    ttl_seconds: int | None = Field(default=None, ge=10, description="How long it is remembered.")
    type: Literal["cookie", "header"] | None = Field(default=None, description="Where the key stands.")
    name: str | None = Field(default=None, description="Of the cookie or header.")
    allow_bypass: bool | None = Field(default=None, description="Clients may ask to skip the cache.")


class HttpResponse(Strict):
    headers: dict[str, Any] | None = Field(default=None, description="Headers that Fly's proxy sets.")
    pristine: bool | None = Field(default=None, description="Leave out the proxy's own headers.")


class HttpOptions(Strict):
    compress: bool | None = Field(default=None, description="Compress answers.")
    h2_backend: bool | None = Field(default=None, description="Speak HTTP/2 to the machine.")
    idle_timeout: int | None = Field(
        default=None, ge=0, description="Seconds without traffic until a connection ends."
    )
    headers_read_timeout: int | None = Field(
        default=None, ge=0, description="Seconds that a client has to send its headers."
    )
    response: HttpResponse | None = Field(default=None, description="Changes to answers.")
    replay_cache: Many[ReplayCache] | None = Field(default=None, description="Sessions to remember.")


class ProxyProtoOptions(Strict):
    version: str | None = Field(default=None, description="v2; version 1 when not given.")


class ServicePort(Strict):
    """A public port, or a range of them, and what the proxy does on it."""

    port: Port | None = Field(default=None, description="One public port.")
    start_port: Port | None = Field(default=None, description="First of a range.")
    end_port: Port | None = Field(default=None, description="Last of a range.")
    handlers: Unique[Literal["http", "tls", "pg_tls", "proxy_proto"]] | None = Field(
        default=None, description="None means raw TCP; a replay needs http."
    )
    force_https: bool | None = Field(default=None, description="Redirect to https; needs the http handler.")
    tls_options: TlsOptions | None = Field(default=None, description="For the tls handler.")
    http_options: HttpOptions | None = Field(default=None, description="For the http handler.")
    proxy_proto_options: ProxyProtoOptions | None = Field(default=None, description="For proxy_proto.")

    @model_validator(mode="after")
    def _one_port_or_one_range(self) -> Self:
        ends = (self.start_port is not None, self.end_port is not None)
        if (self.port is not None) == any(ends) or ends[0] != ends[1]:
            raise wrong("a port or a range must be given: port, or start_port and end_port", "bad-port-range")
        if self.start_port is not None and self.end_port is not None and self.start_port > self.end_port:
            raise wrong(f"start_port {self.start_port} is above end_port {self.end_port}", "bad-port-range")
        if self.force_https and "http" not in (self.handlers or ()):
            raise wrong("force_https needs http among the handlers", "handler-missing")
        return self

    @property
    def first(self) -> int:
        return self.port or self.start_port or 0

    @property
    def last(self) -> int:
        return self.port or self.end_port or 0


def _autostop(value: Any) -> str | bool:
    if isinstance(value, bool) or value in ("off", "stop", "suspend"):
        return value  # type: ignore[no-any-return]  # one of the four values just listed
    raise wrong(
        f"{quote(value)} is not an autostop; expected off, stop, suspend, true or false", "bad-choice"
    )


Autostop = Annotated[str | bool, PlainValidator(_autostop, json_schema_input_type=str | bool)]


class ServiceConfig(Strict):
    """What Fly's proxy offers of a machine."""

    name: str | None = Field(
        default=None, description="A label for people, as in Fly's guide; it is not sent to Fly."
    )
    protocol: Literal["tcp", "udp"] | None = Field(default=None, description="tcp when not given.")
    internal_port: Port = Field(description="The port that the program in the machine listens on.")
    ports: Many[ServicePort] | None = Field(
        default=None, description="Public ports; a replay keeps the port that the visitor came in on."
    )
    checks: Many[ServiceCheck] | None = Field(default=None, description="Health checks.")
    concurrency: Concurrency | None = Field(default=None, description="Limits for balancing.")
    autostart: bool | None = Field(
        default=None, description="A request starts a machine that sleeps; true when not given."
    )
    autostop: Autostop | None = Field(
        default=None, description="What happens to an idle machine; stop when not given."
    )
    min_machines_running: int | None = Field(
        default=None, ge=0, description="Kept awake in the primary region; 0 when not given."
    )
    force_instance_key: str | None = Field(default=None, description="Undocumented by Fly.")
    force_instance_description: str | None = Field(default=None, description="Undocumented by Fly.")


def _no_port_twice(services: tuple[ServiceConfig, ...]) -> tuple[ServiceConfig, ...]:
    taken: list[tuple[str, int, int]] = []
    for service in services:
        protocol = service.protocol or "tcp"
        for port in service.ports or ():
            for other, first, last in taken:
                if other == protocol and port.first <= last and first <= port.last:
                    raise wrong(
                        f"two services offer the public port {max(first, port.first)}", "port-taken-twice"
                    )
            taken.append((protocol, port.first, port.last))
    return services


Services = Annotated[tuple[ServiceConfig, ...], Field(strict=False), AfterValidator(_no_port_twice)]
