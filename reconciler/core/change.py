"""What one action changes, as fields with old and new values: what people and programs are shown of it.

Answers for giving nothing away: no environment, no secret, no config beyond the fields named here. How a
value is shortened and coloured is `report`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.action import Action, CreateMachine, CreateVolume, SetSecrets, UpdateMachine

Json = Any

ARROW = " → "
_NOTHING = "(none)"


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One field. `old` and `new` are None where there is nothing, or where values are not shown."""

    field: str
    old: str | None = None
    new: str | None = None
    word: str = ""  # what happens to a field whose values are never shown: added, removed, changed …


def changes_of(action: Action) -> tuple[Change, ...]:
    """The fields that an action sets or changes, in a stable order."""
    match action:
        case UpdateMachine():
            return tuple(_parsed(line) for line in action.changes)
        case SetSecrets():
            return (
                *(Change(f"secrets.{name}", word="set") for name in action.names),
                *(Change(f"secrets.{name}", word="minted") for name in action.mint),
                *(Change(f"secrets.{name}", word="removed") for name in action.unset),
            )
        case CreateVolume():
            return (
                Change("size_gb", new=str(action.size_gb)),
                Change("regions", new=", ".join(action.regions)),
            )
        case CreateMachine():
            return (
                *((Change("image", new=str(image)),) if (image := action.config.get("image")) else ()),
                *((Change("guest", new=guest),) if (guest := _guest(action.config.get("guest"))) else ()),
                Change("regions", new=", ".join(action.regions)),
            )
    size_gb = getattr(action, "size_gb", None)  # of a volume that grows
    return () if size_gb is None else (Change("size_gb", new=str(size_gb)),)


def subject_of(action: Action) -> str:
    """What an action is done to, within its app: a slot, a volume's name; nothing: the app as a whole."""
    return str(getattr(action, "slot", "") or getattr(action, "name", ""))


def template_of(action: Action) -> str:
    """The same without the number of the slot, so that the machines of one group are alike: `web`."""
    subject = subject_of(action)
    return subject.rstrip("0123456789").rstrip("-_") or subject


def _parsed(line: str) -> Change:
    field, _, rest = line.partition(": ")
    old, arrow, new = rest.partition(ARROW)
    if not arrow:
        return Change(field, word=rest)
    return Change(field, None if old == _NOTHING else old, None if new == _NOTHING else new)


def _guest(guest: Mapping[str, Json] | None) -> str:
    if not guest:
        return ""
    kind, cpus, memory = (guest.get(name) for name in ("cpu_kind", "cpus", "memory_mb"))
    parts = [f"{kind}-cpu-{cpus}x" if kind and cpus else "", f"{memory} MB" if memory else ""]
    parts += [f"{guest['gpus']} {guest.get('gpu_kind', 'gpu')}"] if guest.get("gpus") else []
    return ", ".join(part for part in parts if part)
