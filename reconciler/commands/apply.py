"""`reconciler apply`."""

import asyncio

import typer

from reconciler import logs, terminal
from reconciler.commands.opening import open_session, verdict
from reconciler.config import ConfigError
from reconciler.exit import Exit
from reconciler.flags import Workers, Yes, takes_options
from reconciler.report.text import plan_lines
from reconciler.rollout import rollout
from reconciler.run import describe
from reconciler.session import Options, Session
from reconciler.survey import survey


@takes_options
def apply(
    context: typer.Context,
    options: Options,
    *,
    yes: Yes = False,
    workers: Workers = 8,
) -> int:
    """Make Fly as the documents say, once; asks first."""
    session = open_session(context, options)
    session.require_root_key()
    if not yes and not terminal.on_terminal():
        raise ConfigError(
            "apply needs --yes when nobody can be asked; see first what `reconciler plan` shows"
        )
    logs.configure(logs.Form.READABLE, debug=context.obj.debug)
    return asyncio.run(_apply(session, workers, yes=yes))


async def _apply(session: Session, workers: int, *, yes: bool) -> Exit:
    intent = session.intent
    async with session.fly() as fly:
        found = await survey(fly, intent, workers=workers)
        terminal.show(plan_lines(found))
        if not found.plan.action_count:
            return verdict(found)
        if not yes:
            typer.confirm("Apply?", abort=True)
        failures = await rollout(fly, intent, found, describe=describe(intent), workers=workers)
        for failure in failures:
            terminal.error(f"{failure.name}: {failure.message}")
        after = await survey(fly, intent, workers=workers)
        terminal.show(plan_lines(after))
        return Exit.ERROR if failures else verdict(after)
