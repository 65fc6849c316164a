"""One spelling for machine configs, so that what Fly echoes equals what was sent.

Answers for Fly's defaults and ways of writing (contract: config object, services). Comparing is `diff`'s.
"""

import re
from collections.abc import Mapping
from typing import Any

from reconciler.core.machine_fields import below

Json = Any

FREE_MAPS = frozenset(  # text to text, each key somebody's own: nothing in there is a default
    {
        "env",
        "metadata",
        "processes[].env",
        "containers[].env",
        "services[].ports[].http_options.response.headers",
    }
)

_DEFAULTS: Mapping[str, Mapping[str, Json]] = {  # absent and present-with-this-value are the same
    "": {"auto_destroy": False, "disable_machine_autostart": False},
    "checks.*": {"kind": "informational", "tls_skip_verify": False},
    "dns": {"skip_registration": False},
    "guest": {"gpus": 0, "gpu_kind": "", "host_dedication_id": "", "max_memory_mb": 0},
    "init": {"tty": False, "swap_size_mb": 0},
    "restart": {"policy": "on-failure", "max_retries": 10},
    "rootfs": {"persist": "never", "size_gb": 0},
    "services[]": {"protocol": "tcp", "min_machines_running": 0, "force_instance_description": ""},
    "services[].checks[]": {"tls_skip_verify": False},
    "services[].concurrency": {"type": "connections", "soft_limit": 20, "hard_limit": 0},
    "services[].ports[]": {"force_https": False},
    "stop_config": {"signal": "SIGINT", "timeout": 5_000_000_000},
}
_DURATIONS = frozenset({"grace_period", "interval", "timeout"})  # Go text or nanoseconds, at these places:
_DURATION_PLACES = frozenset({"checks.*", "services[].checks[]", "stop_config", "containers[].stop"})
_UNIT_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_GO_DURATION = re.compile(rf"(?:{_GO_PART.pattern})+")
_PRESET = re.compile(r"(shared-cpu|performance)-(\d+)x")
_AUTOSTOP = {False: "off", True: "stop"}
_MB_PER_CPU = {"shared": 256, "performance": 2048}


def normalise(config: Mapping[str, Json]) -> dict[str, Json]:
    """A machine config in one spelling: no nulls, no empties, no defaults, durations in nanoseconds.

    Equal results mean equal machines. `env` and `metadata` stay as they are, apart from nulls.
    """
    plain = normalise_part("", config)
    guest = normalise_guest(config)
    return {**{key: value for key, value in plain.items() if key not in ("guest", "size")}, "guest": guest}


def normalise_guest(config: Mapping[str, Json]) -> dict[str, Json]:
    """The machine's size, written out: a preset (`size`) and a missing guest mean one too."""
    guest = normalise_part("guest", config.get("guest") or {})
    preset = _PRESET.fullmatch(str(config.get("size") or ""))
    if preset and not guest:
        kind, cpus = preset[1].removesuffix("-cpu"), int(preset[2])
        return {"cpu_kind": kind, "cpus": cpus, "memory_mb": cpus * _MB_PER_CPU[kind]}
    kind, cpus = guest.get("cpu_kind") or "shared", guest.get("cpus") or 1
    memory = guest.get("memory_mb") or cpus * _MB_PER_CPU.get(kind, 256)
    return {**guest, "cpu_kind": kind, "cpus": cpus, "memory_mb": memory}


def normalise_part(place: str, value: Mapping[str, Json]) -> dict[str, Json]:
    """The same for one mapping within a config, such as `services[].ports[]`."""
    if place in FREE_MAPS:
        return {key: item for key, item in sorted(value.items()) if item is not None}
    result = {}
    for key in sorted(value):
        item = _spelled(place, key, value[key])
        if item in (None, [], {}) or (
            # `False == 0` in Python; Fly tells them apart
            (default := _DEFAULTS.get(place, {}).get(key)) == item and type(default) is type(item)
        ):
            continue
        result[key] = item
    return result


def _spelled(place: str, key: str, value: Json) -> Json:
    here = below(place, key)
    if isinstance(value, Mapping):
        return normalise_part(here, value)
    if isinstance(value, list | tuple):
        return [normalise_part(f"{here}[]", item) if isinstance(item, Mapping) else item for item in value]
    if place == "services[]" and key == "autostop":
        return _AUTOSTOP.get(value, value)  # Fly echoes false, true, "suspend"
    if key == "policy" and value == "":
        return None  # seen in old replies
    if key in _DURATIONS and place in _DURATION_PLACES:
        return _nanoseconds(value)
    return value


def _nanoseconds(value: Json) -> Json:
    if not isinstance(value, str) or not _GO_DURATION.fullmatch(value):
        return value
    return round(sum(float(amount) * _UNIT_NS[unit] for amount, unit in _GO_PART.findall(value)))
