"""`reconciler status`."""

import asyncio
import json

import typer

from reconciler import terminal
from reconciler.commands.opening import look, open_session
from reconciler.exit import Exit
from reconciler.flags import Format, FormatOption, Workers, takes_options
from reconciler.report.status import status_json, status_lines
from reconciler.session import Options


@takes_options
def status(
    context: typer.Context,
    options: Options,
    *,
    form: FormatOption = Format.TEXT,
    workers: Workers = 8,
) -> int:
    """Show how every user app is; changes nothing."""
    session = open_session(context, options)
    found = asyncio.run(look(session, workers))
    if form is Format.JSON:
        terminal.say(json.dumps(status_json(found), indent=2))
    else:
        terminal.show(status_lines(found))
    return Exit.OK if found.is_whole else Exit.PARTIAL
