"""The words that every form of a plan shares: what is done, to whom, and what the whole comes to.

Answers for text that is short and still tells two values apart. Layout is `text`'s and `markdown`'s.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from reconciler.core import grouping
from reconciler.core.action import Action, Class, CreateVolume
from reconciler.core.change import ARROW, Change, changes_of, subject_of
from reconciler.core.cost import Cost, cost
from reconciler.core.fleet_plan import FleetPlan
from reconciler.core.grouping import Doing, Group
from reconciler.core.plan import AppPlan
from reconciler.core.problem import printable
from reconciler.fly.pace import FLY
from reconciler.survey import Survey

NAMES_SHOWN = 3
EVERYBODY = 1_000_000_000
DIGEST_SHOWN = 12  # characters of a digest, as container tools show them
LONGEST_PAIR = 60  # two values that are longer share their beginning

SIGNS = {
    Class.DATA_LOSS: "-",
    Class.DELETE: "-",
    Class.REPLACE: "±",
    Class.RESTART: "~",
    Class.CREATE: "+",
    Class.IN_PLACE: "~",
}

_DIGEST = re.compile(r"\b[0-9a-f]{32,64}(?:\b|…)")
_JOINTS = "@:/"


def count(number: int, what: str) -> str:
    """`1 user`, `2 users`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def names(users: Sequence[str], *, shown: int = NAMES_SHOWN) -> str:
    """All of a few names; of many the first ones, and how many more there are."""
    if len(users) <= shown + 1:
        return ", ".join(users)
    return f"{', '.join(users[:shown])} … and {len(users) - shown:,} more"


def summary(plan: FleetPlan) -> str:
    """How many user apps there are, are right, change (each counted by the severest change) and do not."""
    acting = Counter(
        grouping.severest(action.klass for action in app.actions) for app in plan.apps if app.actions
    )
    right = plan.in_sync + sum(app.converged for app in plan.apps)
    total = plan.in_sync + len(plan.apps) + len(plan.unread)
    what = ", ".join(f"{acting[klass]:,} {klass}" for klass in grouping.SEVEREST_FIRST if acting[klass])
    changing = f"{acting.total():,} to change ({what})" if acting else "nothing to change"
    others = (
        (sum(bool(app.holds) for app in plan.apps), "held"),
        (sum(bool(app.waiting) for app in plan.apps), "waiting for Fly"),
        (len(plan.unread), "not read"),
    )
    parts = [
        f"{right:,} as documented",
        changing,
        *(f"{number:,} {word}" for number, word in others if number),
    ]
    return f"{count(total, 'user app')}: {', '.join(parts)}"


def weight(plan: FleetPlan) -> str:
    """What carrying it out comes to; empty when nothing is to be done."""
    actions = [action for app in plan.apps for action in app.actions]
    lost = sum(loss.approved for app in plan.apps for loss in app.losses)
    parts = [
        _machines(actions, Class.RESTART, "restarted"),
        _machines(actions, Class.REPLACE, "made anew"),
        f"{count(lost, 'volume')} lost" if lost else "",
        _effort(plan),
    ]
    return "; ".join(part for part in parts if part)


def effort(plan: FleetPlan) -> Cost:
    """What it takes when Fly's limits are kept."""
    return cost(plan.apps, FLY.of)


def _effort(plan: FleetPlan) -> str:
    found = effort(plan)
    if not found.calls:
        return ""
    calls = f"about {count(found.calls, 'API call')}"
    if found.at_least_s < 1:
        return calls
    return f"{calls}, at least {_duration(found.at_least_s)} under Fly's limits"


def _duration(seconds: float) -> str:
    for unit, length_s in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:,.0f} {unit}"
    return f"{seconds:.0f} s"


def _machines(actions: Sequence[Action], klass: Class, what: str) -> str:
    found = {
        (action.app_name, subject_of(action))
        for action in actions
        if action.klass is klass and not isinstance(action, CreateVolume)  # it belongs to a machine told of
    }
    users = len({app for app, _ in found})
    return f"{count(len(found), 'machine')} of {count(users, 'user')} {what}" if found else ""


def losses(plan: FleetPlan) -> Iterator[str]:
    """One line for each volume that would be lost, approved or not."""
    for app in plan.apps:
        for loss in app.losses:
            volume = f"volume {loss.volume_id} ({loss.name}, {loss.size_gb} GB in {loss.region})"
            approved = "approved" if loss.approved else "not approved, so it stays"
            yield f"DATA LOSS  {of_app(app)}: {volume}: {loss.because}; {approved}"


def gaps(found: Survey) -> Iterator[str]:
    """What the plan does not rest on: what could not be read."""
    plan = found.plan
    if plan.problems:
        yield f"{count(plan.problems, 'problem')} in the documents; what they concern stays as it is"
    if found.silent_regions:
        yield f"no answer from {', '.join(found.silent_regions)}; machines there are not seen"
    for app in plan.unread:
        yield f"{app.name}: not read: {app.message}"


def remarks(found: Survey, *, shown: int = 20) -> Iterator[str]:
    """What is left alone, and what could not be compared; `shown`: so many names, the rest is counted."""
    plan = found.plan
    for name, why in found.missing_secrets:
        yield f"secret {name} has no value here: {why}"
    if plan.unclaimed:
        unclaimed = names(plan.unclaimed, shown=shown)
        yield f"unclaimed, without a document that holds, left as they are by apply: {unclaimed}"
    if plan.not_compared:
        apps = count(plan.not_compared, "app")
        yield f"secrets of {apps} not compared: their values or the root key are not known here"


def doing_text(doing: Doing, group: Group) -> str:
    """`web: image …aa → …bb [restart]`: a step of a group on one line, values shortened."""
    step = doing.step
    what = step.subject if step.kind == "update-machine" else f"{step.kind} {step.subject}".rstrip()
    told = f"{what}: {_fields(step.kind, step.changes)}" if step.changes else what
    times = f", {doing.times:,} times" if doing.times != len(group.users) else ""
    why = f"  ({doing.because})" if doing.because and not step.changes else ""
    return f"{told} [{step.klass}{times}]{why}"


def action_lines(action: Action) -> Iterator[str]:
    """An action of one app in full: its reason, and one line a field."""
    subject = subject_of(action)
    changes = changes_of(action)
    yield f"{action.kind}{' ' if subject else ''}{subject} [{action.klass}]: {action.because}"
    for change in changes:
        yield f"    {_whole(change)}"


def of_app(app: AppPlan) -> str:
    return f"{app.name} ({app.app_name})"


def change_text(change: Change) -> str:
    """`image …aa → …bb`: long digests are cut so that the difference shows."""
    if change.word:
        return f"{change.field} {change.word}"
    if change.old is None:
        return f"{change.field} {shortened(change.new or '')}"
    old, new = pair(change.old, change.new or "(none)")
    return f"{change.field} {old}{ARROW}{new}"


def shortened(text: str) -> str:
    """The text with long digests cut."""
    return _DIGEST.sub(lambda match: match[0][:DIGEST_SHOWN], text)


def pair(old: str, new: str) -> tuple[str, str]:
    """Two values, short enough for one line and still different."""
    first, second = shortened(old), shortened(new)
    if first == second and old != new:  # digests that begin alike
        start = max(0, _alike(old, new) - 2)
        return _tail(old, start, DIGEST_SHOWN), _tail(new, start, DIGEST_SHOWN)
    if len(first) + len(second) <= LONGEST_PAIR:
        return first, second
    common = first[: _alike(first, second)]
    start = max(common.rfind(joint) for joint in _JOINTS) + 1
    return _tail(first, start), _tail(second, start)


def _alike(first: str, second: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(second)))


def _tail(text: str, start: int, length: int | None = None) -> str:
    end = None if length is None else start + length
    return f"…{text[start:end]}" if start else text[start:end]


def _fields(kind: str, changes: Sequence[Change]) -> str:
    if kind != "set-secrets":
        return ", ".join(change_text(change) for change in changes)
    by_word: dict[str, list[str]] = {}
    for change in changes:
        by_word.setdefault(change.word, []).append(change.field.removeprefix("secrets."))
    return "; ".join(f"{', '.join(found)} {word}" for word, found in by_word.items())


def _whole(change: Change) -> str:
    if change.word:
        return f"{change.field}: {change.word}"
    old = "" if change.old is None else f"{change.old}{ARROW}"
    return f"{change.field}: {old}{'(none)' if change.new is None else change.new}"


def safe(text: str) -> str:
    """A line that cannot forge another one."""
    return printable(text)
