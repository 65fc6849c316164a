"""The size of a machine: which combinations Fly sells, and what it fills in.

Answers for guest objects and size presets (contract §9). localfly keeps the size and limits nothing by it.
"""

from typing import Annotated, Any, Literal

from localfly.api.call import UNIMITATED, Body
from localfly.refusal import Invalid

_CPUS = {"shared": (1, 2, 4, 6, 8), "performance": (1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128)}
_MB_PER_CPU = {"shared": (256, 2048), "performance": (2048, 8192)}
_MB_STEP = {"shared": 256, "performance": 1024}

Unimitated = Annotated[Any, UNIMITATED]


class Guest(Body):
    """CPU and memory of a machine."""

    cpu_kind: Literal["shared", "performance"] | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    max_memory_mb: Unimitated = None
    gpus: Unimitated = None
    gpu_kind: Unimitated = None
    host_dedication_id: Unimitated = None
    kernel_args: Unimitated = None
    persist_rootfs: Unimitated = None


def full_guest(guest: Guest | None, size: str | None) -> dict[str, Any]:
    """The guest with everything filled in: shared, 1 cpu, the smallest memory, unless told."""
    if guest is not None and size:
        raise Invalid("invalid field 'config.size': size and guest exclude each other")
    if size:
        guest = _preset(size)
    kind = (guest and guest.cpu_kind) or "shared"
    cpus = (guest and guest.cpus) or 1
    least, most = (megabytes * cpus for megabytes in _MB_PER_CPU[kind])
    memory = (guest and guest.memory_mb) or least
    if cpus not in _CPUS[kind]:
        raise Invalid(
            f"invalid field 'config.guest.cpus': {kind} machines have {_CPUS[kind]} cpus, not {cpus}"
        )
    if not least <= memory <= most or memory % _MB_STEP[kind]:
        raise Invalid(
            f"invalid field 'config.guest.memory_mb': {kind} with {cpus} cpus takes {least} to {most} MB "
            f"in steps of {_MB_STEP[kind]}, not {memory}"
        )
    return {"cpu_kind": kind, "cpus": cpus, "memory_mb": memory}


def _preset(size: str) -> Guest:
    kind, _, cpus = size.rpartition("-")
    kind = kind.removesuffix("-cpu")
    number = cpus.removesuffix("x")
    if kind not in _CPUS or not number.isdecimal() or int(number) not in _CPUS[kind]:
        raise Invalid(f"invalid field 'config.size': unknown size {size!r}")
    return Guest(cpu_kind=kind, cpus=int(number))  # type: ignore[arg-type]  # looked up in the table above
