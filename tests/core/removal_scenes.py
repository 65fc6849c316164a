"""Situations of an app whose document is gone, each with the sentence that its golden plan shows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.core import label
from reconciler.core.observed import ObservedApp, ObservedMachine, Snapshot
from reconciler.core.removal import Removal, plan_removal
from tests.core.alice import LABEL, NOW, alice, app, found, slot
from tests.core.scenes import GONE, HOLDER, VOLUME, Scene, with_marks

ASKED = Removal(
    name="alice",
    app_name="acme-alice",
    made_as="acme-alice",
    network="inst01-alice",
    owner="inst01.alice",
    owner_label=LABEL,
    absent_for_s=600.0,
    grace_s=600.0,
    source_complete=True,
    withdrawn_for_s=10.0,
    withdraw_s=10.0,
    approved=frozenset({"vol_1"}),
)
WITHDRAWN = with_marks(HOLDER, reconciler_withdrawn="true")
STRAY = found(alice(slot()), slot("x-0"), name="debug", metadata={})


def alices(*machines: ObservedMachine, **changes: Any) -> ObservedApp:
    base: dict[str, Any] = {"network": "inst01-alice", "volumes": (VOLUME,), "snapshots": {"vol_1": ()}}
    return replace(app(*machines), **{**base, **changes})


def scene(says: str, observed: ObservedApp, asked: Removal = ASKED) -> Scene:
    return Scene(says, plan_removal(asked, observed, now=NOW))


def snapshot(status: str) -> Mapping[str, tuple[Snapshot, ...]]:
    return {"vol_1": (Snapshot("vs_1", status, NOW - 5.0),)}


REMOVALS: Mapping[str, Scene] = {
    "removal-too-early": scene(
        "Until the grace is over nothing is done, and it says how long that is.",
        alices(HOLDER),
        replace(ASKED, absent_for_s=60.0),
    ),
    "removal-held": scene(
        "Every proof that is missing has a line of its own, and one is enough to do nothing.",
        alices(HOLDER, STRAY, secret_names=frozenset({LABEL, label.PROTECTED, label.paused(NOW + 60)})),
        replace(
            ASKED,
            absent_for_s=0.0,
            source_complete=False,
            source_why="users/ could not be read",
            error_regions=("syd",),
            approved=frozenset(),
        ),
    ),
    "removal-not-proven": scene(
        "An app with our name and neither network nor label is not touched.",
        alices(HOLDER, network="default", secret_names=frozenset()),
    ),
    "removal-not-approved": scene(
        "While the loss of its volume is not approved, not even its route is touched.",
        alices(HOLDER),
        replace(ASKED, approved=frozenset()),
    ),
    "removal-route": scene(
        "First the route is withdrawn.", alices(HOLDER), replace(ASKED, withdrawn_for_s=None)
    ),
    "removal-routers": scene(
        "Nothing is taken apart before every router must have heard.",
        alices(WITHDRAWN),
        replace(ASKED, withdrawn_for_s=3.0),
    ),
    "removal-snapshot": scene("Each volume is snapshotted before anything is destroyed.", alices(WITHDRAWN)),
    "removal-snapshot-running": scene(
        "A snapshot that is begun does not count.", alices(WITHDRAWN, snapshots=snapshot("running"))
    ),
    "removal-machines": scene(
        "With a finished snapshot the machines go first.", alices(WITHDRAWN, snapshots=snapshot("created"))
    ),
    "removal-volumes": scene(
        "Volumes go when no machine is left.",
        alices(
            gone=(GONE,),
            snapshots=snapshot("created"),
            volumes=(replace(VOLUME, attached_machine_id=None),),
        ),
    ),
    "removal-app": scene("The app goes last, when nothing is left in it.", alices(gone=(GONE,), volumes=())),
}
