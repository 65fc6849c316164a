"""Machine sizes that Fly has: kinds and numbers of CPUs, and how much memory goes with them.

The numbers are contract §9's and those of Fly's page on machine sizing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.problem import one_of, quote
from reconciler.core.rules.remark import Remark

Json = Any


@dataclass(frozen=True, slots=True)
class Kind:
    cpus: tuple[int, ...]
    least_mb: int  # for each CPU
    most_mb: int  # for each CPU
    step_mb: int


KINDS = {
    "shared": Kind(cpus=(1, 2, 4, 6, 8), least_mb=256, most_mb=2048, step_mb=256),
    "performance": Kind(
        cpus=(1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128), least_mb=2048, most_mb=8192, step_mb=1024
    ),
}
LARGEST_PRESET = 16  # CPUs
PRESETS = tuple(
    f"{'shared-cpu' if name == 'shared' else name}-{cpus}x"
    for name, kind in KINDS.items()
    for cpus in kind.cpus
    if cpus <= LARGEST_PRESET
)


def size_remarks(config: Mapping[str, Json]) -> Iterator[Remark]:
    """What is wrong with `guest` or `size`."""
    size = config.get("size")
    if size is not None and size not in PRESETS:
        expected = one_of(PRESETS, at_most=len(PRESETS))
        yield Remark(
            ("size",), f"{quote(size)} is not a size of Fly; expected one of {expected}", "unknown-size"
        )
    if config.get("guest"):
        yield from _guest_remarks(config["guest"])


def _guest_remarks(guest: Mapping[str, Json]) -> Iterator[Remark]:
    name = guest.get("cpu_kind") or "shared"
    kind, cpus = KINDS[name], guest.get("cpus") or 1
    if cpus not in kind.cpus:
        yield Remark(
            ("guest", "cpus"),
            f"Fly has no machine with {cpus} {name} CPUs; expected one of "
            f"{one_of(map(str, kind.cpus), at_most=len(kind.cpus))}",
            "guest-cpus",
        )
        return
    for field in ("memory_mb", "max_memory_mb"):
        memory = guest.get(field)
        least, most = kind.least_mb * cpus, kind.most_mb * cpus
        if memory is not None and not (least <= memory <= most and memory % kind.step_mb == 0):
            yield Remark(
                ("guest", field),
                f"{memory} MB do not go with {cpus} {name} CPU{'s' if cpus > 1 else ''}; "
                f"expected {least} to {most} in steps of {kind.step_mb}",
                "guest-memory",
            )
