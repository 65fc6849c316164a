"""The Machines API over HTTP: which path leads where, and what no path leads to.

Answers for the route table and the 501 of everything not imitated. Each resource is a module here,
who may ask at all is `gate`'s, what a refusal looks like is `answer`'s.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localfly.api import apps, control, leases, machines, metadata, orgs, secrets, volumes, wait
from localfly.api.answer import refusal
from localfly.api.call import Call
from localfly.api.gate import Gate
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
    ("GET", "/v1/apps"): apps.list_apps,
    ("POST", "/v1/apps"): apps.create,
    ("GET", APP): apps.show,
    ("DELETE", APP): apps.delete,
    ("GET", f"{APP}/ip_assignments"): apps.list_addresses,
    ("GET", f"{APP}/machines"): machines.list_machines,
    ("POST", f"{APP}/machines"): machines.create,
    ("GET", MACHINE): machines.show,
    ("POST", MACHINE): machines.update,
    ("DELETE", MACHINE): machines.delete,
    ("POST", f"{MACHINE}/start"): machines.start,
    ("POST", f"{MACHINE}/stop"): machines.stop,
    ("GET", f"{MACHINE}/events"): machines.list_events,
    ("GET", f"{MACHINE}/versions"): machines.list_versions,
    ("GET", f"{MACHINE}/wait"): wait.wait,
    ("GET", f"{MACHINE}/lease"): leases.show,
    ("POST", f"{MACHINE}/lease"): leases.take,
    ("DELETE", f"{MACHINE}/lease"): leases.release,
    ("GET", f"{MACHINE}/metadata"): metadata.show,
    ("PUT", f"{MACHINE}/metadata"): metadata.merge,
    ("PATCH", f"{MACHINE}/metadata"): metadata.merge,
    ("GET", f"{MACHINE}/metadata/{{key}}"): metadata.show_key,
    ("POST", f"{MACHINE}/metadata/{{key}}"): metadata.set_key,
    ("DELETE", f"{MACHINE}/metadata/{{key}}"): metadata.delete_key,
    ("GET", f"{APP}/secrets"): secrets.list_secrets,
    ("POST", f"{APP}/secrets"): secrets.set_many,
    ("GET", f"{APP}/secrets/{{name}}"): secrets.show,
    ("POST", f"{APP}/secrets/{{name}}"): secrets.set_one,
    ("DELETE", f"{APP}/secrets/{{name}}"): secrets.delete,
    ("GET", f"{APP}/volumes"): volumes.list_volumes,
    ("POST", f"{APP}/volumes"): volumes.create,
    ("GET", VOLUME): volumes.show,
    ("DELETE", VOLUME): volumes.delete,
    ("PUT", f"{VOLUME}/extend"): volumes.extend,
    ("GET", f"{ORG}/machines"): orgs.list_machines,
    ("GET", f"{ORG}/volumes"): orgs.list_volumes,
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
