"""Which generated secrets an app is to be given, and which must not be made again.

Answers for the decision; the values are made where the call is made, and Fly alone keeps them. The label
that remembers a version is set by the very call that sets the value, so no crash can part the two.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.core import label, mark
from reconciler.core.desired import DesiredApp
from reconciler.core.hold import Hold
from reconciler.core.observed import ObservedApp


@dataclass(frozen=True, slots=True)
class Minting:
    """What follows from the generated secrets of one app. With a hold, nothing of the app may be launched."""

    makes: tuple[tuple[str, int], ...] = ()  # name and length, sorted
    labels: frozenset[str] = frozenset()  # that the app should carry, whether it does or not
    reasons: tuple[str, ...] = ()
    holds: tuple[Hold, ...] = ()


def plan_minting(desired: DesiredApp, observed: ObservedApp) -> Minting:
    """A secret is made when the app never had it or its version was raised; one that is set satisfies.

    One that was made and is gone is never silently made again where a machine or a volume may need it.
    """
    made = label.minted_versions(observed.secret_names)
    carried = _carried(observed)
    first: list[str] = []
    raised: list[str] = []
    holds: list[Hold] = []
    labels: set[str] = set()
    for each in desired.generated:
        name, version = each.name, each.version
        known = made.get(name, carried.get(name))
        is_set = name in observed.secret_names
        if known is not None and 0 < known < version:
            raised.append(name)
        elif not is_set and known is None and _never_had(observed):
            first.append(name)
        elif not is_set:
            holds.append(_lost(desired, name, known))
            continue
        labels.add(label.minted(name, max(version, known or version)))
    return Minting(
        makes=tuple((each.name, each.length) for each in desired.generated if each.name in first + raised),
        labels=frozenset(labels) | _labels_of_held(observed, holds),
        reasons=(
            *([f"generates {', '.join(first)}"] if first else []),
            *([f"generates anew, as its version was raised: {', '.join(raised)}"] if raised else []),
        ),
        holds=tuple(holds),
    )


def _carried(observed: ObservedApp) -> dict[str, int]:
    """Of each secret the highest version that any machine says it carries; 0: one that was not generated."""
    versions: dict[str, int] = {}
    for machine in (*observed.machines, *observed.gone):
        for entry in mark.attested(machine).names:
            name, _, version = entry.partition(":")
            number = int(version) if version.isascii() and version.isdigit() else 0
            versions[name] = max(number, versions.get(name, 0))
    return versions


def _never_had(observed: ObservedApp) -> bool:
    """Nothing can depend on a secret that no machine carried: volumes alone cannot tell."""
    return bool(observed.machines) or not observed.volumes


def _lost(desired: DesiredApp, name: str, known: int | None) -> Hold:
    or_raise = ", or raise its version to have another value made" if known else ""
    return Hold(
        "",
        "GeneratedSecretLost",
        f"secret {name} was generated and is not set any more, and what the app keeps may need it: "
        f"set it yourself (fly secrets set --stage {name}=… -a {desired.app_name}){or_raise}",
    )


def _labels_of_held(observed: ObservedApp, holds: Iterable[Hold]) -> frozenset[str]:
    """What is remembered of a lost secret stays: raising its version must be seen as that."""
    if not holds:
        return frozenset()
    return frozenset(label.minted_labels(observed.secret_names))
