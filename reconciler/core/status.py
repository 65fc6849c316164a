"""How one user app is, in the conditions of Kubernetes: type, status, reason, message.

Leaves deciding to `plan`; who serves visitors is `fleet`'s. Messages are for operators.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.observed import Claim, ObservedApp
from reconciler.core.plan import AppPlan


class Status(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """Types: Ready, Progressing, Stalled, Drifted, Unclaimed, NameTaken, PubliclyReachable.

    Ready, Progressing and Stalled are always there; another one only while it is not False.
    """

    type: str
    status: Status
    reason: str  # CamelCase
    message: str = ""  # one line


def of_plan(plan: AppPlan, observed: ObservedApp) -> tuple[Condition, ...]:
    """The conditions after a whole reading and its plan."""
    held = [(hold.reason, hold.message) for hold in plan.holds]
    working = [("Acting", action.because) for action in plan.actions]
    working += [("Waiting", line) for line in plan.waiting]
    if plan.converged:
        ready = Condition("Ready", Status.TRUE, "AsDocumented")
    else:
        reason, message = _several((held or working)[0][0], [text for _, text in held or working])
        ready = Condition("Ready", Status.FALSE, reason, message)
    conditions = [ready, _is("Progressing", working), _is("Stalled", held)]
    if plan.changed_by_hand:
        conditions.append(_true("Drifted", "ChangedByHand", plan.changed_by_hand))
    if observed.claim is Claim.TAKEN:
        conditions.append(_true("NameTaken", "OtherOrganisation", [text for _, text in held]))
    if observed.public_addresses:
        addresses = ", ".join(sorted(observed.public_addresses))
        conditions.append(
            _true(
                "PubliclyReachable", "PublicAddress", [f"public addresses lead past the router: {addresses}"]
            )
        )
    return tuple(conditions)


def of_rows(*, agrees: bool) -> tuple[Condition, ...]:
    """The conditions by the org-wide rows alone; when they do not agree, the app has to be read first."""
    return _AGREES if agrees else _NOT_READ


def of_unclaimed(reason: str, message: str) -> tuple[Condition, ...]:
    """The conditions of an app that is ours while no document that holds asks for it."""
    return (*_unknown("Unclaimed", message), _true("Unclaimed", reason, [message]))


def of_removal(reason: str, plan: AppPlan) -> tuple[Condition, ...]:
    """The conditions of such an app once it was read: what keeps it, or what is done about it."""
    held = [(hold.reason, hold.message) for hold in plan.holds]
    working = [("Removing", action.because) for action in plan.actions]
    working += [("Removing", line) for line in plan.waiting]
    _, message = _several("", [text for _, text in held or working or [("", "there is no document of it")]])
    return (
        Condition("Ready", Status.UNKNOWN, "Unclaimed", message),
        _is("Progressing", working),
        _is("Stalled", held),
        _true("Unclaimed", reason, [message]),
    )


def failing(
    conditions: Iterable[Condition], *, reason: str, message: str, retries: bool
) -> tuple[Condition, ...]:
    """The conditions after a pass that failed: Progressing while it is tried again, else Stalled."""
    others = [one for one in conditions if one.type not in ("Ready", "Progressing", "Stalled")]
    going, stuck = Status.TRUE if retries else Status.FALSE, Status.FALSE if retries else Status.TRUE
    return (
        Condition("Ready", Status.FALSE, reason, message),
        Condition("Progressing", going, "Retrying" if retries else "Nothing", message if retries else ""),
        Condition("Stalled", stuck, "Nothing" if retries else reason, "" if retries else message),
        *others,
    )


def _unknown(reason: str, message: str) -> tuple[Condition, ...]:
    return tuple(
        Condition(kind, Status.UNKNOWN, reason, message) for kind in ("Ready", "Progressing", "Stalled")
    )


def _is(kind: str, found: list[tuple[str, str]]) -> Condition:
    if not found:
        return Condition(kind, Status.FALSE, "Nothing")
    return _true(kind, found[0][0], [text for _, text in found])


def _true(kind: str, reason: str, messages: Iterable[str]) -> Condition:
    return Condition(kind, Status.TRUE, *_several(reason, list(messages)))


def _several(reason: str, messages: list[str]) -> tuple[str, str]:
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    return reason, f"{messages[0]}{more}"


_AGREES = (
    Condition("Ready", Status.TRUE, "AsDocumented"),
    Condition("Progressing", Status.FALSE, "Nothing"),
    Condition("Stalled", Status.FALSE, "Nothing"),
)
_NOT_READ = _unknown("NotRead", "the fleet's list differs from the document; the app is read next")
