"""The state of a fleet: a table for people, coloured on a terminal alone, and its form for programs."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.text import Text

from reconciler.core.fleet import Member
from reconciler.core.problem import printable
from reconciler.core.status import Condition, Status
from reconciler.report.wording import count, gaps, remarks, safe
from reconciler.survey import Survey

Json = Any

STATUS_VERSION = 1


def status_lines(found: Survey) -> Iterator[Text]:
    """The state: one summary line, then one line per user app, then what the conditions say."""
    members = found.members
    ready = sum(_condition(member, "Ready").status is Status.TRUE for member in members)
    serving = sum(member.serving for member in members)
    unclaimed = sum(member.unclaimed for member in members)
    apps = count(len(members), "user app")
    tail = f", {unclaimed} unclaimed" if unclaimed else ""
    yield Text(f"{apps}: {ready} ready, {serving} serving{tail}", "bold")
    yield from (Text(safe(line), "red") for line in gaps(found))
    yield from (Text(safe(line), "yellow") for line in remarks(found))
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
