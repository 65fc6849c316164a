"""`reconciler validate`."""

import json
from typing import Any

from reconciler import terminal
from reconciler.core.spec import ENV_PREFIX, Specs
from reconciler.exit import Exit
from reconciler.flags import Format, FormatOption, SecretEnvPrefix, SpecsArgument
from reconciler.session import read_source

Json = Any

VERSION = 1


def validate(
    specs: SpecsArgument, secret_env_prefix: SecretEnvPrefix = ENV_PREFIX, form: FormatOption = Format.TEXT
) -> int:
    """Check the documents; asks nothing of Fly. Warnings are told and break nothing."""
    with terminal.progress("reading") as progress:
        _, found = read_source(specs, secret_env_prefix=secret_env_prefix, progress=progress)
    if form is Format.JSON:
        terminal.say(json.dumps(_json(found), indent=2))
    else:
        terminal.tell_problems(found, warnings=True)
        if not found.problems:
            terminal.say(_summary(found))
    return Exit.ERROR if found.problems else Exit.OK


def _summary(found: Specs) -> str:
    held = f"{_counted(len(found.users), 'user app')}, {_counted(len(found.machines), 'machine template')}"
    tail = f", {_counted(len(found.warnings), 'warning')}" if found.warnings else ""
    return f"{held}: no problems{tail}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _json(found: Specs) -> Json:
    """A field may be added within a version."""
    return {
        "version": VERSION,
        "counts": {
            "users": len(found.users),
            "machines": len(found.machines),
            "services": len(found.services),
            "secrets": len(found.secrets),
            "errors": len(found.problems),
            "warnings": len(found.warnings),
        },
        "problems": [problem.to_json() for problem in found.findings],
    }
