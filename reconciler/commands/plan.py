"""`reconciler plan`."""

import asyncio
import json
from enum import StrEnum
from typing import Annotated

import typer

from reconciler import terminal
from reconciler.commands.opening import look, open_session, verdict
from reconciler.exit import Exit
from reconciler.flags import Workers, takes_options
from reconciler.report.document import survey_json
from reconciler.report.markdown import plan_markdown
from reconciler.report.text import Detail, plan_lines
from reconciler.session import Options


class Form(StrEnum):
    """What a plan is written as."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


@takes_options
def plan(
    context: typer.Context,
    options: Options,
    *,
    form: Annotated[
        Form, typer.Option("--format", help="For people, programs or a pull request.")
    ] = Form.TEXT,
    summary: Annotated[bool, typer.Option("--summary", help="A line or two.")] = False,
    expand: Annotated[bool, typer.Option("--expand", help="Tell of every user, in full.")] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there are changes.")
    ] = False,
    workers: Workers = 8,
) -> int:
    """Show what it would take to make Fly as the documents say; changes nothing."""
    session = open_session(context, options)
    found = asyncio.run(look(session, workers))
    match form:
        case Form.JSON:
            terminal.say(json.dumps(survey_json(found), indent=2))
        case Form.MARKDOWN:
            terminal.say(plan_markdown(found))
        case Form.TEXT:
            detail = Detail.SUMMARY if summary else Detail.EXPANDED if expand else Detail.GROUPED
            terminal.show(plan_lines(found, detail))
    code = verdict(found)
    return Exit.CHANGES if code is Exit.OK and detailed_exitcode and found.plan.action_count else code
