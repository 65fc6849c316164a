"""Labels on an app: secrets whose names say something about it, because apps carry no metadata.

Answers for their names, built and recognised here alone. Their values say nothing and are never read; they
count neither as drift nor in digests, and setting one restarts nothing.
"""

import re
from collections.abc import Iterable

PREFIX = "RECONCILER_"  # no Secret document may take such a name
PROTECTED = f"{PREFIX}PROTECTED"
VALUE = "label"  # of one that says everything by its name

_OWNER = f"{PREFIX}OWNER_"
_PAUSED = f"{PREFIX}PAUSED_UNTIL_"
_MINTED = re.compile(rf"{PREFIX}MINTED_([1-9]\d{{0,8}})_([A-Za-z_]\w*)", re.ASCII)
_PAUSED_UNTIL = re.compile(rf"{_PAUSED}(\d{{1,12}})", re.ASCII)


def owner(installation: str) -> str:
    """The label that makes an adopted app ours; its value is the document's name, for people."""
    return f"{_OWNER}{installation.upper()}"


def owners(secret_names: Iterable[str]) -> frozenset[str]:
    """The owner labels, of whichever installation."""
    return frozenset(name for name in secret_names if name.startswith(_OWNER))


def paused(until: float) -> str:
    """The label that stops all changes of the app before `until`, in unix seconds."""
    return f"{_PAUSED}{int(until)}"


def minted(name: str, version: int) -> str:
    """The label that remembers, beside a generated secret, which version of it was made."""
    return f"{PREFIX}MINTED_{version}_{name}"


def is_label(name: str) -> bool:
    return name.startswith(PREFIX)


def is_protected(secret_names: Iterable[str]) -> bool:
    return PROTECTED in set(secret_names)


def paused_until(secret_names: Iterable[str]) -> float | None:
    """The latest end of all pauses that the names tell of, past ones too, in unix seconds."""
    return max((until for until, _ in _pauses(secret_names)), default=None)


def unreadable_pauses(secret_names: Iterable[str]) -> tuple[str, ...]:
    """Labels that mean a pause and name no moment: somebody wanted nothing to change; sorted."""
    return tuple(
        sorted(
            each for each in secret_names if each.startswith(_PAUSED) and not _PAUSED_UNTIL.fullmatch(each)
        )
    )


def expired(secret_names: Iterable[str], *, now: float) -> frozenset[str]:
    """The labels of pauses that are over."""
    return frozenset(name for until, name in _pauses(secret_names) if until <= now)


def minted_versions(secret_names: Iterable[str]) -> dict[str, int]:
    """Of each generated secret the highest version that was made."""
    versions: dict[str, int] = {}
    for each in secret_names:
        if found := _MINTED.fullmatch(each):
            versions[found[2]] = max(int(found[1]), versions.get(found[2], 0))
    return versions


def minted_labels(secret_names: Iterable[str]) -> dict[str, str]:
    """Each label of a generated secret, and that secret's name."""
    return {each: found[2] for each in secret_names if (found := _MINTED.fullmatch(each))}


def _pauses(secret_names: Iterable[str]) -> list[tuple[float, str]]:
    return [(float(found[1]), each) for each in secret_names if (found := _PAUSED_UNTIL.fullmatch(each))]
