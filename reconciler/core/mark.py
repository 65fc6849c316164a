"""The marks on a machine: metadata that says whose it is, what it was made from, which secrets it carries.

Answers for reading and writing them. A tenant may be able to change the marks of its own machine, so they
steer and never prove. Of secrets, what Fly recorded as submitted counts before what the machine shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.desired import DesiredApp, DesiredMachine
from reconciler.core.observed import ObservedMachine, Row

Json = Any

OWNER = "reconciler_owner"
SLOT = "reconciler_slot"
SPEC = "reconciler_spec"
SECRETS = "reconciler_secrets"
KEY = "reconciler_key"
SECRET_NAMES = "reconciler_secret_names"  # noqa: S105 -- the name of a mark, no secret
VERSION = "reconciler_version"
PROTECT = "reconciler_protect"  # which `protect` was applied: the label itself stands in no row
WITHDRAWN = "reconciler_withdrawn"  # its app is being removed: no router sends anybody there any more
EXTENDED = "reconciler_extended"  # its volume grows, and it must be restarted if Fly says so: not done yet
OURS = frozenset({OWNER, SLOT, SPEC, SECRETS, KEY, SECRET_NAMES, VERSION, PROTECT, WITHDRAWN, EXTENDED})

LABEL_PREFIX = "RECONCILER_"  # of secrets that are labels on the app: never unset


@dataclass(frozen=True, slots=True)
class Attested:
    """Which secrets the machine's current version was launched with, as far as its marks say."""

    secrets: str | None
    key: str | None
    names: frozenset[str]
    is_submitted: bool  # as Fly recorded it; else a tenant may have written it, and nothing is unset for it


def attested(machine: ObservedMachine | Row) -> Attested:
    """From what was submitted, when that has our marks: no tenant can have changed it; else the live ones."""
    submitted = _submitted(machine)
    is_submitted = OWNER in submitted
    marks = submitted if is_submitted else machine.metadata
    names = frozenset(name for name in (marks.get(SECRET_NAMES) or "").split(",") if name)
    return Attested(marks.get(SECRETS), marks.get(KEY), names, is_submitted)


def made_from(machine: ObservedMachine) -> str | None:
    """The spec hash that the machine's current version agrees with; None when no mark says so.

    The live mark first: a document that changes nothing but metadata is marked without a new version.
    """
    return machine.metadata.get(SPEC) or _submitted(machine).get(SPEC)


def carried(desired: DesiredApp) -> frozenset[str]:
    """What a machine says that it carries: names, of a generated secret `NAME:version`."""
    versions = {each.name: each.version for each in desired.generated}
    return frozenset(
        f"{name}:{versions[name]}" if name in versions else name
        for name in (*desired.secret_names, *desired.key_names)
    )


def carries_secrets(desired: DesiredApp, proof: Attested) -> bool:
    """Whether the machine carries the secrets and replay keys it should.

    Their names are always known; values that are not known here count as the right ones.
    """
    names = carried(desired)
    if names != proof.names:
        return False
    if desired.secrets_digest is None or not names:
        return True
    return (desired.secrets_digest, desired.key_id) == (proof.secrets, proof.key)


def metadata(desired: DesiredApp, machine: DesiredMachine, proof: Attested | None) -> dict[str, str]:
    """The spec's own metadata and our marks, for a create or update call; `reconciler_version` comes later.

    Where the desired values are not known here none is sent, so what `proof` says stays.
    """
    secrets, key = desired.secrets_digest, desired.key_id
    if secrets is None:
        secrets, key = (proof.secrets, proof.key) if proof else (None, None)
    names = ",".join(sorted(carried(desired)))
    marks = {
        **(machine.config.get("metadata") or {}),
        OWNER: desired.owner,
        SLOT: machine.slot,
        SPEC: machine.spec_hash,
        SECRETS: secrets,
        KEY: key,
        SECRET_NAMES: names,
        PROTECT: None if desired.protect is None else str(desired.protect).lower(),
    }
    return {key: str(value) for key, value in marks.items() if value}  # an empty text would remove the key


def is_verified(desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine | Row) -> bool:
    """Whether the marks say that just this version was made from just this spec, and was looked at after."""
    marks = found.metadata
    return (
        marks.get(VERSION) == found.version
        and marks.get(OWNER) == desired.owner
        and marks.get(SLOT) == machine.slot
        and marks.get(SPEC) == machine.spec_hash
    )


def missing(wanted: Mapping[str, str], found: ObservedMachine | Row) -> dict[str, str | None]:
    """The metadata write that makes `found` carry `wanted` and the mark of its version; {}: nothing to do."""
    target: dict[str, str | None] = dict.fromkeys((SECRET_NAMES, PROTECT, WITHDRAWN, EXTENDED))
    target |= {**wanted, VERSION: found.version}
    there = found.metadata
    return dict(sorted((key, value) for key, value in target.items() if there.get(key) != value))


def _submitted(machine: ObservedMachine | Row) -> Mapping[str, str]:
    config = machine.submitted if isinstance(machine, ObservedMachine) else None
    return (config or {}).get("metadata") or {}
