"""`reconciler adopt --write`: documents for apps that exist on Fly."""

import asyncio
import fnmatch
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import typer
from pydantic import TypeAdapter, ValidationError

from reconciler import terminal
from reconciler.adopt import Existing, find_existing
from reconciler.commands.init import mint
from reconciler.commands.opening import Given
from reconciler.config import ConfigError
from reconciler.core.kinds import FleetSpec
from reconciler.core.problem import one_of
from reconciler.core.scalar import Name
from reconciler.core.spec import FleetDoc, Specs
from reconciler.exit import Exit
from reconciler.session import Options, Session, begin, read_source
from reconciler.writing.adopted import Written, adopted_files

ANY_REGION = "iad"  # of a fleet without machines; replaced by where the machines are


def write(
    context: typer.Context, options: Options, folder: Path, *, patterns: list[str], org: str | None
) -> Exit:
    """Write, for every app of the organisation that matches, what adopts it as it is; changes nothing on Fly.

    Files that exist are never overwritten. Raises ConfigError, NotUsable and FlyError.
    """
    given: Given = context.obj
    source, specs = read_source(folder, secret_env_prefix=options.secret_env_prefix)
    is_new = specs.fleet is None
    if is_new:
        _check_is_empty(folder)
        specs = Specs(fleet=FleetDoc("fleet", _new_fleet(org or given.environment.org, folder)))
    fleet = specs.fleet.spec if specs.fleet else None
    if fleet is None or org not in (None, fleet.org):
        raise ConfigError(
            f"adopt: the Fleet in {folder} is for organisation {fleet and fleet.org}, not {org}"
        )
    session = begin(options, given.environment, source=source, specs=specs)
    known = frozenset(app.app_name for app in session.intent.apps.values())
    listeners = (
        {listener.app for listener in session.intent.router.listeners} if session.intent.router else ()
    )

    def is_wanted(app: str) -> bool:
        matches = not patterns or any(fnmatch.fnmatchcase(app, pattern) for pattern in patterns)
        return matches and app not in known and app not in listeners

    existing = asyncio.run(_find(session, fleet, is_wanted))
    if is_new:
        fleet = _at_home(fleet, existing)
    written = adopted_files(
        existing.apps, fleet=fleet, is_new_fleet=is_new, taken=session.intent.specs.machines
    )
    _write(folder, written)
    return _tell(folder, written, existing)


async def _find(session: Session, fleet: FleetSpec, is_wanted: Callable[[str], bool]) -> Existing:
    async with session.fly() as fly:
        return await find_existing(fly, fleet, wanted=is_wanted)


def _check_is_empty(folder: Path) -> None:
    """Without a Fleet that holds, documents that are there belong to something we do not understand."""
    there = sorted(each.name for each in folder.glob("*") if not each.name.startswith("."))
    if there:
        raise ConfigError(
            f"adopt: {folder} has no Fleet document that holds, and is not empty: {one_of(there)}; "
            "mend its Fleet first (reconciler validate), or name a new folder"
        )


def _new_fleet(org: str | None, folder: Path) -> FleetSpec:
    if org is None:
        raise ConfigError(
            f"adopt: --org is needed, or FLY_ORG: {folder} has no Fleet document yet, "
            "and --write reads no other folder"
        )
    try:
        TypeAdapter(Name).validate_python(org)
    except ValidationError as error:
        raise ConfigError(f"--org: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    return FleetSpec(org=org, installation=mint(), app_name="{name}", regions=(ANY_REGION,))


def _at_home(fleet: FleetSpec, existing: Existing) -> FleetSpec:
    regions = Counter(machine.region for app in existing.apps for machine in app.machines)
    ordered = tuple(region for region, _ in sorted(regions.items(), key=lambda item: (-item[1], item[0])))
    return fleet.model_copy(update={"regions": ordered or fleet.regions})


def _write(folder: Path, written: Written) -> None:
    there = [path for path in written.files if (folder / path).exists()]
    if there:
        raise ConfigError(f"adopt: nothing is overwritten, and {folder} has {one_of(there)}; move them away")
    try:
        for path, text in written.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from None


def _tell(folder: Path, written: Written, existing: Existing) -> Exit:
    code = Exit.OK
    for app, why in (*existing.unread, *written.left_out):
        code = terminal.error(f"app {app} is left out: {why}")
    if not written.apps:
        terminal.say("no app was found that documents could be written for")
        return code
    for name, app in written.apps.items():
        terminal.say(f"{folder}/users/{name}.yaml: app {app}")
    terminal.say(
        "\nEnvironment variables stand in these documents as the machines have them: look for secrets before "
        f"you commit. Then:\n  reconciler validate {folder}\n"
        f"  reconciler adopt --specs {folder} --all  # marks the apps as ours; restarts nothing\n"
        f"  reconciler plan {folder}  # nothing to do"
    )
    return code
