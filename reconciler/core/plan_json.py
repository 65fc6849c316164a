"""A plan as programs read it. Its schema is docs/plan.schema.json; the same plan gives the same text.

Answers for the form and its version: a field may be added within a version, a change of meaning makes a new
one. Secrets and environments are not in it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from reconciler.core import grouping
from reconciler.core.action import Action, Class, CreateMachine
from reconciler.core.change import Change, changes_of
from reconciler.core.fleet_plan import FleetPlan
from reconciler.core.grouping import Group, Step
from reconciler.core.hold import Hold, Note
from reconciler.core.plan import AppPlan

Json = Any

VERSION = 2

FIELDS: Mapping[str, tuple[str, ...]] = {  # of each kind of action, besides what all have
    "create-app": ("org", "network"),
    "set-secrets": ("names", "unset", "mint"),
    "create-volume": ("name", "regions", "size_gb"),
    "create-machine": ("slot", "name", "regions", "skip_launch"),
    "update-machine": ("slot", "machine_id"),
    "start-machine": ("slot", "machine_id"),
    "mark-machine": ("slot", "machine_id"),
    "extend-volume": ("volume_id", "name", "size_gb"),
    "withdraw-route": (),
    "snapshot-volume": ("volume_id", "name"),
    "destroy-machine": ("slot", "machine_id", "name"),
    "destroy-volume": ("volume_id", "name"),
    "delete-app": ("network",),
}


def to_json(plan: FleetPlan) -> dict[str, Json]:
    """Values that json.dumps takes. Apps with nothing to tell are counted and not listed."""
    apps = sorted(plan.apps, key=lambda app: app.name)
    groups = grouping.group(apps)
    of_step = {doing.step: one.id for one in groups for doing in one.doings}
    actions = [action for app in apps for action in app.actions]
    kinds = Counter(action.kind for action in actions)
    classes = Counter(action.klass for action in actions)
    return {
        "version": VERSION,
        "summary": {
            "apps": len(apps) + plan.in_sync + len(plan.unread),
            "in_sync": plan.in_sync + sum(app.converged for app in apps),
            "to_change": sum(bool(app.actions) for app in apps),
            "actions": len(actions),
            "actions_by_kind": dict(sorted(kinds.items())),
            "actions_by_class": {klass.value: classes[klass] for klass in Class if classes[klass]},
            "volumes_lost": sum(loss.approved for app in apps for loss in app.losses),
            "holds": plan.hold_count,
            "waiting": sum(bool(app.waiting) for app in apps),
            "unclaimed": len(plan.unclaimed),
            "unread": len(plan.unread),
            "problems": plan.problems,
            "secrets_not_compared": plan.not_compared,
        },
        "groups": [_group(one) for one in groups],
        "apps": [_app(app, of_step) for app in apps if not app.converged or app.notes or app.losses],
        "unclaimed": sorted(plan.unclaimed),
        "unread": [{"name": app.name, "message": app.message} for app in sorted(plan.unread)],
    }


def _group(one: Group) -> dict[str, Json]:
    return {
        "id": one.id,
        "class": one.klass.value,
        "users": list(one.users),
        "steps": [
            {
                "kind": doing.step.kind,
                "class": doing.step.klass.value,
                "subject": doing.step.subject,
                "times": doing.times,
                "changes": [_change(change) for change in doing.step.changes],
            }
            for doing in one.doings
        ],
    }


def _app(app: AppPlan, groups: Mapping[Step, str]) -> dict[str, Json]:
    return {
        "name": app.name,
        "app": app.app_name,
        "actions": [_action(action, groups[grouping.step_of(action)]) for action in app.actions],
        "holds": [_line(hold) for hold in app.holds],
        "notes": [_line(note) for note in app.notes],
        "waiting": list(app.waiting),
        "losses": [asdict(loss) for loss in app.losses],
        "changed_by_hand": list(app.changed_by_hand),
        "secrets_compared": app.secrets_compared,
    }


def _action(action: Action, group: str) -> dict[str, Json]:
    return {
        "key": action.key,
        "kind": action.kind,
        "class": action.klass.value,
        "after": list(action.after),
        "because": action.because,
        "group": group,
        "changes": [_change(change) for change in changes_of(action)],
        **{name: _plain(getattr(action, name)) for name in FIELDS[action.kind]},
        **_of_machine(action),
    }


def _of_machine(action: Action) -> dict[str, Json]:
    if not isinstance(action, CreateMachine):
        return {}
    volume = (action.mount or {}).get("volume") or action.volume_name
    return {"image": action.config.get("image"), "guest": action.config.get("guest"), "volume": volume}


def _change(change: Change) -> dict[str, Json]:
    told = {"field": change.field, "old": change.old, "new": change.new}
    return {**told, "word": change.word} if change.word else told


def _line(line: Hold | Note) -> dict[str, str]:
    return {"what": line.what, "reason": line.reason, "message": line.message}


def _plain(value: Json) -> Json:
    return list(value) if isinstance(value, tuple) else value
