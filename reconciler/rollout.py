"""Every user app that differs, made as its document says, once: what `apply` does after somebody said yes.

Answers for one failing app not stopping the others. What to do is decided again for each, just before.
"""

from dataclasses import dataclass

from reconciler.apply import StepFailed
from reconciler.core.desired import DesiredApp
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from reconciler.intent import Intent
from reconciler.reconcile import converge
from reconciler.survey import Survey, each


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """One app that was not finished, and why in one line."""

    name: str
    message: str


async def rollout(
    fly: FlyClient, intent: Intent, found: Survey, *, describe: str, workers: int
) -> tuple[Failure, ...]:
    """Work on the apps that have actions in `found`; the failures, sorted by name."""
    failures: list[Failure] = []

    async def do(desired: DesiredApp) -> None:
        try:
            await converge(fly, desired, values=intent.values(desired), describe=describe)
        except (FlyError, StepFailed) as error:
            failures.append(Failure(desired.name, str(error)))

    await each([intent.apps[app.name] for app in found.plan.apps if app.actions], do, workers=workers)
    return tuple(sorted(failures))
