"""Control endpoints under `/_localfly/`: what was asked, what there is, what was logged, and switches.

Answers for looking in, for the organisations' replay switches, which Fly has outside its Machines API, and
for hosts that are lost and images that cannot be pulled. The clock's endpoint is `clock`'s.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

from pydantic import Field
from starlette.responses import Response, StreamingResponse

from localfly.api.answer import ok
from localfly.api.call import Body, Call
from localfly.journal import Feed, Journal
from localfly.lifecycle import Runtime
from localfly.moment import rfc3339
from localfly.refusal import Invalid, MachineNotFound, NotFound
from localfly.world import App, Machine, World

Handler = Callable[[Call], Awaitable[Response]]
SUBJECT = re.compile(r"[^.\s]+(\.[^.\s]+)*")


class OrgSwitches(Body):
    """What an organisation lets `fly-replay` do; a member left out stays as it is."""

    cross_network_replays: bool | None = None
    replay_sources: list[str] | None = None


class MachineSwitches(Body):
    """What is known of a machine's host."""

    host_status: Literal["ok", "unknown", "unreachable"]


class WorldChange(Body):
    """Switches by organisation and by machine id, and all image references that no host can pull."""

    orgs: dict[str, OrgSwitches] = Field(default_factory=dict)
    machines: dict[str, MachineSwitches] = Field(default_factory=dict)
    bad_images: list[str] | None = None


def routes(journal: Journal) -> dict[tuple[str, str], Handler]:
    """The endpoints."""

    async def requests(call: Call) -> Response:
        """The latest API requests, oldest first, and how many there were in all, by method."""
        call.query()
        asked = [
            {
                "method": entry.method,
                "path": entry.path,
                "status": entry.status,
                "at": entry.at,
                "request_id": entry.request_id,
            }
            for entry in journal.requests
        ]
        return ok({"requests": asked, "answered": dict(sorted(journal.answered.items()))})

    async def logs(call: Call) -> Response:
        """The latest log lines, oldest first; `subject` as in NATS: `*` is one part, a final `>` the rest.

        With `follow=true` those from now on, one JSON object a line, for as long as the client stays.
        """
        asked = call.query("subject", "follow")
        matches = _subject_pattern(asked.get("subject", "logs.>"))
        if asked.get("follow") not in (None, "true", "false"):
            raise Invalid(f"invalid query parameter 'follow': {asked['follow'][:100]!r}")
        if asked.get("follow") == "true":
            return StreamingResponse(_lines(journal.follow(), matches), media_type="application/x-ndjson")
        return ok({"logs": [line for line in journal.lines if matches.fullmatch(line["subject"])]})

    return {
        ("GET", "/_localfly/requests"): requests,
        ("GET", "/_localfly/world"): _show_world,
        ("PATCH", "/_localfly/world"): _change_world,
        ("GET", "/_localfly/logs"): logs,
    }


async def _show_world(call: Call) -> Response:
    call.query()
    return ok(picture(call.world, call.lifecycle.runtime))


async def _change_world(call: Call) -> Response:
    call.query()
    asked = await call.body(WorldChange)
    _check_names(call.world, asked)
    for slug, switches in asked.orgs.items():
        org = call.world.orgs[slug]
        if switches.cross_network_replays is not None:
            org.cross_network_replays = switches.cross_network_replays
        if switches.replay_sources is not None:
            org.replay_sources = set(switches.replay_sources)
    for machine_id, switch in asked.machines.items():
        call.lifecycle.set_host_status(call.world.machines[machine_id], switch.host_status)
    if asked.bad_images is not None:
        call.world.bad_images = set(asked.bad_images)
    return ok(picture(call.world, call.lifecycle.runtime))


def _check_names(world: World, asked: WorldChange) -> None:
    """Refuse a change before it begins when something that it names is not there."""
    for slug, switches in asked.orgs.items():
        for named in (slug, *(switches.replay_sources or ())):
            if named not in world.orgs:
                raise NotFound(f"organization '{named}' not found")
    for machine_id in asked.machines:
        if machine_id not in world.machines or not world.machines[machine_id].is_living:
            raise MachineNotFound


def picture(world: World, runtime: Runtime) -> dict[str, Any]:
    """Everything there is, by name, without a secret's value."""
    orgs = {
        org.slug: {
            "networks": list(org.networks),
            "cross_network_replays": org.cross_network_replays,
            "replay_sources": sorted(org.replay_sources),
        }
        for org in world.orgs.values()
    }
    bad_images = sorted(world.bad_images)
    return {
        "orgs": orgs,
        "bad_images": bad_images,
        "apps": {app.name: _app_picture(app, runtime) for app in world.apps.values()},
    }


def _app_picture(app: App, runtime: Runtime) -> dict[str, Any]:
    machines = [
        {
            "id": machine.id,
            "name": machine.name,
            "state": machine.state,
            "region": machine.region,
            "instance_id": machine.instance_id,
            "private_ip": machine.private_ip,
            "host_status": machine.host_status,
            "listens": _listens(machine, runtime),
            "updated_at": rfc3339(machine.updated_at),
        }
        for machine in app.machines.values()
    ]
    volumes = [
        {"id": volume.id, "name": volume.name, "region": volume.region, "machine_id": volume.machine_id}
        for volume in app.volumes.values()
        if volume.deleted_at is None
    ]
    return {
        "org": app.org.slug,
        "network": app.network,
        "machines": machines,
        "volumes": volumes,
        "secrets": list(app.secrets),
        "secrets_version": app.secrets_version,
        "addresses": [address.ip for address in app.addresses],
    }


def _listens(machine: Machine, runtime: Runtime) -> dict[str, str]:
    """Where each internal port of a running machine really is on this laptop, past the proxy."""
    ports = [service.get("internal_port") for service in machine.services]
    found = {port: runtime.address(machine.id, port) for port in ports if isinstance(port, int)}
    return {str(port): f"{where[0]}:{where[1]}" for port, where in found.items() if where}


async def _lines(feed: Feed, matches: re.Pattern[str]) -> AsyncIterator[bytes]:
    while True:
        line = await feed.next()
        if matches.fullmatch(line["subject"]):
            yield json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _subject_pattern(subject: str) -> re.Pattern[str]:
    if not SUBJECT.fullmatch(subject):
        raise Invalid(f"invalid query parameter 'subject': {subject[:100]!r}")
    *parts, last = subject.split(".")
    middle = [r"[^.]+" if part == "*" else re.escape(part) for part in parts]
    end = {">": r".+", "*": r"[^.]+"}.get(last, re.escape(last))
    return re.compile(r"\.".join((*middle, end)))
