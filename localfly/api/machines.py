"""Machines: create, list, read, update, destroy, events and versions (contract §4).

Answers for what a request must hold and which refusal comes first. Starting and stopping are `running`'s,
states `lifecycle`'s, the config's form is `config`'s, the Machine object `machine_json`'s.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from localfly import lease, region
from localfly.api.answer import ok
from localfly.api.call import UNIMITATED, Body, Call, flag, whole_number
from localfly.api.config import as_submitted, echoed
from localfly.api.machine_json import event_json, machine_json
from localfly.api.secrets import check_secrets_version
from localfly.identity import Ids
from localfly.refusal import FailedPrecondition, Invalid, NameHeld, NotFound
from localfly.world import App, Machine, Secret, Volume

STATES = frozenset(
    (
        *("created", "creating", "starting", "started", "stopping", "stopped", "suspending", "suspended"),
        *("restarting", "updating", "replacing", "destroying", "destroyed", "failed", "launch_failed"),
    )
)
_FIRST = (
    "autumn",
    "billowing",
    "cold",
    "dark",
    "empty",
    "floral",
    "green",
    "late",
    "quiet",
    "rough",
    "small",
)
_SECOND = ("bird", "brook", "cloud", "dew", "field", "glade", "leaf", "moon", "pond", "river", "sun", "wave")


class LaunchMachine(Body):
    """What create and update have in common."""

    config: dict[str, Any]
    lease_ttl: Annotated[int, Field(ge=1, le=lease.LONGEST_S)] | None = None
    min_secrets_version: int | None = None
    skip_launch: bool | None = None
    skip_secrets: bool | None = None
    skip_service_registration: bool | None = None
    lsvd: Annotated[Any, UNIMITATED] = None


class CreateMachine(LaunchMachine):
    """`region` may be a list of codes and aliases in order of preference."""

    name: str | None = None
    region: str | None = None


class UpdateMachine(LaunchMachine):
    """Name and region cannot change; Fly ignores them here."""

    name: str | None = None
    region: str | None = None
    current_version: str | None = None


async def list_machines(call: Call) -> Response:
    """All machines of an app that pass every filter, as a bare array."""
    prefix = "metadata."
    query = call.query("include_deleted", "include_leases", "region", "state", "summary", prefix=prefix)
    states = _states(query)
    tags = {name.removeprefix(prefix): value for name, value in query.items() if name.startswith(prefix)}
    show_destroyed = flag(query, "include_deleted") or (states is not None and "destroyed" in states)
    late = call.consistency
    found = [
        machine
        for machine in call.app().machines.values()
        if (show_destroyed or machine.state != "destroyed" or late.lists_gone(machine))
        and late.lists(machine)
        and query.get("region", machine.region) == machine.region
        and (states is None or machine.state in states)
        and tags.items() <= (machine.config.get("metadata") or {}).items()
    ]
    held_at = call.world.clock() if flag(query, "include_leases") else None
    is_summary = flag(query, "summary")
    return ok(
        [
            machine_json(machine, leases_at=held_at, is_summary=is_summary)
            | ({"state": "destroying"} if late.lists_gone(machine) else {})
            for machine in found
        ]
    )


async def create(call: Call) -> Response:
    """A new machine; a name that a living one has is refused with that one's id."""
    call.query()
    asked = await call.body(CreateMachine)
    app = call.lasting_app()
    config = echoed(asked.config)
    check_secrets_version(app, asked.min_secrets_version)
    volume = _volume_of(app, config)
    where = _place(asked.region, volume)
    name = asked.name or _new_name(app, call.world.ids)
    for other in app.living():
        if other.name == name:
            raise NameHeld(other.id, name)
    if volume is not None and volume.machine_id is not None:
        raise FailedPrecondition(f"volume already claimed by machine {volume.machine_id}")
    if volume is not None and volume.host_status == "unreachable":
        raise FailedPrecondition("the host of the volume is unreachable")  # the text is not established
    machine = call.world.add_machine(
        app,
        name=name,
        region=where,
        config=config,
        submitted=as_submitted(asked.config),
        secrets=_injected(app, asked),
        volume=volume,
    )
    machine.is_cordoned = bool(asked.skip_service_registration)
    call.lifecycle.launch(machine, skip_launch=bool(asked.skip_launch))
    return ok(machine_json(machine) | _leased(call, machine, asked.lease_ttl))


async def show(call: Call) -> Response:
    """One machine."""
    query = call.query("include_leases")
    held_at = call.world.clock() if flag(query, "include_leases") else None
    return ok(machine_json(call.machine(), leases_at=held_at))


async def update(call: Call) -> Response:
    """A new version with this config in place of the whole old one."""
    call.query()
    asked = await call.body(UpdateMachine)
    machine = call.changeable_machine()
    if asked.current_version and asked.current_version != machine.instance_id:
        raise FailedPrecondition(  # neither status nor text is established
            f"current version is {machine.instance_id}, not {asked.current_version}"
        )
    config = echoed(asked.config)
    check_secrets_version(machine.app, asked.min_secrets_version)
    volume = _volume_of(machine.app, config)
    before = machine.mount
    if (volume and volume.id) != (before and before["volume"]):
        raise Invalid("invalid_argument: the volume of a machine cannot be changed; create another machine")
    call.lifecycle.update(
        machine,
        config=config,
        submitted=as_submitted(asked.config),
        secrets=_injected(machine.app, asked),
        skip_launch=bool(asked.skip_launch),
    )
    if asked.skip_service_registration:
        machine.is_cordoned = True
    return ok(machine_json(machine) | _leased(call, machine, asked.lease_ttl))


async def delete(call: Call) -> Response:
    """Destroy it; `kill` is the Go client's word for `force`."""
    query = call.query("force", "kill")
    machine = call.changeable_machine()
    call.lifecycle.destroy(machine, force=flag(query, "force") or flag(query, "kill"))
    return ok({"ok": True})


async def list_events(call: Call) -> Response:
    """What happened to the current version, newest first."""
    limit = whole_number(call.query("limit"), "limit", default=20)
    if not 1 <= limit <= 50:  # noqa: PLR2004 - the published maximum
        raise Invalid("invalid query parameter 'limit': must be inside range [1, 50]")
    return ok([event_json(event) for event in reversed(call.machine().events[-limit:])])


async def list_versions(call: Call) -> Response:
    """Every version with its config as submitted, newest first."""
    call.query()
    versions = reversed(call.machine().versions)
    return ok([{"version": known.instance_id, "user_config": known.user_config} for known in versions])


def _states(query: Mapping[str, str]) -> frozenset[str] | None:
    if not query.get("state"):
        return None
    states = frozenset(query["state"].split(","))
    if unknown := states - STATES:
        raise Invalid(f"invalid query parameter 'state': unknown state '{min(unknown)}'")
    return states


def _volume_of(app: App, config: dict[str, Any]) -> Volume | None:
    """The volume that its mount names, whose name, size and encryption the config's echo gets."""
    if not config.get("mounts"):
        return None
    mount = config["mounts"][0]
    volume = app.volumes.get(mount["volume"])
    if volume is None or volume.deleted_at is not None:
        raise NotFound("volume not found")
    mount |= {"name": volume.name, "size_gb": volume.size_gb, "encrypted": volume.is_encrypted}
    return volume


def _place(wanted: str | None, volume: Volume | None) -> str:
    if volume is None:
        return region.first_choice(wanted)
    if wanted and volume.region not in region.choices(wanted):
        raise Invalid(f"invalid_argument: volume {volume.id} is in region {volume.region}, not in {wanted}")
    return volume.region


def _injected(app: App, asked: LaunchMachine) -> Mapping[str, Secret]:
    return {} if asked.skip_secrets else app.secrets


def _leased(call: Call, machine: Machine, ttl_s: int | None) -> dict[str, str]:
    if ttl_s is None:
        return {}
    held = lease.take(
        machine,
        nonce=call.nonce,
        ttl_s=ttl_s,
        owner=call.caller.owner,
        description="",
        now=call.world.clock(),
        ids=call.world.ids,
    )
    return {"nonce": held.nonce}


def _new_name(app: App, ids: Ids) -> str:
    taken = {machine.name for machine in app.living()}
    while True:
        words = f"{ids.choice(_FIRST)}-{ids.choice(_SECOND)}"
        name = f"{words}-{ids.number(9000) + 1000}"
        if name not in taken:
            return name
