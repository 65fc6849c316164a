"""Changes that are alike put together, so that a plan of a thousand users reads like one of a handful.

Answers for what counts as alike, and in which order groups stand. Volumes that would be lost never share a
group. Words and colours are `report`'s.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.core.action import Action, Class
from reconciler.core.change import Change, changes_of, template_of
from reconciler.core.plan import AppPlan

SEVEREST_FIRST = (
    Class.DATA_LOSS,
    Class.DELETE,
    Class.REPLACE,
    Class.RESTART,
    Class.CREATE,
    Class.IN_PLACE,
)
_ID_DIGITS = 12


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """An action without whose it is: two users whose steps are equal get the same thing done to them."""

    kind: str
    klass: Class
    subject: str  # "web" for each of web-0, web-1 …; a volume's id when it would be lost
    changes: tuple[Change, ...]

    @property
    def id(self) -> str:
        """The same in every plan that has this step."""
        told = [self.kind, self.klass, self.subject, [[*_told(change)] for change in self.changes]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class Doing:
    """A step of a group: how often it is done in all, and why, where all of them have one reason."""

    step: Step
    times: int
    because: str


@dataclass(frozen=True, slots=True)
class Group:
    """Users to whom the same steps happen; each step of a plan is in one group."""

    users: tuple[str, ...]  # document names, sorted
    doings: tuple[Doing, ...]  # in the order of their app's plan

    @property
    def klass(self) -> Class:
        """The severest of its steps."""
        return severest(doing.step.klass for doing in self.doings)

    @property
    def id(self) -> str:
        return self.doings[0].step.id


@dataclass(frozen=True, slots=True)
class Told:
    """Something that is said of several apps: a hold, a note or what is waited for."""

    reason: str
    lines: tuple[tuple[str, str], ...]  # (document name, message), sorted

    @property
    def users(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name, _ in self.lines))


def step_of(action: Action) -> Step:
    """What an action does, apart from whose app it is done to."""
    if action.klass is Class.DATA_LOSS:
        subject = getattr(action, "volume_id", "") or getattr(action, "machine_id", "") or action.app_name
        return Step(action.kind, action.klass, subject, changes_of(action))
    return Step(action.kind, action.klass, template_of(action), changes_of(action))


def group(apps: Iterable[AppPlan]) -> tuple[Group, ...]:
    """Every action of these apps, alike ones together: the severest first, then the most frequent."""
    found: dict[Step, list[tuple[str, Action]]] = {}
    for app in sorted(apps, key=lambda app: app.name):
        for action in app.actions:
            found.setdefault(step_of(action), []).append((app.name, action))
    by_users: dict[tuple[str, ...], list[Doing]] = {}
    for step, done in found.items():
        users = tuple(dict.fromkeys(name for name, _ in done))
        reasons = {action.because for _, action in done}
        doing = Doing(step, len(done), reasons.pop() if len(reasons) == 1 else "")
        by_users.setdefault(users, []).append(doing)
    groups = [one for users, doings in by_users.items() for one in _apart(Group(users, tuple(doings)))]
    return tuple(sorted(groups, key=_place))


def holds(apps: Iterable[AppPlan]) -> tuple[Told, ...]:
    """What is held, by reason: the most frequent first."""
    return _told_by((app.name, hold.reason, hold.message) for app in apps for hold in app.holds)


def notes(apps: Iterable[AppPlan]) -> tuple[Told, ...]:
    """What is worth knowing, by reason: the most frequent first."""
    return _told_by((app.name, note.reason, note.message) for app in apps for note in app.notes)


def by_hand(apps: Iterable[AppPlan]) -> tuple[Told, ...]:
    """What somebody changed past the documents, alike changes together; what a note says already apart."""
    return _told_by(
        (app.name, line, line)
        for app in apps
        for line in app.changed_by_hand
        if not any(note.reason == "Drifted" for note in app.notes)
    )


def waiting(apps: Iterable[AppPlan]) -> tuple[Told, ...]:
    """What is waited for, alike ones together: the most frequent first."""
    return _told_by((app.name, line, line) for app in apps for line in app.waiting)


def severest(classes: Iterable[Class]) -> Class:
    """Of several classes the one that a user would mind most."""
    return min(classes, key=SEVEREST_FIRST.index)


def _apart(whole: Group) -> Iterable[Group]:
    """A group, and besides it one for each volume that would be lost."""
    rest = tuple(doing for doing in whole.doings if doing.step.klass is not Class.DATA_LOSS)
    for doing in whole.doings:
        if doing.step.klass is Class.DATA_LOSS:
            yield replace(whole, doings=(doing,))
    if rest:
        yield replace(whole, doings=rest)


def _place(one: Group) -> tuple[int, int, tuple[str, ...], str]:
    return SEVEREST_FIRST.index(one.klass), -len(one.users), one.users[:1], one.id


def _told_by(said: Iterable[tuple[str, str, str]]) -> tuple[Told, ...]:
    by_reason: dict[str, set[tuple[str, str]]] = {}
    for name, reason, message in said:
        by_reason.setdefault(reason, set()).add((name, message))
    found: Mapping[str, Told] = {
        reason: Told(reason, tuple(sorted(lines))) for reason, lines in by_reason.items()
    }
    return tuple(sorted(found.values(), key=lambda told: (-len(told.users), told.reason)))


def _told(change: Change) -> tuple[str | None, ...]:
    return change.field, change.old, change.new, change.word
