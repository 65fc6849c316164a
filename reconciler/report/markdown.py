"""A plan as a comment on a pull request: what GitHub shows, within what GitHub takes.

Summary, lost volumes and holds come first and stand whatever follows. Groups collapse. What there is no room
for is counted, never cut. Texts of documents stand as code: no mark-up, no link and no mention comes of them.
"""

from collections.abc import Iterable, Sequence

from reconciler.core import grouping
from reconciler.core.grouping import Group, Told
from reconciler.core.plan import AppPlan
from reconciler.report.escape import code, html
from reconciler.report.wording import (
    action_lines,
    count,
    doing_text,
    gaps,
    losses,
    names,
    remarks,
    shortened,
    summary,
    weight,
)
from reconciler.survey import Survey

LIMIT = 65_536  # characters of a comment on GitHub
ROOM = 64_000  # of it for us: whoever posts it may add a line
SHARE = {"loss": 0.5, "hold": 0.25, "gap": 0.1}  # of the room, at most, for what comes before the groups
EXAMPLES = 3

_NO_ROOM = ", for which there is no room here"
_TAIL = 160  # room for saying what there was no room for


def plan_markdown(found: Survey, *, room: int = ROOM) -> str:
    """The comment, of at most `room` characters."""
    plan = found.plan
    page = _Page(room)
    page.add(f"### Plan: {summary(plan)}\n")
    if said := weight(plan):
        page.add(f"\n**{said}**\n")
    page.fill((f"- ⛔ {code(line)}\n" for line in losses(plan)), SHARE["loss"], "lost volume", before="\n")
    held = grouping.holds(plan.apps)
    page.fill((_hold(told) for told in held), SHARE["hold"], "reason to hold", before="\n**Held**\n\n")
    page.fill((f"- ⚠️ {code(line)}\n" for line in gaps(found)), SHARE["gap"], "thing not read", before="\n")
    page.fill((f"- {code(line)}\n" for line in remarks(found)), SHARE["gap"], "remark", before="\n")
    by_name = {app.name: app for app in plan.apps}
    page.groups(grouping.group(plan.apps), by_name)
    by_hand = grouping.by_hand(plan.apps)
    lines = (f"- {code(f'{shortened(told.reason)}  {names(told.users)}')}\n" for told in by_hand)
    page.fill(lines, 1, "change", before="\n**Changed by hand**\n\n")
    waiting = grouping.waiting(plan.apps)
    lines = (f"- {code(f'{told.reason}  {names(told.users)}')}\n" for told in waiting)
    page.fill(lines, 1, "thing waited for", before="\n**Waiting for Fly**\n\n")
    page.fill(
        (_hold(told) for told in grouping.notes(plan.apps)), 1, "kind of note", before="\n**Notes**\n\n"
    )
    return page.text


class _Page:
    """Text that never grows beyond its room; each part leaves enough for saying what it left out."""

    def __init__(self, room: int) -> None:
        self.text = ""
        self._room = room

    def add(self, text: str) -> bool:
        """Whether there was room for it."""
        fits = len(self.text) + len(text) <= self._room
        if fits:
            self.text += text
        return fits

    def fill(self, parts: Iterable[str], share: float, what: str, *, before: str) -> None:
        """The parts one after another; those beyond their share of the room are counted."""
        every = list(parts)
        if not every:
            return
        until = min(len(self.text) + int(self._room * share), self._room) - _TAIL
        left_out = 0
        for index, part in enumerate(every):
            text = part if index else before + part
            if left_out or len(self.text) + len(text) > until:
                left_out += 1
            else:
                self.text += text
        if left_out:
            self.add(f"- and {count(left_out, what)} more{_NO_ROOM}\n")

    def groups(self, groups: Sequence[Group], apps: dict[str, AppPlan]) -> None:
        """First a line for each group, then, with the room that is left, what is inside."""
        if not groups:
            return
        bare = [_details(one, "") for one in groups]
        room = self._room - len(self.text) - 2 * _TAIL
        kept = 0
        while kept < len(bare) and room >= len(bare[kept]):
            room -= len(bare[kept])
            kept += 1
        self.text += "\n"
        for index, one in enumerate(groups[:kept]):
            share = room // (kept - index)  # what an earlier group did not need is a later one's
            inside = _inside(one, apps, share)
            room -= len(inside)
            self.text += _details(one, inside)
        if rest := groups[kept:]:
            users = len({user for one in rest for user in one.users})
            actions = sum(doing.times for one in rest for doing in one.doings)
            self.add(
                f"\nand {count(len(rest), 'group')} more "
                f"({count(users, 'user')}, {count(actions, 'action')}){_NO_ROOM}\n"
            )


def _details(one: Group, inside: str) -> str:
    first, *others = (doing_text(doing, one) for doing in one.doings)
    more = f" and {count(len(others), 'more step')}" if others else ""
    title = f"{len(one.users):,}× <code>{html(first)}</code>{more}: {html(names(one.users))}"
    return f"<details><summary>{title}</summary>\n{inside}</details>\n"


def _inside(one: Group, apps: dict[str, AppPlan], room: int) -> str:
    """HTML without a blank line in it, so that nothing there is taken for Markdown."""
    steps = _list(f"<code>{html(doing_text(doing, one))}</code>" for doing in one.doings)
    text = steps if len(one.doings) > 1 and len(steps) <= room else ""
    in_full = _in_full(one, apps[one.users[0]])
    if len(in_full) <= (room - len(text)) / 2:  # the other half is for the names
        text += in_full
    return text + (_everybody(one.users, room - len(text)) if len(one.users) > 1 else "")


def _in_full(one: Group, app: AppPlan) -> str:
    steps = {doing.step for doing in one.doings}
    lines = [
        line for action in app.actions if grouping.step_of(action) in steps for line in action_lines(action)
    ]
    return _list(
        [f"in full, of {html(app.name)}:", *(f"<code>{html(line.strip())}</code>" for line in lines)]
    )


def _everybody(users: Sequence[str], room: int) -> str:
    """As many names as there is room for, and how many there was none for."""
    shown, left = 0, room - len(_list([_NO_ROOM])) - len("and 1,000,000 more")
    for user in users:
        left -= len(html(user)) + len(", ")
        if left < 0:
            break
        shown += 1
    if not shown:
        return ""
    rest = len(users) - shown
    told = html(", ".join(users[:shown]))
    return _list([f"{told} and {rest:,} more{_NO_ROOM}" if rest else told])


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>\n"


def _hold(told: Told) -> str:
    messages = list(dict.fromkeys(message for _, message in told.lines))
    head = f"- {count(len(told.users), 'user')}: {code(f'{told.reason}  {names(told.users)}')}"
    if len(messages) == 1:
        return f"{head}: {code(messages[0])}\n"
    examples = "".join(f"  - {code(f'{name}: {message}')}\n" for name, message in told.lines[:EXAMPLES])
    rest = len(told.lines) - EXAMPLES
    return f"{head}\n{examples}" + (f"  - and {rest:,} more of the kind\n" if rest > 0 else "")
