"""The Machines API over HTTP: which path leads where, and what no path leads to.

Answers for the route table and the 501 of everything not imitated. Each resource is an `api_*` module,
who may ask at all is `gate`'s, what a refusal looks like is `answer`'s.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localfly import (
    api_apps,
    api_leases,
    api_machines,
    api_metadata,
    api_orgs,
    api_secrets,
    api_volumes,
    api_wait,
    control,
)
from localfly.answer import refusal
from localfly.call import Call
from localfly.gate import Gate
from localfly.journal import Journal
from localfly.lifecycle import Lifecycle
from localfly.refusal import NotImitated, Refusal
from localfly.world import World

Handler = Callable[[Call], Awaitable[Response]]

APP = "/v1/apps/{app_name}"
MACHINE = f"{APP}/machines/{{machine_id}}"
VOLUME = f"{APP}/volumes/{{volume_id}}"
ORG = "/v1/orgs/{org_slug}"

ROUTES: Mapping[tuple[str, str], Handler] = {
    ("GET", "/v1/apps"): api_apps.list_apps,
    ("POST", "/v1/apps"): api_apps.create,
    ("GET", APP): api_apps.show,
    ("DELETE", APP): api_apps.delete,
    ("GET", f"{APP}/ip_assignments"): api_apps.list_addresses,
    ("GET", f"{APP}/machines"): api_machines.list_machines,
    ("POST", f"{APP}/machines"): api_machines.create,
    ("GET", MACHINE): api_machines.show,
    ("POST", MACHINE): api_machines.update,
    ("DELETE", MACHINE): api_machines.delete,
    ("POST", f"{MACHINE}/start"): api_machines.start,
    ("POST", f"{MACHINE}/stop"): api_machines.stop,
    ("GET", f"{MACHINE}/events"): api_machines.list_events,
    ("GET", f"{MACHINE}/versions"): api_machines.list_versions,
    ("GET", f"{MACHINE}/wait"): api_wait.wait,
    ("GET", f"{MACHINE}/lease"): api_leases.show,
    ("POST", f"{MACHINE}/lease"): api_leases.take,
    ("DELETE", f"{MACHINE}/lease"): api_leases.release,
    ("GET", f"{MACHINE}/metadata"): api_metadata.show,
    ("PUT", f"{MACHINE}/metadata"): api_metadata.merge,
    ("PATCH", f"{MACHINE}/metadata"): api_metadata.merge,
    ("GET", f"{MACHINE}/metadata/{{key}}"): api_metadata.show_key,
    ("POST", f"{MACHINE}/metadata/{{key}}"): api_metadata.set_key,
    ("DELETE", f"{MACHINE}/metadata/{{key}}"): api_metadata.delete_key,
    ("GET", f"{APP}/secrets"): api_secrets.list_secrets,
    ("POST", f"{APP}/secrets"): api_secrets.set_many,
    ("GET", f"{APP}/secrets/{{name}}"): api_secrets.show,
    ("POST", f"{APP}/secrets/{{name}}"): api_secrets.set_one,
    ("DELETE", f"{APP}/secrets/{{name}}"): api_secrets.delete,
    ("GET", f"{APP}/volumes"): api_volumes.list_volumes,
    ("POST", f"{APP}/volumes"): api_volumes.create,
    ("GET", VOLUME): api_volumes.show,
    ("DELETE", VOLUME): api_volumes.delete,
    ("PUT", f"{VOLUME}/extend"): api_volumes.extend,
    ("GET", f"{ORG}/machines"): api_orgs.list_machines,
    ("GET", f"{ORG}/volumes"): api_orgs.list_volumes,
}
EVERY_METHOD = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def create_api(
    world: World,
    lifecycle: Lifecycle,
    *,
    tokens: Mapping[str, Collection[str] | None],
    journal: Journal,
    allow_any_host: bool = False,
) -> ASGIApp:
    """The ASGI app of API and control endpoints.

    `tokens` maps each accepted token to the organisations it may act in (None: all). Requests whose
    `Host` is not loopback are refused unless `allow_any_host`.
    """

    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await handler(Call(world, lifecycle, request))
            except Refusal as refused:
                return refusal(refused)

        return answer

    table = {**ROUTES, **control.routes(journal)}
    routes = [Route(path, endpoint(handler), methods=[method]) for (method, path), handler in table.items()]
    routes += [
        Route("/v1/{rest:path}", endpoint(_not_imitated), methods=EVERY_METHOD),
        Route("/_localfly/{rest:path}", endpoint(_not_imitated), methods=EVERY_METHOD),
        Route("/{rest:path}", _not_found, methods=EVERY_METHOD),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return Gate(app, world=world, tokens=tokens, journal=journal, allow_any_host=allow_any_host)


async def _not_imitated(call: Call) -> Response:
    raise NotImitated(f"{call.request.method} {call.request.url.path}")


async def _not_found(_: Request) -> Response:
    return PlainTextResponse("404 page not found", 404)
