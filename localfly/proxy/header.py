"""Headers on their way through the proxy: which are set, replaced, appended or dropped.

Answers for behaviour.md §1.3 on a list of (lower-case name, value) pairs. Framing beyond dropping what
belongs to one connection is h11's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Headers = list[tuple[bytes, bytes]]

SERVER = b"Fly/localfly (2026-08-13)"
VIA = b"1.1 fly.io"
ONE_CONNECTION = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
    )
)
SET_BY_PROXY = frozenset(
    (
        b"fly-client-ip",
        b"fly-forwarded-port",
        b"fly-forwarded-proto",
        b"fly-forwarded-ssl",
        b"fly-region",
        b"fly-request-id",
        b"fly-replay-cache-status",
        b"fly-replay-failed",
        b"fly-preferred-instance-unavailable",
        b"x-forwarded-proto",
        b"x-forwarded-ssl",
    )
)
FRAMING = frozenset((b"host", b"content-length"))


@dataclass(frozen=True, slots=True)
class Edge:
    """What the proxy knows about one request from the connection that it came on."""

    client_ip: str
    door_ip: str
    public_port: int
    region: str
    request_id: str
    is_tls: bool


@dataclass(frozen=True, slots=True)
class Hop:
    """What the proxy tells a machine about how the request came to it."""

    replay_src: bytes | None = None
    cache_status: bytes | None = None
    failed: bytes | None = None
    missed_instance: str | None = None


NOTHING = Hop()


def to_machine(
    headers: Iterable[tuple[bytes, bytes]], edge: Edge, hop: Hop, *, keeps_forged_replay_src: bool
) -> Headers:
    """The client's headers as a machine sees them, with the proxy's own in place of forged ones."""
    given = list(headers)
    dropped = ONE_CONNECTION | _named_by_connection(given) | SET_BY_PROXY
    if hop.replay_src is not None or not keeps_forged_replay_src:
        dropped |= {b"fly-replay-src"}
    is_chunked = any(name == b"transfer-encoding" for name, _ in given)
    if is_chunked:  # both at once is how requests are smuggled
        dropped |= {b"content-length"}
    kept = [(name, value) for name, value in given if name not in dropped]
    proto, ssl = (b"https", b"on") if edge.is_tls else (b"http", b"off")
    client_ip, port = edge.client_ip.encode(), str(edge.public_port).encode()
    kept = _joined(kept, b"x-forwarded-for", client_ip + b", " + edge.door_ip.encode())
    kept = _joined(kept, b"via", VIA)
    if not any(name == b"x-forwarded-port" for name, _ in kept):
        kept.append((b"x-forwarded-port", port))
    kept += [
        (b"x-forwarded-proto", proto),
        (b"x-forwarded-ssl", ssl),
        (b"fly-client-ip", client_ip),
        (b"fly-forwarded-port", port),
        (b"fly-region", edge.region.encode()),
        (b"fly-request-id", edge.request_id.encode()),
    ]
    told = {
        b"fly-replay-src": hop.replay_src,
        b"fly-replay-cache-status": hop.cache_status,
        b"fly-replay-failed": hop.failed,
        b"fly-preferred-instance-unavailable": hop.missed_instance.encode() if hop.missed_instance else None,
    }
    kept += [(name, value) for name, value in told.items() if value is not None]
    kept += _chunked(is_chunked) + (_upgrade() if is_websocket(given) else [(b"connection", b"close")])
    return kept


def to_client(
    headers: Iterable[tuple[bytes, bytes]],
    edge: Edge,
    *,
    hops: int,
    is_upgrade: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Headers:
    """A machine's answer as the client sees it; nothing named `fly-replay` or `fly-replay-*` is in it.

    `options` are the port's `http_options.response`: with `pristine` the proxy's own headers stay away,
    `headers` sets some (a text or several) and removes others (false), the proxy's own among them.
    """
    given = list(headers)
    is_pristine = options is not None and options.get("pristine") is True
    dropped = ONE_CONNECTION | _named_by_connection(given)
    if not is_pristine:
        dropped |= {b"server", b"fly-request-id"}
    is_chunked = any(name == b"transfer-encoding" for name, _ in given)
    if is_chunked:
        dropped |= {b"content-length"}
    kept = [
        (name, value)
        for name, value in given
        if name not in dropped and name != b"fly-replay" and not name.startswith(b"fly-replay-")
    ]
    if not is_pristine:
        kept = _joined(kept, b"via", b", ".join([VIA] * (1 + min(hops, 1))))
        kept += [(b"server", SERVER), (b"fly-request-id", edge.request_id.encode())]
    kept = _changed(kept, (options or {}).get("headers") or {})
    return kept + _chunked(is_chunked) + (_upgrade() if is_upgrade else [])


def end_to_end(headers: Headers) -> Headers:
    """A client's headers without those that its `Connection` claims, nor that claim itself.

    What a transform puts in comes after it: no client may strike a router's header out.
    """
    claimed = _named_by_connection(headers) - ONE_CONNECTION | {b"connection"}
    return [(name, value) for name, value in headers if name not in claimed]


def verbatim(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers on a port without the `http` handler: as they are, save what belongs to one connection."""
    given = list(headers)
    upgrade = _upgrade() if is_websocket(given) else []
    is_chunked = any(name == b"transfer-encoding" for name, _ in given)
    dropped = ONE_CONNECTION | ({b"content-length"} if is_chunked else set())
    return [(name, value) for name, value in given if name not in dropped] + _chunked(is_chunked) + upgrade


def own(edge: Edge | None, size: int = 0) -> Headers:
    """The headers of an answer that the proxy itself gives; its body has `size` bytes."""
    request_id = [(b"fly-request-id", edge.request_id.encode())] if edge else []
    return [(b"content-length", str(size).encode()), (b"server", SERVER), (b"via", VIA), *request_id]


def is_websocket(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether these ask for (or agree to) a WebSocket."""
    return any(name == b"upgrade" and value.strip().lower() == b"websocket" for name, value in headers)


def _named_by_connection(headers: Headers) -> set[bytes]:
    """Header names that `Connection` declares to belong to this connection only."""
    named = (token for name, value in headers if name == b"connection" for token in value.split(b","))
    return {token.strip().lower() for token in named} - {b"close", b"host", b"content-length"}


def _joined(headers: Headers, name: bytes, value: bytes) -> Headers:
    """One header `name` that ends in `value`, after what was there."""
    before = [old for found, old in headers if found == name]
    return [pair for pair in headers if pair[0] != name] + [(name, b", ".join([*before, value]))]


def _changed(headers: Headers, changes: Mapping[str, Any]) -> Headers:
    """With these set (text, list of texts) or removed (False); framing and replays are not theirs."""
    for text, value in changes.items():
        name = text.lower().encode()
        if name in ONE_CONNECTION | FRAMING or name.startswith(b"fly-replay"):
            continue
        values = [] if value is False else [value] if isinstance(value, str) else value
        headers = [pair for pair in headers if pair[0] != name]
        headers += [(name, one.encode()) for one in values]
    return headers


def _chunked(is_chunked: bool) -> Headers:
    return [(b"transfer-encoding", b"chunked")] if is_chunked else []


def _upgrade() -> Headers:
    return [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
