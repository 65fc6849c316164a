"""`reconciler orphans`."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.text import Text

from reconciler import terminal
from reconciler.commands.opening import open_session
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import ListedApp
from reconciler.core.orphan import KINDS, Orphan, orphan_apps, orphans_in
from reconciler.core.problem import printable
from reconciler.exit import Exit
from reconciler.flags import Format, FormatOption, Workers, takes_options
from reconciler.fly.errors import FlyError
from reconciler.reconcile import look
from reconciler.session import Options, Session
from reconciler.survey import each

VERSION = 1

Unread = list[tuple[str, str]]  # app name, why


@takes_options
def orphans(
    context: typer.Context,
    options: Options,
    *,
    form: FormatOption = Format.TEXT,
    apps_only: Annotated[
        bool, typer.Option("--apps-only", help="Do not look into the users' apps: two calls instead of many.")
    ] = False,
    workers: Workers = 8,
) -> int:
    """List what lies on Fly without an owner, and whether it may be taken away; changes nothing."""
    session = open_session(context, options)
    found, unread = asyncio.run(_find(session, workers, looks_inside=not apps_only))
    if form is Format.JSON:
        terminal.say(json.dumps(_json(found, unread), indent=2))
    else:
        terminal.show(_lines(found))
    for app, why in unread:
        terminal.error(f"app {app} could not be looked into: {why}")
    return Exit.PARTIAL if unread or session.intent.specs.problems else Exit.OK


async def _find(session: Session, workers: int, *, looks_inside: bool) -> tuple[list[Orphan], Unread]:
    intent = session.intent
    found: list[Orphan] = []
    unread: Unread = []
    async with session.fly() as fly:
        listed = [
            ListedApp(name=app.name, network=app.network) for app in await fly.list_apps(intent.fleet.org)
        ]
        there = frozenset(app.name for app in listed)
        wanted = [desired for desired in intent.apps.values() if desired.app_name in there]
        router = intent.router
        found += orphan_apps(
            intent.fleet,
            listed,
            documented=frozenset(desired.app_name for desired in intent.apps.values()),
            routers=frozenset(listener.app for listener in router.listeners) if router else frozenset(),
        )

        async def inside(desired: DesiredApp) -> None:
            try:
                seen = await look(fly, desired)
            except FlyError as error:
                unread.append((desired.app_name, str(error)))
            else:
                found.extend(orphans_in(desired, seen.observed))

        if looks_inside:
            await each(wanted, inside, workers=workers)
    return sorted(found), sorted(unread)


def _json(found: Sequence[Orphan], unread: Unread) -> dict[str, object]:
    """For programs; a field may be added within a version."""
    return {
        "version": VERSION,
        "orphans": [
            {
                "kind": orphan.kind,
                "app": orphan.app_name,
                "id": orphan.id,
                "name": orphan.name,
                "safe_to_remove": orphan.is_safe,
                "why": orphan.why,
            }
            for orphan in found
        ],
        "unread": [{"app": app, "why": why} for app, why in unread],
    }


def _lines(found: Sequence[Orphan]) -> Iterator[Text]:
    if not found:
        yield Text("nothing lies there without an owner", "green")
        return
    count = Counter(orphan.kind for orphan in found)
    what = ", ".join(
        f"{count[kind]} {kind}{'s' if count[kind] != 1 else ''}" for kind in KINDS if count[kind]
    )
    safe = sum(orphan.is_safe for orphan in found)
    yield Text(f"{what} without an owner; {safe} safe to remove", "bold")
    for orphan in found:
        yield Text()
        line = Text(f"{orphan.kind} {printable(orphan.id)}", "bold")
        if orphan.kind != "app":
            line.append(
                f" ({printable(orphan.name)}) in app {orphan.app_name}"
                if orphan.name != orphan.id
                else f" of app {orphan.app_name}",
                "dim",
            )
        yield line
        verdict = Text(
            "  safe to remove: " if orphan.is_safe else "  not safe to remove: ",
            "green" if orphan.is_safe else "yellow",
        )
        yield verdict.append(printable(orphan.why), "default")
