"""`reconciler secret encrypt`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from reconciler import age, terminal
from reconciler.config import ConfigError
from reconciler.core.kinds import SecretName
from reconciler.core.secret import fault_in
from reconciler.exit import Exit

DOCUMENT = """apiVersion: reconciler/v1alpha1
kind: Secret
metadata:
  name: {name}
spec:
  from:
    age: |
{ciphertext}"""

secret = typer.Typer(help="Secrets in documents.", no_args_is_help=True)


@secret.callback()
def _secret() -> None:
    """Secrets in documents."""


@secret.command()
def encrypt(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The variable's name in the user's machine.")],
    recipient: Annotated[
        list[str] | None,
        typer.Option(metavar="age1…", help="Who can open it; repeatable.", show_default=False),
    ] = None,
    recipients_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who can open it, one a line.", show_default=False),
    ] = None,
) -> int:
    """Print a Secret document, ready to be committed, with the value from stdin or typed unseen."""
    _check(name)
    recipients = [*(recipient or ()), *(_recipients(recipients_file) if recipients_file else ())]
    if not recipients:
        raise ConfigError(
            "secret encrypt needs --recipient age1… or --recipients-file; make a pair, once, with: age-keygen"
        )
    try:
        ciphertext = age.encrypt(_value(), recipients)
    except age.AgeError as error:
        raise ConfigError(f"secret encrypt: {error}") from None
    indented = "".join(f"      {line}\n" for line in ciphertext.splitlines())
    terminal.say(DOCUMENT.format(name=name, ciphertext=indented).rstrip("\n"))
    return Exit.OK


def _check(name: str) -> None:
    """A name that is none is not repeated: it may be NAME=VALUE."""
    try:
        TypeAdapter(SecretName).validate_python(name)
    except ValidationError:
        raise ConfigError(
            "secret encrypt: NAME is not usable; it takes the name of a variable, not RECONCILER_* or "
            "PRESHARED_KEY*, and reads the value from stdin"
        ) from None


def _recipients(file: Path) -> list[str]:
    try:
        return age.recipients_in(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"--recipients-file {file}: {why}; give a file with one age1… a line") from None


def _value() -> str:
    if sys.stdin.isatty():
        value: str = typer.prompt("Value", hide_input=True, err=True)
    else:
        try:
            value = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError:  # whose text would show the bytes
            raise ConfigError("secret encrypt: the value is not UTF-8 text") from None
    fault = fault_in(value)
    if fault:
        raise ConfigError(f"secret encrypt: the value {fault}; give it on stdin")
    return value
