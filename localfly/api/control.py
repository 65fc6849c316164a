"""Control endpoints under `/_localfly/`: what was asked, what there is, what the proxy logged, two switches.

Answers for looking in and for the organisations' replay switches, which Fly has outside its Machines API.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import Body, Call
from localfly.journal import Journal
from localfly.lifecycle import Runtime
from localfly.moment import rfc3339
from localfly.refusal import Invalid, NotFound, Unauthorized
from localfly.world import App, Machine, World

Handler = Callable[[Call], Awaitable[Response]]
SUBJECT = re.compile(r"[^.\s]+(\.[^.\s]+)*")


class OrgSwitches(Body):
    """What an organisation lets `fly-replay` do; a member left out stays as it is."""

    cross_network_replays: bool | None = None
    replay_sources: list[str] | None = None


class WorldChange(Body):
    """Switches by organisation."""

    orgs: dict[str, OrgSwitches]


def routes(journal: Journal) -> Mapping[tuple[str, str], Handler]:
    """The endpoints; all need a token that may act in every organisation."""

    async def requests(call: Call) -> Response:
        """The latest API requests, oldest first."""
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
        return ok({"requests": asked})

    async def logs(call: Call) -> Response:
        """The latest log lines, oldest first; `subject` as in NATS: `*` is one part, a final `>` the rest."""
        subject = call.query("subject").get("subject", "logs.>")
        matches = _subject_pattern(subject)
        return ok({"logs": [line for line in journal.lines if matches.fullmatch(line["subject"])]})

    endpoints: dict[tuple[str, str], Handler] = {
        ("GET", "/_localfly/requests"): requests,
        ("GET", "/_localfly/world"): _show_world,
        ("PATCH", "/_localfly/world"): _change_world,
        ("GET", "/_localfly/logs"): logs,
    }
    return {route: _for_the_whole_world(handler) for route, handler in endpoints.items()}


def _for_the_whole_world(handler: Handler) -> Handler:
    async def checked(call: Call) -> Response:
        if call.caller.orgs is not None:
            raise Unauthorized
        return await handler(call)

    return checked


async def _show_world(call: Call) -> Response:
    call.query()
    return ok(picture(call.world, call.lifecycle.runtime))


async def _change_world(call: Call) -> Response:
    call.query()
    asked = await call.body(WorldChange)
    for slug, switches in asked.orgs.items():
        for named in (slug, *(switches.replay_sources or ())):
            if named not in call.world.orgs:
                raise NotFound(f"organization '{named}' not found")
    for slug, switches in asked.orgs.items():
        org = call.world.orgs[slug]
        if switches.cross_network_replays is not None:
            org.cross_network_replays = switches.cross_network_replays
        if switches.replay_sources is not None:
            org.replay_sources = set(switches.replay_sources)
    return ok(picture(call.world, call.lifecycle.runtime))


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
    return {"orgs": orgs, "apps": {app.name: _app_picture(app, runtime) for app in world.apps.values()}}


def _app_picture(app: App, runtime: Runtime) -> dict[str, Any]:
    machines = [
        {
            "id": machine.id,
            "name": machine.name,
            "state": machine.state,
            "region": machine.region,
            "instance_id": machine.instance_id,
            "private_ip": machine.private_ip,
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


def _subject_pattern(subject: str) -> re.Pattern[str]:
    if not SUBJECT.fullmatch(subject):
        raise Invalid(f"invalid query parameter 'subject': {subject[:100]!r}")
    *parts, last = subject.split(".")
    middle = [r"[^.]+" if part == "*" else re.escape(part) for part in parts]
    end = {">": r".+", "*": r"[^.]+"}.get(last, re.escape(last))
    return re.compile(r"\.".join((*middle, end)))
