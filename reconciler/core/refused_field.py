"""Fields that people bring along from elsewhere, or that are not offered, and what to do instead.

Answers for the words. That a field is unknown is found in `complaint`.
"""

from collections.abc import Mapping
from types import MappingProxyType


def _public_address(name: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("UserAppSpec", name), (
        "a user app gets no public address, which would expose every service of it past the Router; "
        "visitors reach it by replay",
        "public-address",
    )


def _of_fly_toml(model: str, name: str, instead: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return (model, name), (
        f"unknown field: the name is fly.toml's; the Machines API has {instead}",
        "unknown-field",
    )


# Model and name → what is said of the field, and the finding's code.
REFUSED: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    dict(
        [
            _public_address("addresses"),
            _public_address("ip_assignments"),
            _public_address("ips"),
            _public_address("ipv4"),
            _public_address("ipv6"),
            _public_address("shared_ipv4"),
            _of_fly_toml("MachineConfig", "http_service", "services"),
            _of_fly_toml("MachineConfig", "kill_signal", "stop_config.signal"),
            _of_fly_toml("MachineConfig", "kill_timeout", "stop_config.timeout"),
            _of_fly_toml("MachineConfig", "swap_size_mb", "init.swap_size_mb"),
            _of_fly_toml("MachineConfig", "vm", "guest"),
            _of_fly_toml("Guest", "memory", "memory_mb"),
            _of_fly_toml("ServiceConfig", "auto_start_machines", "autostart"),
            _of_fly_toml("ServiceConfig", "auto_stop_machines", "autostop"),
            (
                ("RouterSpec", "cache"),
                (
                    "replays are not cached: Fly's replay cache carries neither state nor timeout nor "
                    "fallback nor a transform, and nobody could take a cached replay back; expected no cache",
                    "cache-not-offered",
                ),
            ),
        ]
    )
)
