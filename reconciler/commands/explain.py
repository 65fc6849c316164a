"""`reconciler explain`."""

import json
from typing import Annotated

import typer

from reconciler import terminal
from reconciler.exit import Exit
from reconciler.flags import Format, FormatOption
from reconciler.writing.explain import explained, lines, to_json
from reconciler.writing.field import NoSuchFieldError
from reconciler.writing.schema import schema


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="FIELD|CODE", help="A field such as UserApp.spec.machines, or the code of a finding."
        ),
    ],
    form: FormatOption = Format.TEXT,
) -> int:
    """Say what a field of the spec language, or a finding of `validate`, means."""
    try:
        found = explained(subject, schema())
    except NoSuchFieldError as error:
        return terminal.error(str(error))
    if form is Format.JSON:
        terminal.say(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        terminal.show(lines(found))
    return Exit.OK
