"""`reconciler render`."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from reconciler import terminal
from reconciler.core.desired import resolve
from reconciler.core.problem import did_you_mean
from reconciler.core.spec import ENV_PREFIX, Specs
from reconciler.exit import Exit
from reconciler.flags import Format, FormatOption, SecretEnvPrefix, SpecsArgument
from reconciler.session import read_source
from reconciler.writing.plain_yaml import to_yaml
from reconciler.writing.render import rendered

Json = Any


def render(
    specs: SpecsArgument,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="User apps; all when none is named.")
    ] = None,
    form: FormatOption = Format.TEXT,
    secret_env_prefix: SecretEnvPrefix = ENV_PREFIX,
) -> int:
    """Print user apps as they would be sent: references followed, defaults filled in; no secret's value.

    What a document says in the clear, such as env, is shown in the clear. Asks nothing of Fly.
    """
    with terminal.progress("reading") as progress:
        _, found = read_source(specs, secret_env_prefix=secret_env_prefix, progress=progress)
    terminal.tell_problems(found)
    unknown = [name for name in names or () if name not in found.users]
    for name in unknown:
        broken = "; its document, or one that it needs, does not hold" if name in found.broken else ""
        guess = broken or did_you_mean(name, found.users)
        terminal.error(f'there is no user app "{name}"{guess}')
    wanted = [name for name in sorted(set(names or found.users)) if name in found.users]
    terminal.say_all(_as_json(found, wanted) if form is Format.JSON else _as_yaml(found, wanted))
    is_whole = found.complete and not found.broken and found.fleet is not None
    return Exit.OK if is_whole and not unknown else Exit.ERROR


def _apps(specs: Specs, names: Iterable[str]) -> Iterator[dict[str, Json]]:
    for name in names:
        yield rendered(resolve(specs, name, secrets_digest=None, key_id=None))


def _as_yaml(specs: Specs, names: Iterable[str]) -> Iterator[str]:
    for app in _apps(specs, names):
        yield f"---\n{to_yaml(app)}"


def _as_json(specs: Specs, names: Iterable[str]) -> Iterator[str]:
    """A list, one app after the other: a million of them are never in memory at once."""
    before = "[\n"
    for app in _apps(specs, names):
        yield before + json.dumps(app, indent=2, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"
