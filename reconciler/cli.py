"""The `reconciler` command: its commands by name, and the last resort for whatever goes wrong in them.

Exit codes are `exit`'s; each command's flags and work are a file in `commands`.
"""

import asyncio
import gc
import io
import os
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import NoReturn

import structlog
import typer

from reconciler import logs, terminal
from reconciler.commands.adopt import adopt_apps
from reconciler.commands.apply import apply
from reconciler.commands.approve import approve
from reconciler.commands.explain import explain
from reconciler.commands.init import init
from reconciler.commands.opening import Given
from reconciler.commands.orphans import orphans
from reconciler.commands.plan import plan
from reconciler.commands.render import render
from reconciler.commands.run import run_for_ever
from reconciler.commands.schema import schema
from reconciler.commands.secret import secret
from reconciler.commands.status import status
from reconciler.commands.validate import validate
from reconciler.config import ConfigError, take_environment
from reconciler.exit import Exit
from reconciler.fly.errors import FlyError
from reconciler.intent import NotUsable
from reconciler.ledger import LedgerError
from router.server import ListenError

CTRL_C = 130  # what typer makes of it
OBJECTS_UNTIL_COLLECTION = 100_000  # a fleet is millions that stay: looking through them often costs a third
STOPPED = "stopped; nothing that was begun needs to be undone"

log = structlog.get_logger()

app = typer.Typer(
    name="reconciler",
    help="One isolated Fly app per end user, as YAML says. With --debug errors show where they come from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (validate, plan, apply, approve, status):
    app.command()(verb)
for writing in (init, schema, explain, render):
    app.command()(writing)
app.command("run")(run_for_ever)
app.command("adopt")(adopt_apps)
app.command()(orphans)
app.add_typer(secret, name="secret")


def main() -> NoReturn:
    """The program."""
    gc.set_threshold(OBJECTS_UNTIL_COLLECTION)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us: a socket must not get its number
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 (for as long as we live)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter is no reason to fail
    sys.exit(command(sys.argv[1:]))


def command(arguments: Sequence[str], *, environ: MutableMapping[str, str] = os.environ) -> int:
    """Run one command; tokens and root keys leave `environ` before anything else happens.

    Whatever goes wrong is one line on stderr, and a traceback only with --debug.
    """
    environment = take_environment(environ)
    given = [word for word in arguments if word != "--debug"]
    debug = len(given) != len(arguments)
    logs.configure(logs.Form.NONE, debug=debug)
    try:
        code = app(given, prog_name="reconciler", standalone_mode=False, obj=Given(environment, debug))
    except typer.TyperException as error:
        message = error.format_message()  # empty: the help was shown, since nothing was asked
        if "unexpected extra argument" in message:  # it repeats them, and one may be a secret
            message = "there are more arguments than this command takes"
        return terminal.error(f"{message} (see reconciler --help)") if message else Exit.ERROR
    except BaseException as error:  # noqa: BLE001 (the last resort: no traceback reaches a user)
        return terminal.error(_explained(error))
    if code == CTRL_C:
        return terminal.error(STOPPED)
    return Exit.OK if code is None else int(code)


def _explained(error: BaseException) -> str:
    cause = error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    match cause:
        case ConfigError() | NotUsable() | FlyError() | ListenError() | LedgerError():
            return str(cause)
        case typer.Abort() | KeyboardInterrupt():
            return STOPPED
        case asyncio.CancelledError():
            return "ended before everything under way was finished; the next run goes on with it"
    if isinstance(cause, SystemExit):  # typer's, when nobody reads what we print
        raise cause
    log.critical("command.crashed", exc_info=error)
    return (
        f"this is a fault of the program itself: {type(cause).__name__} (log event command.crashed); "
        "run it again with --debug to see where"
    )
