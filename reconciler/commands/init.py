"""`reconciler init`."""

import secrets
import shlex
import string
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from reconciler import terminal
from reconciler.commands.opening import Given
from reconciler.config import ConfigError
from reconciler.core.problem import one_of
from reconciler.core.scalar import Host, Name
from reconciler.exit import Exit
from reconciler.writing.first_fleet import first_fleet, next_steps

INSTALLATION_LENGTH = 8


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is new or empty.")],
    org: Annotated[
        str | None,
        typer.Option(
            metavar="SLUG", help="Fly organisation for the user apps; else FLY_ORG.", show_default=False
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Users get hosts below it: example.com.", show_default=False),
    ] = None,
) -> int:
    """Write a first fleet to start from; asks nothing of Fly."""
    there = _what_is_there(folder)
    if there:
        raise ConfigError(
            f"{folder} is not empty, and nothing in it is overwritten: {one_of(there)}; expected a new folder"
        )
    given: Given = context.obj
    org = org or given.environment.org
    missing = [flag for flag, value in (("--org", org), ("--domain", domain)) if not value]
    if missing and not terminal.on_terminal():
        raise ConfigError(f"init needs {' and '.join(missing)}; it asks only on a terminal")
    org = _checked("--org", org or typer.prompt("Fly organisation"), Name)
    domain = _checked("--domain", domain or typer.prompt("Domain of the users' hosts"), Host)
    written = first_fleet(org=org, domain=domain, installation=mint())
    try:
        for path, text in written.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from None
    terminal.say(f"wrote {', '.join(written)} in {folder}\n\nNext:")
    for step in next_steps(shlex.quote(str(folder)), org):
        terminal.say(f"  {step}")
    return Exit.OK


def mint() -> str:
    """An installation, at random: two fleets in one organisation never take each other's apps for theirs."""
    rest = (secrets.choice(string.ascii_lowercase + string.digits) for _ in range(INSTALLATION_LENGTH - 1))
    return secrets.choice(string.ascii_lowercase) + "".join(rest)


def _what_is_there(folder: Path) -> list[str]:
    """Hidden files, such as git's, do not count."""
    try:
        return sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{folder} cannot be used: {error.strerror}") from None


def _checked(flag: str, value: str, kind: Any) -> str:
    try:
        held: str = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{flag}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    return held
