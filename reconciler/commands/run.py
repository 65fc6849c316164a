"""`reconciler run`."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

import typer
import uvloop

from reconciler import logs, terminal
from reconciler.commands.documents import Documents, documents
from reconciler.commands.opening import open_session
from reconciler.config import listen_overrides
from reconciler.exit import Exit
from reconciler.flags import State, Workers, Yes, takes_options_or_git
from reconciler.fly.client import FlyClient
from reconciler.gate import Gate
from reconciler.intent import Intent
from reconciler.observe import observe_fleet
from reconciler.run import run
from reconciler.session import Options
from reconciler.state_folder import folder_for, working
from reconciler.witness import Witness


@takes_options_or_git
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
    state: State = None,
    workers: Workers = 8,
) -> int:
    """Make Fly as the documents say, for ever, and route visitors; asks before the very first app."""
    overrides = listen_overrides(listen or ())
    with documents(options, context.obj.environment, state) as found:
        session = open_session(
            context,
            options,
            are_problems_told=False,  # its log does
            found=(found.source, found.specs),
        )
        session.require_root_key()
        logs.configure(logs.Form.AUTO, debug=context.obj.debug)

        installation = session.intent.fleet.installation
        folder = folder_for(state, context.obj.environment.offered, installation)

        async def work() -> None:
            async with session.fly() as fly, _heard(found):
                with working(folder, installation, fly.now()) as ledger:
                    is_answered = yes or (
                        terminal.on_terminal() and await _asked_before_the_first(session.intent, fly)
                    )
                    await serve(fly, Gate(ledger, wall=fly.now, is_first_approved=is_answered))

        async def serve(fly: FlyClient, gate: Gate) -> None:
            await run(
                fly=fly,
                intent=session.intent,
                source=session.source,
                gate=gate,
                witness=Witness(partial(asyncio.to_thread, found.again)),
                root_key=session.root_key,
                listen=overrides,
                resync_s=resync,
                workers=workers,
            )

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())
    return Exit.OK


@contextlib.asynccontextmanager
async def _heard(found: Documents) -> AsyncIterator[None]:
    """SIGHUP makes it look now; at the end nothing that is being fetched is waited for."""
    if found.nudge is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, found.nudge)
    try:
        yield
    finally:
        found.end()


async def _asked_before_the_first(intent: Intent, fly: FlyClient) -> bool:
    """An installation without a single app may be the wrong organisation, or a mistyped installation.

    Without anybody to ask, the guard holds such a first apply until it is approved.
    """
    observed = await observe_fleet(fly, intent.fleet.org)
    prefix = f"{intent.fleet.installation}-"
    if intent.apps and not any(listed.network.startswith(prefix) for listed in observed.apps.values()):
        typer.confirm(
            f"Organisation {intent.fleet.org} has no app of installation {intent.fleet.installation} yet. "
            f"Create {len(intent.apps)}?",
            abort=True,
        )
        return True
    return False
