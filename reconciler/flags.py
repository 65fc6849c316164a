"""The flags that several commands share, each declared once.

Answers for what they are called and what `--help` says of them. What they mean is `session`'s.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from reconciler.config import ConfigError
from reconciler.core.spec import ENV_PREFIX
from reconciler.session import GitOptions, Options, PaceChoice


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


SpecsArgument = Annotated[Path, typer.Argument(metavar="SPECS", help="A folder of YAML, or one file.")]
SecretEnvPrefix = Annotated[
    str, typer.Option(metavar="PREFIX", help="Secrets may come from variables with this prefix.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="For people or for programs.")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="User apps that are worked on at a time.")]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="The record of budgets and approvals; else below $XDG_STATE_HOME or ~/.local/state.",
        show_default=False,
    ),
]
Approve = Annotated[
    list[str] | None,
    typer.Option("--approve", metavar="BATCH", help="Approve a batch that a plan named.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


SpecsOption = Annotated[Path, typer.Option("--specs", metavar="SPECS", help="A folder of YAML, or one file.")]


def takes_options(verb: Callable[..., int]) -> Callable[..., int]:
    """`verb(context, options, …)` as a command that takes the flags of `Options` besides its own."""
    return _taking(verb, inspect.signature(_options).parameters, _options)


def takes_options_after_names(verb: Callable[..., int]) -> Callable[..., int]:
    """The same for a command whose arguments are names: the specs are a flag, `specs` unless told."""
    flags = dict(inspect.signature(_options).parameters)
    flags["specs"] = inspect.Parameter(
        "specs", inspect.Parameter.KEYWORD_ONLY, annotation=SpecsOption, default=Path("specs")
    )
    return _taking(verb, flags, _options)


def takes_options_or_git(verb: Callable[..., int]) -> Callable[..., int]:
    """The same for a command whose documents may be in a git repository instead of a folder."""
    shared = dict(inspect.signature(_options).parameters)
    flags = {**shared, **inspect.signature(_from_git).parameters}
    del flags["others"]
    return _taking(verb, flags, _from_git)


def _taking(
    verb: Callable[..., int], shared: Mapping[str, inspect.Parameter], options_of: Callable[..., Options]
) -> Callable[..., int]:
    @functools.wraps(verb)
    def command(context: typer.Context, **given: Any) -> int:
        options = options_of(**{name: given.pop(name) for name in shared})
        return verb(context, options, **given)

    context, _, *own = inspect.signature(verb).parameters.values()
    parameters = sorted((context, *shared.values(), *own), key=lambda each: each.kind)
    vars(command)["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _options(
    specs: SpecsArgument,
    *,
    root_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Holds the root key; else RECONCILER_ROOT_KEY does.", show_default=False
        ),
    ] = None,
    secrets_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Secrets may come from files below it.", show_default=False),
    ] = None,
    age_identity_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Opens secrets of the kind age; else RECONCILER_AGE_IDENTITY does.",
            show_default=False,
        ),
    ] = None,
    secret_env_prefix: SecretEnvPrefix = ENV_PREFIX,
    pace: Annotated[
        PaceChoice, typer.Option(help="Keep to Fly's rate limits; off is for a Fly on a laptop.")
    ] = PaceChoice.FLY,
    max_rate: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="CALLS",
            help="So many calls to Fly a second at most, all users together, who take turns.",
            show_default=False,
        ),
    ] = None,
) -> Options:
    return Options(
        specs=specs,
        root_key_file=root_key_file,
        secrets_dir=secrets_dir,
        age_identity_file=age_identity_file,
        secret_env_prefix=secret_env_prefix,
        pace=pace,
        max_rate=max_rate,
    )


def _from_git(
    specs: Annotated[
        Path | None,
        typer.Argument(metavar="[SPECS]", help="A folder of YAML, or one file.", show_default=False),
    ] = None,
    *,
    git: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Instead of SPECS: a git repository.", show_default=False),
    ] = None,
    branch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of --git; main unless told.", show_default=False)
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="In the repository; specs unless told.", show_default=False),
    ] = None,
    poll: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="SECONDS", help="How often git is asked; 30 unless told.", show_default=False
        ),
    ] = None,
    **others: Any,
) -> Options:
    if git is None:
        for name, value in (("--branch", branch), ("--path", path), ("--poll", poll)):
            if value is not None:
                raise ConfigError(f"{name} goes with --git URL")
    if (specs is None) == (git is None):
        raise ConfigError("give SPECS, a folder of YAML or one file, or else --git URL; one of the two")
    options = _options(specs or Path(), **others)
    if git is None:
        return options
    found = GitOptions(url=git, branch=branch or "main", path=path or "specs", poll_s=poll or 30.0)
    return replace(options, git=found)
