"""Machine metadata: read, merge, one key at a time; no lease, no restart, no new version (contract §8).

Answers for the four verbs; PUT and PATCH both merge.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from starlette.responses import Response

from localfly.api.answer import empty, ok
from localfly.api.call import UNIMITATED, Body, Call
from localfly.refusal import FailedPrecondition, Invalid, MachineNotFound, NotFound
from localfly.world import Machine


class MergeMetadata(Body):
    """Null or empty text removes a key."""

    metadata: dict[str, str | None]
    machine_version: str | None = None
    updated_at: Annotated[Any, UNIMITATED] = None


class SetKey(Body):
    """The value of one key."""

    value: str
    updated_at: Annotated[Any, UNIMITATED] = None


async def show(call: Call) -> Response:
    """All keys."""
    call.query()
    return ok(_metadata(call.machine()))


async def merge(call: Call) -> Response:
    """Set and remove keys; 412 when `machine_version` is not the current one."""
    call.query()
    asked = await call.body(MergeMetadata)
    machine = _changeable(call)
    if asked.machine_version and asked.machine_version != machine.instance_id:
        raise FailedPrecondition(  # the text is not established
            f"machine version {asked.machine_version} is not the current one, {machine.instance_id}"
        )
    _write(call, machine, asked.metadata)
    return empty(204)


async def show_key(call: Call) -> Response:
    """One value."""
    call.query()
    found = _metadata(call.machine()).get(call.named("key"))
    if found is None:
        raise NotFound("not_found: metadata key not found")
    return ok({"value": found})


async def set_key(call: Call) -> Response:
    """Set one key, or remove it by an empty text."""
    call.query()
    asked = await call.body(SetKey)
    _write(call, _changeable(call), {call.named("key"): asked.value})
    return empty(204)


async def delete_key(call: Call) -> Response:
    """Remove one key; gone already is fine."""
    call.query()
    _write(call, _changeable(call), {call.named("key"): None})
    return empty(204)


def _changeable(call: Call) -> Machine:
    machine = call.machine()
    if machine.state == "destroyed":
        raise MachineNotFound
    return machine


def _metadata(machine: Machine) -> dict[str, str]:
    return dict(machine.config.get("metadata") or {})


def _write(call: Call, machine: Machine, changes: Mapping[str, str | None]) -> None:
    if not all(changes):
        raise Invalid("invalid field 'metadata': a key is empty")
    metadata = {**_metadata(machine), **changes}
    kept = {key: value for key, value in metadata.items() if value}
    machine.config = {**machine.config, "metadata": kept}
    call.world.touch(machine)
