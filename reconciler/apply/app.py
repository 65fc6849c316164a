"""Makes an app, or finds that an earlier try of ours has made it."""

from http import HTTPStatus

from reconciler.apply.bench import Bench
from reconciler.core.action import CreateApp
from reconciler.fly.errors import Ambiguous, FlyError, Forbidden, NameTaken, NotFound, Refused
from reconciler.fly.models import App
from reconciler.fly.settle import visible


async def create(bench: Bench, action: CreateApp) -> None:
    """There is an app of that name on that network in that organisation, or `NameTaken` is raised."""
    refused: FlyError | None = None
    try:
        await bench.fly.create_app(name=action.app_name, org=action.org, network=action.network)
    except (NameTaken, Ambiguous, Refused) as error:
        if isinstance(error, Refused) and error.status != HTTPStatus.CONFLICT:
            raise
        refused = error  # perhaps by our own app, of a try whose answer was lost
    bench.is_new_app = True
    try:
        app = await visible(lambda: bench.fly.get_app(action.app_name))
    except Forbidden as error:
        raise _taken(action, "another organisation has it") from error
    except NotFound as error:
        raise refused or error from error
    _check_is_ours(action, app)


def _check_is_ours(action: CreateApp, app: App) -> None:
    if app.organization.slug != action.org:
        raise _taken(action, f"organisation {app.organization.slug} has it")
    if app.network != action.network:
        raise _taken(action, f"it exists on network {app.network or 'default'}, not on {action.network}")


def _taken(action: CreateApp, why: str) -> NameTaken:
    return NameTaken(f"create app {action.app_name}", f"the name is taken: {why}")
