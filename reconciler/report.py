"""Plans and states as text for people, summary first; never wrapped, and coloured on a terminal alone.

Answers for wording and layout. JSON for programs is `core.fleet_plan`'s, and `status_json` here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.text import Text

from reconciler.core.action import Action, CreateVolume, SetSecrets, UpdateMachine
from reconciler.core.fleet import Member
from reconciler.core.fleet_plan import FleetPlan
from reconciler.core.plan import AppPlan
from reconciler.core.problem import printable
from reconciler.core.status import Condition, Status
from reconciler.survey import Survey

Json = Any

STATUS_VERSION = 1
NAMES_SHOWN = 8  # of apps whose changes are alike

SIGNS = {
    "create-app": ("+", "green"),
    "create-volume": ("+", "green"),
    "create-machine": ("+", "green"),
    "set-secrets": ("~", "yellow"),
    "update-machine": ("~", "yellow"),
    "start-machine": (">", "cyan"),
    "mark-machine": ("·", "dim"),
}

Line = tuple[str, str]  # text, style


def plan_lines(found: Survey) -> Iterator[Text]:
    """The plan: one summary line, what could not be read, then per app what would be done and why."""
    plan = found.plan
    yield Text(_summary(plan), "bold")
    yield from _gaps(found)
    groups: dict[tuple[Line, ...], list[AppPlan]] = {}
    for app in plan.apps:
        if lines := tuple(_app_lines(app)):
            groups.setdefault(lines, []).append(app)
    for lines, apps in groups.items():
        yield Text()
        yield Text(_names(apps), "bold")
        for text, style in lines:
            yield Text(f"  {printable(text)}", style)


def status_lines(found: Survey) -> Iterator[Text]:
    """The state: one summary line, then one line per user app, then what the conditions say."""
    members = found.members
    ready = sum(_condition(member, "Ready").status is Status.TRUE for member in members)
    serving = sum(member.serving for member in members)
    unclaimed = sum(member.unclaimed for member in members)
    apps = _count(len(members), "user app")
    tail = f", {unclaimed} unclaimed" if unclaimed else ""
    yield Text(f"{apps}: {ready} ready, {serving} serving{tail}", "bold")
    yield from _gaps(found)
    if not members:
        return
    yield Text()
    heading = ("NAME", "APP", "READY", "SERVING", "WHY", "HOSTS")
    rows: list[tuple[str, ...]] = [heading, *(_status_row(member) for member in members)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    styles = ["dim", *(_style(member) for member in members)]
    for row, style in zip(rows, styles, strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield Text("  ".join(cells).rstrip(), style)
    for member in members:
        for one in member.conditions:
            if one.status is Status.TRUE and one.type != "Ready" and one.message:
                yield Text(f"{member.name}: {one.type}: {printable(one.message)}", "yellow")


def status_json(found: Survey) -> dict[str, Json]:
    """The same for programs; a field may be added within a version."""
    return {
        "version": STATUS_VERSION,
        "silent_regions": list(found.silent_regions),
        "problems": found.plan.problems,
        "users": [
            {
                "name": member.name,
                "app": member.app_name,
                "hosts": list(member.hosts),
                "claim": member.claim.value,
                "unclaimed": member.unclaimed,
                "serving": member.serving,
                "why_not": member.why_not,
                "machines": dict(member.machines),
                "conditions": [
                    {
                        "type": one.type,
                        "status": one.status.value,
                        "reason": one.reason,
                        "message": one.message,
                    }
                    for one in member.conditions
                ],
            }
            for member in found.members
        ],
    }


def _summary(plan: FleetPlan) -> str:
    acting = sum(bool(app.actions) for app in plan.apps)
    held = sum(bool(app.holds) for app in plan.apps)
    waiting = sum(bool(app.waiting) for app in plan.apps)
    right = plan.in_sync + sum(app.converged for app in plan.apps)
    total = plan.in_sync + len(plan.apps) + len(plan.unread)
    kinds = Counter(action.kind for app in plan.apps for action in app.actions)
    what = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    parts = [f"{right} as documented", f"{acting} to change" + (f" ({what})" if what else "")]
    parts += [f"{number} {word}" for number, word in ((held, "held"), (waiting, "waiting for Fly")) if number]
    return f"{_count(total, 'user app')}: {', '.join(parts)}"


def _gaps(found: Survey) -> Iterator[Text]:
    plan = found.plan
    if plan.problems:
        yield Text(
            f"{_count(plan.problems, 'problem')} in the documents; what they concern stays as it is", "red"
        )
    if found.silent_regions:
        yield Text(f"no answer from {', '.join(found.silent_regions)}; machines there are not seen", "red")
    for app in plan.unread:
        yield Text(f"{app.name}: not read: {printable(app.message)}", "red")
    if plan.not_compared:
        apps = _count(plan.not_compared, "app")
        yield Text(f"secrets of {apps} not compared: their values or the root key are not known here", "dim")
    for name, why in found.missing_secrets:
        yield Text(f"secret {name} has no value here: {printable(why)}", "yellow")
    if plan.unclaimed:
        names = ", ".join(plan.unclaimed)
        yield Text(f"unclaimed, without a document that holds, left as they are: {names}", "yellow")


def _app_lines(app: AppPlan) -> Iterator[Line]:
    for action in app.actions:
        sign, style = SIGNS[action.kind]
        subject = _subject(action)
        yield f"{sign} {action.kind:<14}  {subject}{': ' if subject else ''}{action.because}", style
        if isinstance(action, UpdateMachine):
            yield from ((f"      {change}", style) for change in action.changes)
    for hold in app.holds:
        yield f"! held            {hold.reason}: {hold.message}", "red"
    for line in app.waiting:
        yield f"… waiting         {line}", "cyan"
    for note in app.notes:
        yield f"i note            {note.reason}: {note.message}", "dim"


def _subject(action: Action) -> str:
    match action:
        case SetSecrets():
            return ""  # the reason names them
        case CreateVolume():
            return f"{action.name}, {action.size_gb} GB"
        case _:
            return getattr(action, "slot", action.app_name)


def _names(apps: Sequence[AppPlan]) -> str:
    if len(apps) == 1:
        return f"{apps[0].name} ({apps[0].app_name})"
    shown = ", ".join(app.name for app in apps[:NAMES_SHOWN])
    more = f" and {len(apps) - NAMES_SHOWN} more" if len(apps) > NAMES_SHOWN else ""
    return f"{shown}{more} ({len(apps)} apps alike)"


def _status_row(member: Member) -> tuple[str, ...]:
    ready = _condition(member, "Ready")
    hosts = ",".join(member.hosts) or "-"
    return (
        member.name,
        member.app_name,
        ready.status.value,
        "yes" if member.serving else "no",
        member.why_not or ("-" if ready.status is Status.TRUE else ready.reason),
        hosts,
    )


def _style(member: Member) -> str:
    if _condition(member, "Stalled").status is Status.TRUE or not member.serving:
        return "red"
    return "" if _condition(member, "Ready").status is Status.TRUE else "yellow"


def _condition(member: Member, kind: str) -> Condition:
    found: Iterable[Condition] = (one for one in member.conditions if one.type == kind)
    return next(iter(found), Condition(kind, Status.UNKNOWN, "Unknown"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
