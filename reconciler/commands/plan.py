"""`reconciler plan`."""

import asyncio
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reconciler import plan_file, terminal
from reconciler.commands.opening import look, open_session, verdict
from reconciler.config import ConfigError
from reconciler.exit import Exit
from reconciler.flags import State, Workers, takes_options
from reconciler.report.document import survey_json
from reconciler.report.markdown import plan_markdown
from reconciler.report.text import Detail, plan_lines
from reconciler.resumption import saved
from reconciler.revision import documents_at
from reconciler.session import Options, Session, read_source
from reconciler.state_folder import folder_for


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
    changed_since: Annotated[
        str | None,
        typer.Option(
            "--changed-since",
            metavar="REV",
            help="Only users whose documents say something else than at this commit.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Save it, for `apply FILE`.", show_default=False),
    ] = None,
    state: State = None,
    workers: Workers = 8,
) -> int:
    """Show what it would take to make Fly as the documents say; changes nothing."""
    if out is not None:
        plan_file.check_name(out)
    session = open_session(context, options)
    if out is not None and session.root_key is None:
        raise ConfigError(
            "--out seals the plan with the root key: set RECONCILER_ROOT_KEY or --root-key-file"
        )
    only = None if changed_since is None else _changed_since(session, options, changed_since)
    folder = folder_for(state, context.obj.environment.offered, session.intent.fleet.installation)
    found = asyncio.run(look(session, workers, only=only, folder=folder))
    if out is not None and session.root_key is not None:
        plan_file.write(out, saved(found, session.intent, session.root_key, options.specs), session.root_key)
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


def _changed_since(session: Session, options: Options, revision: str) -> frozenset[str]:
    """Users whom the documents treat differently than at a commit, whichever documents were edited."""
    with documents_at(options.specs, revision) as there:
        _, before = read_source(there, secret_env_prefix=options.secret_env_prefix)
        change = session.intent.changed_since(before)
    return change.moved | change.vanished
