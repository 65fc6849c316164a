"""The `reconciler` command: flags and environment in, texts and an exit code out.

Exit codes, the first that holds: 1 error (usage too), 4 could not read everything, 3 blocked by a
guardrail, 2 changes (only `plan --detailed-exitcode`), 0. Leaves the work to the verbs, texts to `report`.
"""

import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer
import uvloop
from rich.console import Console
from rich.text import Text

from reconciler import logs, report
from reconciler.config import ConfigError, Environment, listen_overrides, take_environment
from reconciler.core.problem import printable
from reconciler.core.spec import ENV_PREFIX, Specs
from reconciler.flags import Format, FormatOption, SecretEnvPrefix, SpecsArgument, Workers, Yes, takes_options
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from reconciler.intent import Intent, NotUsable
from reconciler.observe import observe_fleet
from reconciler.rollout import rollout
from reconciler.run import describe, run
from reconciler.session import Options, Session, begin, read_source
from reconciler.survey import Survey, survey
from router.server import ListenError

log = structlog.get_logger()


class Exit(IntEnum):
    """What an exit code says."""

    OK = 0
    ERROR = 1
    CHANGES = 2
    BLOCKED = 3
    PARTIAL = 4


@dataclass(frozen=True, slots=True)
class Given:
    """What the process was given besides the flags of its command."""

    environment: Environment
    debug: bool


app = typer.Typer(
    name="reconciler",
    help="One isolated Fly app per end user, as YAML says. With --debug errors show where they come from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """The program."""
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
        return _error(f"{message} (see reconciler --help)") if message else Exit.ERROR
    except BaseException as error:  # noqa: BLE001 (the last resort: no traceback reaches a user)
        return _error(_explained(error))
    return Exit.OK if code is None else int(code)


@app.command()
def validate(specs: SpecsArgument, secret_env_prefix: SecretEnvPrefix = ENV_PREFIX) -> int:
    """Check the documents; asks nothing of Fly."""
    _, found = read_source(specs, secret_env_prefix=secret_env_prefix)
    _tell_problems(found)
    if found.problems:
        return Exit.ERROR
    _say(f"{len(found.users)} user apps, {len(found.machines)} machine templates: no problems")
    return Exit.OK


@app.command()
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
    session = _session(context, options)
    found = asyncio.run(_survey(session, workers))
    if form is Format.JSON:
        _say(json.dumps(found.plan.to_json(), indent=2))
    else:
        _show(report.plan_lines(found))
    code = _verdict(found)
    return Exit.CHANGES if code is Exit.OK and detailed_exitcode and found.plan.action_count else code


@app.command()
@takes_options
def status(
    context: typer.Context,
    options: Options,
    *,
    form: FormatOption = Format.TEXT,
    workers: Workers = 8,
) -> int:
    """Show how every user app is; changes nothing."""
    session = _session(context, options)
    found = asyncio.run(_survey(session, workers))
    if form is Format.JSON:
        _say(json.dumps(report.status_json(found), indent=2))
    else:
        _show(report.status_lines(found))
    return Exit.OK if found.is_whole else Exit.PARTIAL


@app.command()
@takes_options
def apply(
    context: typer.Context,
    options: Options,
    *,
    yes: Yes = False,
    workers: Workers = 8,
) -> int:
    """Make Fly as the documents say, once; asks first."""
    session = _session(context, options)
    session.require_root_key()
    if not yes and not _on_terminal():
        raise ConfigError(
            "apply needs --yes when nobody can be asked; see first what `reconciler plan` shows"
        )
    logs.configure(logs.Form.READABLE, debug=context.obj.debug)
    return asyncio.run(_apply(session, workers, yes=yes))


@app.command("run")
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
    session = _session(context, options, are_problems_told=False)  # its log does
    session.require_root_key()
    logs.configure(logs.Form.AUTO, debug=context.obj.debug)

    async def work() -> None:
        async with session.fly() as fly:
            if not yes and _on_terminal():
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


def _session(context: typer.Context, options: Options, *, are_problems_told: bool = True) -> Session:
    given: Given = context.obj
    source, specs = read_source(options.specs, secret_env_prefix=options.secret_env_prefix)
    if are_problems_told or specs.fleet is None:
        _tell_problems(specs)
    return begin(options, given.environment, source=source, specs=specs)


async def _survey(session: Session, workers: int) -> Survey:
    async with session.fly() as fly:
        return await survey(fly, session.intent, workers=workers)


async def _apply(session: Session, workers: int, *, yes: bool) -> Exit:
    intent = session.intent
    async with session.fly() as fly:
        found = await survey(fly, intent, workers=workers)
        _show(report.plan_lines(found))
        if not found.plan.action_count:
            return _verdict(found)
        if not yes:
            typer.confirm("Apply?", abort=True)
        failures = await rollout(fly, intent, found, describe=describe(intent), workers=workers)
        for failure in failures:
            _error(f"{failure.name}: {failure.message}")
        after = await survey(fly, intent, workers=workers)
        _show(report.plan_lines(after))
        return Exit.ERROR if failures else _verdict(after)


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


def _verdict(found: Survey) -> Exit:
    if not found.is_whole:
        return Exit.PARTIAL
    return Exit.BLOCKED if found.plan.hold_count else Exit.OK


def _explained(error: BaseException) -> str:
    cause = error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    match cause:
        case ConfigError() | NotUsable() | FlyError() | ListenError():
            return str(cause)
        case typer.Abort() | KeyboardInterrupt():
            return "stopped; nothing that was begun needs to be undone"
        case asyncio.CancelledError():
            return "ended before everything under way was finished; the next run goes on with it"
    if isinstance(cause, SystemExit):  # typer's, when nobody reads what we print
        raise cause
    log.critical("command.crashed", exc_info=error)
    return (
        f"this is a fault of the program itself: {type(cause).__name__} (log event command.crashed); "
        "run it again with --debug to see where"
    )


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _tell_problems(specs: Specs) -> None:
    for problem in specs.problems:
        print(problem, file=sys.stderr)


def _error(message: str) -> Exit:
    print(f"reconciler: {printable(message)}", file=sys.stderr)
    return Exit.ERROR


def _show(lines: Iterable[Text]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    with _telling():
        for line in lines:
            console.print(line)


def _say(text: str) -> None:
    with _telling():
        sys.stdout.write(f"{text}\n")


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has enough: typer ends the program without a word
        raise
    except OSError as error:
        raise ConfigError(f"the result cannot be written to stdout: {error.strerror}") from None
