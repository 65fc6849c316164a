"""Apps that exist already: read for documents to be written of them, and marked so that they become ours.

Answers for what is asked of Fly and in which order. What documents say is `core.transcript`'s, which marks
are written `core.adoption`'s; nothing is restarted.
"""

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.apply import apply
from reconciler.core import label
from reconciler.core.adoption import plan_adoption
from reconciler.core.desired import DesiredApp
from reconciler.core.kinds import FleetSpec
from reconciler.core.observed import Claim, ObservedApp
from reconciler.core.plan import AppPlan, plan_app
from reconciler.core.secret import SecretText
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError, Forbidden, NotFound
from reconciler.fly.models import App
from reconciler.observe import observe_app, observe_contents


@dataclass(frozen=True, slots=True)
class Existing:
    """The apps of an organisation that are nobody's yet, read whole, and those that could not be."""

    apps: tuple[ObservedApp, ...]  # sorted by name
    unread: tuple[tuple[str, str], ...]  # app name, why


@dataclass(frozen=True, slots=True)
class Adopted:
    """What came of one adoption: refused with reasons, or done and then planned."""

    refused: tuple[str, ...] = ()
    marked: int = 0  # machines; 0 with nothing refused: it was ours already
    plan: AppPlan | None = None  # what is left to do after it


async def find_existing(fly: FlyClient, fleet: FleetSpec, *, wanted: Callable[[str], bool]) -> Existing:
    """Every app of the organisation that `wanted` names and that no installation has.

    Raises FlyError when the organisation cannot be listed; one app that cannot be read is among the unread.
    """
    mine = f"{fleet.installation}-"
    apps: list[ObservedApp] = []
    unread: list[tuple[str, str]] = []
    for app in sorted(await fly.list_apps(fleet.org), key=lambda app: app.name):
        if not wanted(app.name) or app.network.startswith(mine):
            continue
        try:
            secret_names = await fly.list_secrets(app.name)
            if not label.owners(secret_names):
                apps.append(
                    await observe_contents(fly, app.name, claim=Claim.FOREIGN, secret_names=secret_names)
                )
        except FlyError as error:
            unread.append((app.name, str(error)))
    return Existing(tuple(apps), tuple(unread))


async def adopt(fly: FlyClient, desired: DesiredApp, *, describe: str) -> Adopted:
    """Make the app that `desired` describes ours, or say why not; harmless a second time.

    Raises FlyError and StepFailed; what was marked until then stays so, and the next try goes on.
    """
    app, why_not = await _app(fly, desired)
    if app is None:
        return Adopted(refused=(why_not,))
    secret_names = await fly.list_secrets(app.name)
    observed = await observe_contents(fly, app.name, claim=Claim.FOREIGN, secret_names=secret_names)
    adoption = plan_adoption(desired, observed)
    if adoption.refused:
        return Adopted(refused=adoption.refused)
    values = {desired.owner_label: SecretText(desired.name)}
    for actions in (adoption.marks, adoption.label):
        # Whatever the machines do, they did before they were ours.
        await apply(actions, fly=fly, values=values, describe=describe, is_judging=False)
    after = await observe_app(
        fly,
        org=desired.org,
        app_name=desired.app_name,
        network=desired.network,
        owner_label=desired.owner_label,
    )
    return Adopted(marked=len(adoption.slots), plan=plan_app(desired, after, now=fly.now()))


async def _app(fly: FlyClient, desired: DesiredApp) -> tuple[App | None, str]:
    try:
        app = await fly.get_app(desired.app_name)
    except NotFound:
        return None, f"there is no app {desired.app_name} on Fly; apply makes it from the document"
    except Forbidden:
        return None, f"app {desired.app_name} is another organisation's; it cannot be adopted"
    if app.organization.slug != desired.org:
        return None, f"app {desired.app_name} is organisation {app.organization.slug}'s, not {desired.org}'s"
    return app, ""
