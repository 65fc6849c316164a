"""What the one secrets call of an app sets and unsets, and what a person should know about its secrets.

Answers for names: values are looked up by whoever makes the call. What a machine carries is `mark`'s.
"""

from collections.abc import Iterable

from reconciler.core import mark
from reconciler.core.action import SetSecrets
from reconciler.core.desired import DesiredApp
from reconciler.core.hold import Note
from reconciler.core.observed import ObservedApp


def plan_secrets(
    desired: DesiredApp, observed: ObservedApp, proofs: list[mark.Attested], *, launches: bool
) -> tuple[SetSecrets | None, tuple[str, ...]]:
    """The one secrets call, or None; and what somebody removed by hand, one line each.

    A launch takes what is set at that moment, and nobody can read back what that is: so each plan with a
    launch sets everything first, whatever machines attest.
    """
    wanted = {desired.owner_label, *desired.key_names, *desired.secret_names}
    missing = sorted(wanted - observed.secret_names)
    unset = tuple(sorted(_set_earlier(proofs, is_submitted=True) & observed.secret_names - wanted))
    compared = desired.secrets_digest is not None
    attested = compared and any(mark.carries_secrets(desired, proof) for proof in proofs)
    sends = compared and launches and bool(desired.key_names or desired.secret_names)
    lost = tuple(f"secrets: {name} is not set any more" for name in missing) if attested else ()
    left = not desired.corrects_drift and bool(lost) and not launches
    if not unset and not sends and (left or not missing):
        return None, lost
    reasons = [
        *([f"{len(missing)} not set: {', '.join(missing)}"] if missing else []),
        *([f"no longer wanted: {', '.join(unset)}"] if unset else []),
        *([_why_sent(proofs, attested=attested)] if sends and not missing else []),
    ]
    return (
        SetSecrets(
            app_name=desired.app_name,
            because="; ".join(reasons),
            # Without the values, only what is missing is worth asking for.
            names=tuple(sorted(wanted) if compared else missing),
            unset=unset,
        ),
        lost,
    )


def left_unproven(desired: DesiredApp, observed: ObservedApp, proofs: Iterable[mark.Attested]) -> list[Note]:
    wanted = {*desired.key_names, *desired.secret_names}
    return [
        Note(
            "",
            "SecretLeft",
            f"secret {name} is not unset: only a mark that a tenant may write says that we set it; "
            "unset it yourself",
        )
        for name in sorted(_set_earlier(proofs, is_submitted=False) & observed.secret_names - wanted)
    ]


def _set_earlier(proofs: Iterable[mark.Attested], *, is_submitted: bool) -> set[str]:
    return {
        name
        for proof in proofs
        if proof.is_submitted is is_submitted
        for name in proof.names
        if not name.startswith(mark.LABEL_PREFIX)
    }


def _why_sent(proofs: list[mark.Attested], *, attested: bool) -> str:
    if proofs and not attested:
        return "their values changed"
    return "a launch takes what is set, which nobody can read back"
