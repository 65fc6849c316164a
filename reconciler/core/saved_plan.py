"""A plan that is kept to be carried out later: what it was made for, and of each action a keyed digest.

Answers for noticing what moved since, action by action, and for telling nothing that the plan's own text does
not tell: contents are digests under a key from the root key and a salt of the file's own, so that whoever has
the file cannot try out what an environment might hold. The file itself is `plan_file`'s.
"""

import hashlib
import hmac
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from reconciler.core.action import Action, MarkMachine, SetSecrets
from reconciler.core.change import subject_of
from reconciler.core.desired import DesiredApp
from reconciler.core.plan import AppPlan
from reconciler.core.withhold import without

Json = Any

VERSION = 1
_UNSAID = frozenset({"because", "after"})  # words, and an order that is decided again each time


@dataclass(frozen=True, slots=True)
class SavedAction:
    """One action of the plan as it was shown, and the digest of what it would send."""

    key: str
    kind: str
    klass: str
    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class SavedApp:
    """One user app: what its documents wanted, as a digest, and the actions in their order."""

    name: str
    app_name: str
    wanted: str
    actions: tuple[SavedAction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """What `plan --out` writes."""

    source: str  # where the documents were, as it was typed
    org: str
    installation: str
    salt: str
    apps: tuple[SavedApp, ...]  # those with actions, by name


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """One saved action that is not done, and why in one line."""

    name: str
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What is left of a new plan when only what was saved, and did not move, may be done."""

    plan: AppPlan
    refused: tuple[Refusal, ...] = ()
    already: tuple[str, ...] = ()  # keys of saved actions that nobody needs any more


class Digests:
    """Digests under a plan's own key."""

    def __init__(self, plan_key: bytes, salt: str) -> None:
        self._key = hmac.new(plan_key, salt.encode(), hashlib.sha256).digest()

    def of(self, value: Json) -> str:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def of_app(self, desired: DesiredApp | None) -> str:
        """Changes with anything that documents or secrets say of this app; None: there is no document."""
        return self.of(desired and _contents(desired))

    def of_action(self, action: Action, desired: DesiredApp | None) -> str:
        """Changes with what the action would send, to which machine or volume, in which version."""
        values = desired.secrets_digest if desired and isinstance(action, SetSecrets) else None
        return self.of([action.kind, _contents(action), values])


def saved_app(
    plan: AppPlan, desired: DesiredApp | None, digests: Digests, texts: Mapping[str, str]
) -> SavedApp:
    """One app of a plan to be kept; `texts`: by key, what was shown of each action."""
    return SavedApp(
        name=plan.name,
        app_name=plan.app_name,
        wanted=digests.of_app(desired),
        actions=tuple(
            SavedAction(
                action.key,
                action.kind,
                action.klass.value,
                texts[action.key],
                digests.of_action(action, desired),
            )
            for action in plan.actions
        ),
    )


def choose(saved: SavedApp, desired: DesiredApp | None, now: AppPlan, digests: Digests) -> Choice:
    """Of a plan from a new reading: the saved actions that are still the same, and why not the others.

    What stands on a refused action is refused with it, and so is what is done for it alone. New actions are
    left for a new plan.
    """
    present = {action.key: action for action in now.actions}
    is_edited = digests.of_app(desired) != saved.wanted
    refused: dict[str, str] = {}
    already: list[str] = []
    kept: set[str] = set()
    for one in saved.actions:
        action = present.get(one.key)
        blocked = _blocked(now, one.key)
        if action is not None and digests.of_action(action, desired) == one.digest:
            kept.add(one.key)
        elif is_edited:
            refused[one.key] = "its documents, or the values of its secrets, changed since"
        elif action is not None:
            refused[one.key] = "what it would change is not on Fly any more as it was"
        elif blocked:
            refused[one.key] = blocked
        else:
            already.append(one.key)
    left = without(now.actions, present.keys() - kept)
    gone = present.keys() - {action.key for action in left}
    for key in kept & gone:
        refused[key] = _needless(present[key], now, gone)
    return Choice(
        replace(now, actions=left),
        tuple(sorted(Refusal(saved.name, key, why) for key, why in refused.items())),
        tuple(already),
    )


def undone(saved: SavedApp, chosen: Iterable[Action], later: AppPlan, digests: Digests) -> tuple[str, ...]:
    """Of a plan made after `chosen` were to be done: the keys of those that are still exactly as they were.

    Secrets are not told apart: each launch sends them again.
    """
    keys = {action.key for action in chosen if not isinstance(action, SetSecrets)}
    before = {one.key: one.digest for one in saved.actions if one.key in keys}
    return tuple(
        action.key
        for action in later.actions
        if action.key in before and digests.of_action(action, None) == before[action.key]
    )


def follow_up(chosen: Iterable[Action], later: AppPlan) -> AppPlan:
    """Of a plan made after `chosen` were done, what belongs to them: marks that say that they hold."""
    slots = {subject_of(action) for action in chosen if hasattr(action, "slot")}
    marks = [one for one in later.actions if isinstance(one, MarkMachine) and one.slot in slots]
    known = {action.key for action in marks}
    return replace(later, actions=tuple(one for one in marks if known.issuperset(_within(one, later))))


def _within(action: Action, plan: AppPlan) -> set[str]:
    return {key for key in action.after if any(other.key == key for other in plan.actions)}


def _needless(action: Action, now: AppPlan, gone: Container[str]) -> str:
    """Why an action that did not move is not done: what it needs, or what needs it, is not."""
    for key in action.after:
        if key in gone:
            return f"it comes after {key}, which is not done"
    wanting = [other.key for other in now.actions if action.key in other.after and other.key in gone]
    return f"it is for {wanting[0]}, which is not done" if wanting else "what it is for is not done"


def _blocked(now: AppPlan, key: str) -> str:
    """Why an action is not planned any more, unless it is because nobody needs it."""
    of_key = ("", key.partition(":")[2])
    for hold in now.holds:
        if hold.what in of_key:
            return f"it is held now: {hold.reason}: {hold.message}"
    return f"Fly is at work on it: {now.waiting[0]}" if now.waiting else ""


def _contents(value: Json) -> dict[str, Json]:
    return {each.name: getattr(value, each.name) for each in fields(value) if each.name not in _UNSAID}


def _plain(value: Json) -> Json:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__dataclass_fields__"):
        return _contents(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")
