"""The Machines API over HTTP: which path leads where, and what no path leads to.

Answers for the route table, the 501 of what is not imitated and the 404 of what Fly does not have either.
Each resource is a module here, who may ask at all is `gate`'s, what a refusal looks like is `answer`'s.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from localfly.api import (
    addresses,
    apps,
    certificates,
    clock,
    control,
    inside,
    leases,
    machines,
    metadata,
    orgs,
    platform,
    running,
    secrets,
    snapshots,
    volumes,
    wait,
)
from localfly.api import (
    tokens as token_calls,
)
from localfly.api.answer import Unheard, refusal
from localfly.api.call import Call
from localfly.api.gate import Gate
from localfly.api.limited import admit
from localfly.api.struck import strike
from localfly.api.trouble import TroubleControl
from localfly.api.unimitated import UNIMITATED
from localfly.inside import Inside
from localfly.journal import Journal
from localfly.lifecycle import Lifecycle
from localfly.process import Watchdog
from localfly.refusal import NotImitated, Refusal
from localfly.token import Tokens
from localfly.trouble import Trouble, trouble
from localfly.world import World

Handler = Callable[[Call], Awaitable[Response]]

APP = "/v1/apps/{app_name}"
MACHINE = f"{APP}/machines/{{machine_id}}"
VOLUME = f"{APP}/volumes/{{volume_id}}"
CERTIFICATE = f"{APP}/certificates/{{hostname}}"
ORG = "/v1/orgs/{org_slug}"

ROUTES: Mapping[tuple[str, str], Handler] = {
    ("GET", "/v1/apps"): apps.list_apps,
    ("POST", "/v1/apps"): apps.create,
    ("GET", APP): apps.show,
    ("DELETE", APP): apps.delete,
    ("GET", f"{APP}/ip_assignments"): addresses.list_addresses,
    ("POST", f"{APP}/ip_assignments"): addresses.allocate,
    ("DELETE", f"{APP}/ip_assignments/{{ip}}"): addresses.release,
    ("GET", f"{APP}/certificates"): certificates.list_certificates,
    ("POST", f"{APP}/certificates/acme"): certificates.ask_acme,
    ("POST", f"{APP}/certificates/custom"): certificates.upload_custom,
    ("GET", CERTIFICATE): certificates.show,
    ("DELETE", CERTIFICATE): certificates.delete,
    ("POST", f"{CERTIFICATE}/check"): certificates.check,
    ("DELETE", f"{CERTIFICATE}/acme"): certificates.delete_acme,
    ("DELETE", f"{CERTIFICATE}/custom"): certificates.delete_custom,
    ("GET", f"{APP}/machines"): machines.list_machines,
    ("POST", f"{APP}/machines"): machines.create,
    ("GET", MACHINE): machines.show,
    ("POST", MACHINE): machines.update,
    ("DELETE", MACHINE): machines.delete,
    ("POST", f"{MACHINE}/start"): running.start,
    ("POST", f"{MACHINE}/stop"): running.stop,
    ("POST", f"{MACHINE}/suspend"): running.suspend,
    ("POST", f"{MACHINE}/restart"): running.restart,
    ("POST", f"{MACHINE}/signal"): running.signal,
    ("POST", f"{MACHINE}/cordon"): running.cordon,
    ("POST", f"{MACHINE}/uncordon"): running.uncordon,
    ("POST", f"{MACHINE}/exec"): inside.exec_command,
    ("GET", f"{MACHINE}/ps"): inside.list_processes,
    ("GET", f"{MACHINE}/memory"): inside.show_memory,
    ("PUT", f"{MACHINE}/memory"): inside.set_memory_limit,
    ("POST", f"{MACHINE}/memory/reclaim"): inside.reclaim_memory,
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
    ("PUT", VOLUME): volumes.update,
    ("PUT", f"{VOLUME}/extend"): volumes.extend,
    ("GET", f"{VOLUME}/snapshots"): snapshots.list_snapshots,
    ("POST", f"{VOLUME}/snapshots"): snapshots.create,
    ("POST", f"{APP}/deploy_token"): token_calls.create_deploy_token,
    ("GET", "/v1/tokens/current"): token_calls.show_current,
    ("GET", f"{ORG}/machines"): orgs.list_machines,
    ("GET", f"{ORG}/volumes"): orgs.list_volumes,
    ("GET", "/v1/platform/regions"): platform.list_regions,
    ("POST", "/v1/platform/placements"): platform.ask_placement,
}
EVERY_METHOD = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def create_api(
    world: World,
    lifecycle: Lifecycle,
    *,
    tokens: Mapping[str, Collection[str] | None],
    journal: Journal,
    allow_any_host: bool = False,
    troubles: Trouble | None = None,
    kept: Collection[str] = (),
    insides: Inside | None = None,
    allows_exec: bool = False,
    is_strict_wait: bool = False,
) -> ASGIApp:
    """The ASGI app of API and control endpoints.

    `tokens` maps each accepted token to the organisations it may act in (None: all). Requests whose
    `Host` is not loopback are refused unless `allow_any_host`. `troubles`: by default there are none. `kept`
    are the apps that stay when somebody empties the world. `insides` are those of machines that really run.
    """
    known = Tokens(tokens, world.clock)
    hard = troubles or trouble(world.clock)
    world.before_start = hard.faults.start
    options = (insides or Inside(Watchdog(), lambda _: None), allows_exec, is_strict_wait)

    def endpoint(handler: Handler, operation: str | None = None) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            call = Call(world, lifecycle, request, known, hard.consistency, *options)

            async def own() -> Response:
                try:
                    return await handler(call)
                except Refusal as refused:
                    return refusal(refused)
                finally:
                    world.save()

            try:
                if operation is not None:
                    await admit(hard.limits, operation, call)
                    fault = hard.faults.strike(operation, request.path_params.get("app_name", ""))
                    if fault is not None:
                        return await strike(fault, call, own)
                return await own()
            except Refusal as refused:
                return refusal(refused)
            except ClientDisconnect:
                return Unheard()

        return answer

    trouble_control = TroubleControl(hard, reset=partial(lifecycle.clear, kept=kept))
    controls = control.routes(journal) | clock.routes() | trouble_control.routes()
    routes = [
        *(
            Route(path, endpoint(handler, f"{method} {path}"), methods=[method])
            for (method, path), handler in ROUTES.items()
        ),
        *(Route(path, endpoint(handler), methods=[method]) for (method, path), handler in controls.items()),
        *(Route(path, endpoint(_not_imitated), methods=[method]) for method, path in UNIMITATED),
        Route("/_localfly/{rest:path}", endpoint(_not_imitated), methods=EVERY_METHOD),
        Mount("/", _not_found),
    ]
    app = Router(routes, redirect_slashes=False)
    return Gate(app, world=world, tokens=known, journal=journal, allow_any_host=allow_any_host)


async def _not_imitated(call: Call) -> Response:
    raise NotImitated(f"{call.request.method} {call.request.url.path}")


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("404 page not found", 404)(scope, receive, send)
