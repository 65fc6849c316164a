"""What the one secrets call of an app sets, mints, labels and unsets, and what is held about its secrets.

Answers for names: values are looked up, or made, by whoever makes the call. What a machine carries is
`mark`'s, what a label says is `label`'s, which generated secrets are to be made is `minting`'s.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciler.core import label, mark
from reconciler.core.action import Class, SetSecrets
from reconciler.core.desired import DesiredApp
from reconciler.core.hold import Note
from reconciler.core.minting import Minting
from reconciler.core.observed import Claim, ObservedApp


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlan:
    """Everything decided about one app's secrets and labels."""

    step: SetSecrets | None = None
    lost: tuple[str, ...] = ()  # "secrets: X is not set any more", one line each: removed by hand


@dataclass(frozen=True, slots=True)
class _Labels:
    """They are as they should be, or the call makes them so; nothing else follows from them."""

    wanted: dict[str, str] = field(default_factory=dict)  # absent now → why it is set
    unwanted: dict[str, str] = field(default_factory=dict)  # present now → why it goes


def plan_secrets(
    desired: DesiredApp,
    observed: ObservedApp,
    proofs: Sequence[mark.Attested],
    minting: Minting,
    *,
    launches: bool,
    now: float = 0.0,
) -> SecretPlan:
    """The one secrets call, if one is needed, and what somebody removed by hand.

    A launch takes what is set at that moment, and nobody can read back what that is: so each plan with a
    launch sets everything first, whatever machines attest. A generated value is set once and never again.
    """
    given = {*desired.key_names, *desired.secret_names} - {each.name for each in desired.generated}
    missing = sorted(given - observed.secret_names)
    labels = _labels(desired, observed, minting)
    unset = sorted(_unneeded(desired, observed, proofs))
    compared = desired.secrets_digest is not None
    attested = compared and any(mark.carries_secrets(desired, proof) for proof in proofs)
    sends = launches and bool(desired.generated or (compared and given))
    lost = tuple(f"secrets: {name} is not set any more" for name in missing) if attested else ()
    if not desired.corrects_drift and lost and not launches:
        missing = []
    if not (missing or sends or unset or minting.makes or labels.wanted or labels.unwanted):
        return SecretPlan(lost=lost)
    reasons = [
        *([f"{len(missing)} not set: {', '.join(missing)}"] if missing else []),
        *minting.reasons,
        *([f"no longer wanted: {', '.join(unset)}"] if unset else []),
        *([_why_sent(proofs, attested=attested)] if sends and not missing else []),
        *dict.fromkeys((*labels.wanted.values(), *labels.unwanted.values())),
    ]
    # Without the values, only what is missing is worth asking for.
    names = {*given} if compared and (sends or missing) else {*missing}
    if (names and compared) or sends:
        names.add(desired.owner_label)
    step = SetSecrets(
        app_name=desired.app_name,
        because="; ".join(reasons),
        key="secrets",
        after=("app",) if observed.claim is Claim.ABSENT else (),
        klass=Class.IN_PLACE,
        names=tuple(sorted(names | labels.wanted.keys())),
        unset=tuple(sorted({*unset, *labels.unwanted, *label.expired(observed.secret_names, now=now)})),
        mint=minting.makes,
    )
    return SecretPlan(step=step, lost=lost)


def left_alone(desired: DesiredApp, observed: ObservedApp, proofs: Iterable[mark.Attested]) -> list[Note]:
    """Secrets that no document wants and that stay set nevertheless, each with the reason."""
    wanted = {*desired.key_names, *desired.secret_names}
    minted = label.minted_versions(observed.secret_names).keys() & observed.secret_names - wanted
    unproven = _set_earlier(proofs, is_submitted=False) & observed.secret_names - wanted - minted
    return [
        *(
            Note(
                "",
                "SecretLeft",
                f"secret {name} is not unset: its value was generated and is nowhere else; unset it yourself",
            )
            for name in sorted(minted)
        ),
        *(
            Note(
                "",
                "SecretLeft",
                f"secret {name} is not unset: only a mark that a tenant may write says that we set it; "
                "unset it yourself",
            )
            for name in sorted(unproven)
        ),
    ]


def _labels(desired: DesiredApp, observed: ObservedApp, minting: Minting) -> _Labels:
    labels = _Labels()
    if desired.owner_label not in observed.secret_names:
        labels.wanted[desired.owner_label] = "labels the app as ours"
    protected = label.is_protected(observed.secret_names)
    if desired.protect is True and not protected:
        labels.wanted[label.PROTECTED] = "protects the app from deletion"
    if desired.protect is False and protected:
        labels.unwanted[label.PROTECTED] = "lifts the app's protection"
    for name in minting.labels - observed.secret_names:
        labels.wanted[name] = "remembers which generated secrets it has"
    wanted = {*desired.key_names, *desired.secret_names}
    for name, of in label.minted_labels(observed.secret_names).items():
        if of in wanted and name not in minting.labels:
            labels.unwanted[name] = "remembers which generated secrets it has"
    return labels


def _unneeded(desired: DesiredApp, observed: ObservedApp, proofs: Iterable[mark.Attested]) -> set[str]:
    """What we set and no document wants; never a generated one, whose value would be lost."""
    wanted = {*desired.key_names, *desired.secret_names}
    minted = label.minted_versions(observed.secret_names).keys()
    return (_set_earlier(proofs, is_submitted=True) & observed.secret_names) - wanted - minted


def _set_earlier(proofs: Iterable[mark.Attested], *, is_submitted: bool) -> set[str]:
    return {
        name
        for proof in proofs
        if proof.is_submitted is is_submitted
        for name in proof.names
        if not label.is_label(name) and ":" not in name
    }


def _why_sent(proofs: Sequence[mark.Attested], *, attested: bool) -> str:
    if proofs and not attested:
        return "their values changed"
    return "a launch takes what is set, which nobody can read back"
