"""`reconciler run`."""

import asyncio
from typing import Annotated

import typer
import uvloop

from reconciler import logs, terminal
from reconciler.commands.opening import open_session
from reconciler.config import listen_overrides
from reconciler.exit import Exit
from reconciler.flags import Workers, Yes, takes_options
from reconciler.fly.client import FlyClient
from reconciler.intent import Intent
from reconciler.observe import observe_fleet
from reconciler.run import run
from reconciler.session import Options


@takes_options
def run_for_ever(
    context: typer.Context,
    options: Options,
    *,
    yes: Yes = False,
    resync: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How often the whole fleet is looked at.")
    ] = 30,
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=HOST:PORT", help="Bind a Router listener elsewhere.", show_default=False),
    ] = None,
    workers: Workers = 8,
) -> int:
    """Make Fly as the documents say, for ever, and route visitors; asks before the very first app."""
    overrides = listen_overrides(listen or ())
    session = open_session(context, options, are_problems_told=False)  # its log does
    session.require_root_key()
    logs.configure(logs.Form.AUTO, debug=context.obj.debug)

    async def work() -> None:
        async with session.fly() as fly:
            if not yes and terminal.on_terminal():
                await _ask_before_the_first(session.intent, fly)
            await run(
                fly=fly,
                intent=session.intent,
                source=session.source,
                root_key=session.root_key,
                listen=overrides,
                resync_s=resync,
                workers=workers,
            )

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    return Exit.OK


async def _ask_before_the_first(intent: Intent, fly: FlyClient) -> None:
    """An installation without a single app may be the wrong organisation, or a mistyped installation."""
    observed = await observe_fleet(fly, intent.fleet.org)
    prefix = f"{intent.fleet.installation}-"
    if intent.apps and not any(listed.network.startswith(prefix) for listed in observed.apps.values()):
        typer.confirm(
            f"Organisation {intent.fleet.org} has no app of installation {intent.fleet.installation} yet. "
            f"Create {len(intent.apps)}?",
            abort=True,
        )
