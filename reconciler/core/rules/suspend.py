"""Machines that a service wants suspended, and that Fly cannot suspend: it would stop them without a word."""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.core.rules.remark import Remark

Json = Any

LARGEST_SUSPENDED_MB = 2048  # contract §5.5
CODE = "cannot-suspend"


def suspend_remarks(config: Mapping[str, Json]) -> Iterator[Remark]:
    """What stands against `autostop: suspend`, at the field that does."""
    if not any(service.get("autostop") == "suspend" for service in config.get("services") or ()):
        return
    because = "and a service says autostop: suspend"
    memory = (config.get("guest") or {}).get("memory_mb") or 0
    if memory > LARGEST_SUSPENDED_MB:
        yield Remark(
            ("guest", "memory_mb"),
            f"a machine of {memory} MB is not suspended by Fly, {because}; "
            f"expected at most {LARGEST_SUSPENDED_MB}, or autostop: stop",
            CODE,
        )
    if (config.get("init") or {}).get("swap_size_mb"):
        yield Remark(
            ("init", "swap_size_mb"),
            f"a machine with swap is not suspended by Fly, {because}; expected no swap, or autostop: stop",
            CODE,
        )
    if config.get("schedule"):
        yield Remark(
            ("schedule",),
            f"a machine with a schedule is not suspended by Fly, {because}; "
            "expected no schedule, or autostop: stop",
            CODE,
        )
