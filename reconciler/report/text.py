"""A plan as text that is read in ten seconds; never wrapped, and coloured on a terminal alone.

Summary first, then what hurts, then what changes, alike changes once. `expanded` tells of every user.
"""

from collections.abc import Iterable, Iterator
from enum import Enum, auto

from rich.text import Text

from reconciler.core import grouping
from reconciler.core.action import Class
from reconciler.core.grouping import Group, Told
from reconciler.core.plan import AppPlan
from reconciler.report.wording import (
    EVERYBODY,
    SIGNS,
    action_lines,
    doing_text,
    gaps,
    losses,
    names,
    of_app,
    remarks,
    safe,
    shortened,
    summary,
    weight,
)
from reconciler.survey import Survey

EXAMPLES = 3  # of messages that have one reason
ALL_NAMED = frozenset({Class.DATA_LOSS, Class.DELETE, Class.REPLACE})  # nobody is lost among "and 12 more"

STYLES = {
    Class.DATA_LOSS: "bold red",
    Class.DELETE: "red",
    Class.REPLACE: "magenta",
    Class.RESTART: "yellow",
    Class.CREATE: "green",
    Class.IN_PLACE: "cyan",
}


class Detail(Enum):
    """How much of a plan is shown."""

    SUMMARY = auto()
    GROUPED = auto()
    EXPANDED = auto()


def plan_lines(found: Survey, detail: Detail = Detail.GROUPED) -> Iterator[Text]:
    """The plan as coloured lines."""
    for text, style in _lines(found, detail):
        yield Text(safe(text), style)


_Lines = Iterator[tuple[str, str]]


def _lines(found: Survey, detail: Detail) -> _Lines:
    plan = found.plan
    yield summary(plan), "bold"
    if said := weight(plan):
        yield said, "bold yellow"
    yield from ((line, "bold red") for line in losses(plan))
    if detail is Detail.SUMMARY:
        return
    yield from ((line, "red") for line in gaps(found))
    if detail is Detail.EXPANDED:
        yield from _every_app(plan.apps)
    else:
        yield from _grouped(plan.apps)
    remarked = remarks(found, shown=EVERYBODY) if detail is Detail.EXPANDED else remarks(found)
    yield from _spaced((line, "dim") for line in remarked)


def _grouped(apps: tuple[AppPlan, ...]) -> _Lines:
    groups = grouping.group(apps)
    yield from _spaced(line for one in groups for line in _group(one))
    yield from _spaced(line for told in grouping.holds(apps) for line in _told("! held", told, "red"))
    by_hand = grouping.by_hand(apps)
    yield from _spaced(
        (f"i changed by hand: {shortened(one.reason)}  {names(one.users)}", "yellow") for one in by_hand
    )
    waiting = grouping.waiting(apps)
    yield from _spaced((f"… {told.reason}  {names(told.users)}", "cyan") for told in waiting)
    yield from _spaced(line for told in grouping.notes(apps) for line in _told("i note", told, "dim"))


def _group(one: Group) -> _Lines:
    everybody = names(one.users, shown=EVERYBODY) if one.klass in ALL_NAMED else names(one.users)
    if len(one.doings) == 1:
        (doing,) = one.doings
        style = STYLES[doing.step.klass]
        yield f"{len(one.users):,}× {SIGNS[doing.step.klass]} {doing_text(doing, one)}  {everybody}", style
        return
    yield f"{len(one.users):,}× {everybody}", "bold"
    for doing in one.doings:
        yield f"    {SIGNS[doing.step.klass]} {doing_text(doing, one)}", STYLES[doing.step.klass]


def _told(what: str, told: Told, style: str) -> _Lines:
    """One reason: its users, and what is said of the first of them."""
    messages = {message for _, message in told.lines}
    if len(messages) == 1:
        yield f"{what} {told.reason}  {names(told.users)}: {messages.pop()}", style
        return
    yield f"{what} {told.reason}  {names(told.users)}:", style
    for name, message in told.lines[:EXAMPLES]:
        yield f"    {name}: {message}", style
    if len(told.lines) > EXAMPLES:
        yield (
            f"    and {len(told.lines) - EXAMPLES:,} more of the kind; --expand shows each",
            style,
        )


def _every_app(apps: tuple[AppPlan, ...]) -> _Lines:
    for app in sorted(apps, key=lambda app: app.name):
        lines = tuple(_app(app))
        if lines:
            yield "", ""
            yield of_app(app), "bold"
            yield from lines


def _app(app: AppPlan) -> _Lines:
    for action in app.actions:
        first, *fields = action_lines(action)
        yield f"  {SIGNS[action.klass]} {first}", STYLES[action.klass]
        yield from ((f"  {field}", STYLES[action.klass]) for field in fields)
    yield from ((f"  ! held {hold.reason}: {hold.message}", "red") for hold in app.holds)
    yield from ((f"  i changed by hand: {line}", "yellow") for line in app.changed_by_hand)
    yield from ((f"  … waiting: {line}", "cyan") for line in app.waiting)
    yield from ((f"  i note {note.reason}: {note.message}", "dim") for note in app.notes)


def _spaced(lines: Iterable[tuple[str, str]]) -> _Lines:
    """The lines, after an empty one if there are any."""
    for index, line in enumerate(lines):
        if not index:
            yield "", ""
        yield line
