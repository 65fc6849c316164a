"""Apps: list, create, read, delete (contract §3).

Answers for the App object and the rules of names. Addresses, certificates and tokens of an app are
`addresses`', `certificates`' and `tokens`'.
"""

import re
from typing import Annotated, Any

from starlette.responses import Response

from localfly.api.answer import empty, ok
from localfly.api.call import UNIMITATED, Body, Call, flag
from localfly.refusal import Invalid, NameTaken, Unprocessable
from localfly.world import DEFAULT_NETWORK, App

APP_NAME = re.compile(r"[a-z0-9-]{1,62}")
NETWORK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class CreateApp(Body):
    """`app_name` is the name of `name` in Fly's docs; both are in use."""

    org_slug: str
    name: str | None = None
    app_name: str | None = None
    network: str | None = None
    enable_subdomains: Annotated[Any, UNIMITATED] = None
    app_role_id: Annotated[Any, UNIMITATED] = None


async def list_apps(call: Call) -> Response:
    """The apps of one organisation."""
    query = call.query("org_slug")
    if "org_slug" not in query:
        raise Invalid("org_slug is required")
    org = call.org(query["org_slug"])
    listed = [app for app in call.world.apps.values() if app.org is org and call.consistency.lists(app)]
    apps = [app_json(app) for app in listed]
    return ok({"apps": apps, "total_apps": len(apps)})


async def create(call: Call) -> Response:
    """A new app, without addresses, on its network for ever; `wait` changes nothing: it is there at once."""
    flag(call.query("wait"), "wait")
    asked = await call.body(CreateApp)
    org = call.org(asked.org_slug)
    name = asked.name or asked.app_name or ""
    if asked.name and asked.app_name and asked.name != asked.app_name:
        raise Invalid("name and app_name differ")
    if not APP_NAME.fullmatch(name):
        raise Unprocessable(
            "Validation failed: Name under 63 chars using numbers, lowercase letters and dashes"
        )
    if asked.network and not NETWORK_NAME.fullmatch(asked.network):
        raise Unprocessable(
            "Validation failed: Network name using letters, numbers and dashes, starting with a letter"
        )
    if name in call.world.apps:
        raise NameTaken
    app = call.world.add_app(name, org=org.slug, network=asked.network or DEFAULT_NETWORK)
    return ok({**app_json(app), "created_at": int(app.created_at * 1000)}, status=201)


async def show(call: Call) -> Response:
    """One app."""
    call.query()
    return ok(app_json(call.app()))


async def delete(call: Call) -> Response:
    """Its machines, volumes and secrets go with it; finished some time after this answer."""
    force = flag(call.query("force"), "force")
    app = call.app()
    call.org(app.org.slug)  # a deploy token may empty its app and not delete it
    call.lifecycle.delete_app(app, force=force)
    return empty(202)


def app_json(app: App) -> dict[str, Any]:
    """The App object."""
    machines = sum(machine.state != "destroyed" for machine in app.machines.values())
    number = app.org.networks[app.network]
    return {
        "id": app.id,
        "name": app.name,
        "internal_numeric_id": app.number,
        "network": app.network,
        "network_cidr": f"fdaa:{number >> 16:x}:{number & 0xFFFF:x}::/48",
        "status": "deployed" if machines else "pending",
        "machine_count": machines,
        "volume_count": sum(not volume.deleted_at for volume in app.volumes.values()),
        "organization": {
            "name": app.org.slug,
            "slug": app.org.slug,
            "internal_numeric_id": app.org.number,
        },
    }
