"""One moment's plan for the whole fleet, and its form for machines to read.

Answers for the JSON form and its version. One app is `plan`'s; text for people is the commands'.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.action import (
    Action,
    CreateApp,
    CreateMachine,
    CreateVolume,
    MarkMachine,
    SetSecrets,
    StartMachine,
    UpdateMachine,
)
from reconciler.core.hold import Hold, Note
from reconciler.core.plan import AppPlan

Json = Any

VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """A user app that could not be read, so nothing is known about it."""

    name: str  # document name
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What was decided about every app, and what was not looked at."""

    apps: tuple[AppPlan, ...] = ()  # those that were read whole
    in_sync: int = 0  # apps whose org-wide rows already agree: not read, nothing to do
    unclaimed: tuple[str, ...] = ()  # document names of apps that are ours without a document that holds
    unread: tuple[Unread, ...] = ()
    problems: int = 0  # faults in the documents
    not_compared: int = 0  # apps whose secrets' values are not known here, read whole or not

    @property
    def action_count(self) -> int:
        return sum(len(app.actions) for app in self.apps)

    @property
    def hold_count(self) -> int:
        return sum(len(app.holds) for app in self.apps)

    @property
    def complete(self) -> bool:
        """Everything wanted was read."""
        return not self.unread

    def to_json(self) -> dict[str, Json]:
        """Values that json.dumps takes, the same for the same plan; secrets and environments are not in it.

        Apps with nothing to tell are counted and not listed. A field may be added within a version, and a
        change of meaning makes a new one.
        """
        apps = sorted(self.apps, key=lambda app: app.name)
        kinds = Counter(action.kind for app in apps for action in app.actions)
        return {
            "version": VERSION,
            "summary": {
                "apps": len(apps) + self.in_sync + len(self.unread),
                "in_sync": self.in_sync + sum(app.converged for app in apps),
                "actions": self.action_count,
                "actions_by_kind": dict(sorted(kinds.items())),
                "holds": self.hold_count,
                "unclaimed": len(self.unclaimed),
                "unread": len(self.unread),
                "problems": self.problems,
                "secrets_not_compared": self.not_compared,
            },
            "apps": [_app(app) for app in apps if not app.converged or app.notes],
            "unclaimed": sorted(self.unclaimed),
            "unread": [{"name": app.name, "message": app.message} for app in sorted(self.unread)],
        }


def _app(app: AppPlan) -> dict[str, Json]:
    return {
        "name": app.name,
        "app": app.app_name,
        "actions": [
            {"kind": action.kind, "because": action.because, **_fields(action)} for action in app.actions
        ],
        "holds": [_line(hold) for hold in app.holds],
        "notes": [_line(note) for note in app.notes],
        "waiting": list(app.waiting),
        "changed_by_hand": list(app.changed_by_hand),
        "secrets_compared": app.secrets_compared,
    }


def _line(line: Hold | Note) -> Mapping[str, str]:
    return {"what": line.what, "reason": line.reason, "message": line.message}


def _fields(action: Action) -> dict[str, Json]:
    fields: dict[str, Json]
    match action:
        case CreateApp():
            fields = {"org": action.org, "network": action.network}
        case SetSecrets():
            fields = {"names": list(action.names), "unset": list(action.unset)}
        case CreateVolume():
            fields = {"volume": action.name, "regions": list(action.regions), "size_gb": action.size_gb}
        case CreateMachine():
            fields = {
                "slot": action.slot,
                "machine": action.name,
                "regions": list(action.regions),
                "image": action.config.get("image"),
                "guest": action.config.get("guest"),
                "volume": (action.mount or {}).get("volume") or action.volume_name,
                "skip_launch": action.skip_launch,
            }
        case UpdateMachine():
            fields = {"slot": action.slot, "machine_id": action.machine_id, "changes": list(action.changes)}
        case StartMachine():
            fields = {"slot": action.slot, "machine_id": action.machine_id}
        case MarkMachine():
            fields = {"slot": action.slot, "machine_id": action.machine_id, "marks": sorted(action.metadata)}
    return fields
