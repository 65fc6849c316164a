"""Fields that people bring along from elsewhere, and what to write instead.

Answers for the words. That a field is unknown is found in `complaint`.
"""

from collections.abc import Mapping
from types import MappingProxyType

_ADDRESS = (
    "a user app gets no public address, which would expose every service of it past the Router; "
    "visitors reach it by replay",
    "public-address",
)


def _elsewhere(instead: str) -> tuple[str, str]:
    return f"unknown field: the name is fly.toml's; the Machines API has {instead}", "unknown-field"


# Name → what is said of it, and the finding's code.
REFUSED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "addresses": _ADDRESS,
        "ip": _ADDRESS,
        "ip_assignments": _ADDRESS,
        "ips": _ADDRESS,
        "ipv4": _ADDRESS,
        "ipv6": _ADDRESS,
        "shared_ipv4": _ADDRESS,
        "auto_start_machines": _elsewhere("autostart"),
        "auto_stop_machines": _elsewhere("autostop"),
        "http_service": _elsewhere("services"),
        "kill_signal": _elsewhere("stop_config.signal"),
        "kill_timeout": _elsewhere("stop_config.timeout"),
        "vm": _elsewhere("guest"),
    }
)
