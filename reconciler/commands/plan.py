"""`reconciler plan`."""

import asyncio
import json
from typing import Annotated

import typer

from reconciler import report, terminal
from reconciler.commands.opening import look, open_session, verdict
from reconciler.exit import Exit
from reconciler.flags import Format, FormatOption, Workers, takes_options
from reconciler.session import Options


@takes_options
def plan(
    context: typer.Context,
    options: Options,
    *,
    form: FormatOption = Format.TEXT,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there are changes.")
    ] = False,
    workers: Workers = 8,
) -> int:
    """Show what it would take to make Fly as the documents say; changes nothing."""
    session = open_session(context, options)
    found = asyncio.run(look(session, workers))
    if form is Format.JSON:
        terminal.say(json.dumps(found.plan.to_json(), indent=2))
    else:
        terminal.show(report.plan_lines(found))
    code = verdict(found)
    return Exit.CHANGES if code is Exit.OK and detailed_exitcode and found.plan.action_count else code
