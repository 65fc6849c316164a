"""`reconciler adopt`: existing apps as documents, and then as ours."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from reconciler import terminal
from reconciler.adopt import Adopted, adopt
from reconciler.commands.adopt_write import write
from reconciler.commands.opening import open_session
from reconciler.config import ConfigError
from reconciler.core.desired import DesiredApp
from reconciler.core.outcome import StepFailed
from reconciler.core.problem import did_you_mean, quote
from reconciler.exit import Exit
from reconciler.flags import takes_options_after_names
from reconciler.fly.errors import FlyError
from reconciler.run import describe
from reconciler.session import Options, Session


@takes_options_after_names
def adopt_apps(
    context: typer.Context,
    options: Options,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="User apps, by their documents' names; with --write, Fly apps (acme-*).",
            show_default=False,
        ),
    ] = None,
    *,
    write_to: Annotated[
        Path | None,
        typer.Option("--write", metavar="DIR", help="Only write documents for apps that exist on Fly."),
    ] = None,
    org: Annotated[
        str | None,
        typer.Option(
            metavar="SLUG", help="With --write: whose apps; else the Fleet in DIR says.", show_default=False
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every document whose app is not ours yet.")] = False,
) -> int:
    """Take over apps that exist: --write their documents, then adopt them by name. Nothing restarts."""
    if write_to is not None:
        return write(context, options, write_to, patterns=names or [], org=org)
    if org is not None:
        raise ConfigError("adopt: --org goes with --write; documents say which organisation they are for")
    if bool(names) == every:
        raise ConfigError("adopt needs names of user apps, or --all; to write documents first: --write DIR")
    session = open_session(context, options)
    return asyncio.run(_adopt(session, _wanted(session, names or []), is_all=every))


def _wanted(session: Session, names: list[str]) -> list[DesiredApp]:
    apps = session.intent.apps
    for name in names:
        if name not in apps:
            raise ConfigError(f"adopt: there is no user app {quote(name)}{did_you_mean(name, apps)}")
    return [apps[name] for name in dict.fromkeys(names)]


async def _adopt(session: Session, wanted: list[DesiredApp], *, is_all: bool) -> Exit:
    code = Exit.OK
    async with session.fly() as fly:
        if is_all:
            listed = {app.name: app.network for app in await fly.list_apps(session.intent.fleet.org)}
            wanted = [
                desired
                for desired in session.intent.apps.values()
                if listed.get(desired.app_name, desired.network) != desired.network
            ]
        if not wanted:
            terminal.say("every app that a document describes is ours already, or not on Fly yet")
        signed = describe(session.intent)
        for desired in wanted:
            try:
                done = await adopt(fly, desired, describe=signed)
            except (FlyError, StepFailed) as error:
                code = terminal.error(f"{desired.name}: {error}")
                continue
            for line in done.refused:
                code = terminal.error(f"{desired.name}: {line}")
            if not done.refused:
                terminal.say(f"{desired.name}: {_told(desired, done)}")
    return code


def _told(desired: DesiredApp, done: Adopted) -> str:
    machines = f"{done.marked} machine{'s' if done.marked != 1 else ''}"
    line = f"app {desired.app_name} is ours, with {machines}"
    plan = done.plan
    if plan is None or plan.converged:
        return f"{line}; nothing is left to do"
    left = [action.because for action in plan.actions] + [hold.message for hold in plan.holds]
    return f"{line}; plan shows what is left: {'; '.join([*left, *plan.waiting])}"
