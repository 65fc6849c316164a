"""Ports of user machines: a replay carries HTTP to them, and nothing else reaches them at all."""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.core.problem import quote
from reconciler.core.rules.remark import Remark

Json = Any
Path = tuple[str | int, ...]


def port_remarks(path: Path, service: Mapping[str, Json], doors: Mapping[int, str]) -> Iterator[Remark]:
    """What is wrong with a service's ports; `doors` holds the Router's ports and its listeners' names."""
    ports = service.get("ports") or ()
    if service.get("protocol") == "udp" and ports:
        yield Remark(
            (*path, "protocol"),
            "UDP reaches no user app: it has no public address, and a replay carries only HTTP; expected tcp",
            "raw-port",
        )
        return
    for index, port in enumerate(ports):
        if "http" not in (port.get("handlers") or ()):
            yield _without_http((*path, "ports", index), port, doors)
        if (port.get("http_options") or {}).get("replay_cache"):
            yield Remark(
                (*path, "ports", index, "http_options", "replay_cache"),
                "does nothing for the Router's replays, which carry a state and are never cached; "
                "expected no replay_cache",
                "replay-cache-of-user",
                "warning",
            )


def _without_http(path: Path, port: Mapping[str, Json], doors: Mapping[int, str]) -> Remark:
    first = port.get("port") or port["start_port"]
    last = port.get("port") or port["end_port"]
    number = next((number for number in sorted(doors) if first <= number <= last), None)
    if number is not None:
        return Remark(
            (*path, "handlers"),
            f"port {number} lacks the http handler: the Router's listener {quote(doors[number])} replays "
            "visitors to it, and a replay carries only HTTP; expected [http] or [tls, http]",
            "replay-needs-http",
        )
    shown = f"port {first}" if first == last else f"ports {first} to {last}"
    return Remark(
        (*path, "handlers"),
        f"raw TCP on {shown} reaches no user app: it has no public address, and a replay carries only HTTP; "
        "expected http among the handlers",
        "raw-port",
    )
