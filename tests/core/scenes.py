"""Situations of one app, each with the sentence that its golden plan shows to be true."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.core import label, mark
from reconciler.core.observed import Claim, ObservedMachine, Snapshot
from reconciler.core.plan import AppPlan
from reconciler.core.policy import DeploySpec
from tests.core.alice import (
    CONFIG,
    MOUNT,
    NAMES,
    NOW,
    absent,
    alice,
    app,
    found,
    marks,
    plan_app,
    slot,
    volume,
    with_volume,
)

NEW: dict[str, Any] = {"config": {**CONFIG, "image": "registry/studio:2"}, "spec_hash": "spec2"}
FRESH = {"vol_1": (Snapshot("vs_1", "created", NOW - 60.0),)}
GIVEN_UP = frozenset({"vol_1"})

ONE = alice(slot())
STATEFUL = alice(with_volume())
ELSEWHERE = alice(with_volume(regions=("fra",), spec_hash="spec2"))
MACHINE = found(ONE, slot())
HOLDER = found(STATEFUL, with_volume(), volume="vol_1")
VOLUME = volume(attached_machine_id=HOLDER.id)
GONE = replace(HOLDER, state="destroyed")
SEVEN = [f"web-{number}" for number in range(7)]


@dataclass(frozen=True)
class Scene:
    """`says` would be false if the plan changed."""

    says: str
    plan: AppPlan


def with_marks(machine: ObservedMachine, **more: str) -> ObservedMachine:
    return replace(machine, config={**machine.config, "metadata": {**machine.metadata, **more}})


def fleet_of_seven(**changes: Any) -> AppPlan:
    """A new image for five machines that run and two that sleep."""
    old = alice(*(slot(name) for name in SEVEN))
    asleep = ("web-1", "web-4")
    machines = [found(old, slot(name), state="stopped" if name in asleep else "started") for name in SEVEN]
    return plan_app(alice(*(slot(name, **NEW) for name in SEVEN), **changes), app(*machines))


BY_HAND = replace(found(ONE, slot(), config={"image": "registry/evil:1"}, version="v2"), submitted=None)
BY_HAND = replace(BY_HAND, config={**BY_HAND.config, "metadata": marks(ONE, slot(), "v1")})

BEGINNINGS: Mapping[str, Scene] = {
    "absent": Scene(
        "A new app comes first, then its secrets, then each machine after its own volume.",
        plan_app(alice(with_volume("web-0"), with_volume("web-1")), absent()),
    ),
    "taken": Scene(
        "A name that another organisation has is held, and nothing is tried.",
        plan_app(ONE, replace(absent(), claim=Claim.TAKEN)),
    ),
    "foreign": Scene(
        "An app of that name without our proof is left alone, whatever runs in it.",
        plan_app(ONE, app(MACHINE, claim=Claim.FOREIGN)),
    ),
    "converged": Scene(
        "An app that is as its document says needs nothing.",
        plan_app(STATEFUL, app(HOLDER, volumes=(VOLUME,))),
    ),
    "crash-after-app": Scene(
        "After a crash between app and secrets the rest follows.",
        plan_app(ONE, app(secret_names=frozenset())),
    ),
    "crash-after-volume": Scene(
        "A volume that was made before a crash is mounted, and no second one is made.",
        plan_app(STATEFUL, app(volumes=(volume(),))),
    ),
    "crash-before-verification": Scene(
        "A machine that nobody looked at after its change costs one metadata write and no restart.",
        plan_app(ONE, app(with_marks(MACHINE, **{mark.VERSION: "v0"}))),
    ),
    "paused-by-document": Scene(
        "Before the end of a pause nothing is done, and what is held says why and until when.",
        plan_app(alice(slot(**NEW), paused_until=NOW + 3600, pause_reason="a migration"), app(MACHINE)),
    ),
    "paused-by-label": Scene(
        "A pause on the live app holds without a word in its document.",
        plan_app(alice(slot(**NEW)), app(MACHINE, secret_names=NAMES | {label.paused(NOW + 3600)})),
    ),
    "pause-over": Scene(
        "A pause that is over holds nothing.",
        plan_app(alice(slot(**NEW), paused_until=NOW, pause_reason="a migration"), app(MACHINE)),
    ),
}

CHANGES: Mapping[str, Scene] = {
    "new-image": Scene(
        "A machine that runs is restarted once, after its secrets were set.",
        plan_app(alice(slot(**NEW)), app(MACHINE)),
    ),
    "new-image-asleep": Scene(
        "A machine that sleeps is changed in place and stays asleep: nobody's is woken or restarted.",
        plan_app(alice(slot(**NEW)), app(replace(MACHINE, state="suspended"))),
    ),
    "new-image-may-not-sleep": Scene(
        "A machine that sleeps and may not is changed and then runs, and counts as no restart.",
        plan_app(alice(slot(**NEW, may_sleep=False)), app(replace(MACHINE, state="stopped"))),
    ),
    "secret-changed": Scene(
        "A changed secret restarts the machines one after the other.",
        plan_app(
            alice(slot("web-0"), slot("web-1"), secrets_digest="digest2"),
            app(found(ONE, slot("web-0")), found(ONE, slot("web-1"))),
        ),
    ),
    "secret-values-unknown": Scene(
        "Where the values are not known they are not compared, and nothing restarts for them.",
        plan_app(alice(slot(), secrets_digest=None, key_id=None), app(MACHINE)),
    ),
    "secret-removed-by-hand": Scene(
        "A secret that somebody removed is set again without a restart, and is called drift.",
        plan_app(ONE, app(MACHINE, secret_names=NAMES - {"API_KEY"})),
    ),
    "metadata-only": Scene(
        "Metadata of the document reaches its machine without a restart.",
        plan_app(
            alice(slot(config={**CONFIG, "metadata": {"team": "blue"}}, spec_hash="spec2")), app(MACHINE)
        ),
    ),
    "marks-wiped": Scene(
        "Marks that a tenant wiped are written again without a restart where Fly's own record agrees.",
        plan_app(ONE, app(found(ONE, slot(), metadata={}))),
    ),
    "changed-by-hand": Scene("What was changed by hand is named and put back.", plan_app(ONE, app(BY_HAND))),
    "changed-by-hand-left": Scene(
        "With drift: warn what was changed by hand is named and left.",
        plan_app(alice(slot(), corrects_drift=False), app(BY_HAND)),
    ),
    "unknown-field": Scene(
        "A field that is news to this program is sent back as it is.",
        plan_app(alice(slot(**NEW)), app(found(ONE, slot(), config={"hyperdrive": {"level": 9}}))),
    ),
    "failed": Scene(
        "A machine that failed is started again.", plan_app(ONE, app(replace(MACHINE, state="failed")))
    ),
    "at-work": Scene(
        "While Fly is at work on a machine nothing is done to it.",
        plan_app(alice(slot(**NEW)), app(replace(MACHINE, state="replacing"))),
    ),
    "stray-and-public": Scene(
        "A machine without our mark and a public address are told and left.",
        plan_app(
            ONE,
            app(
                MACHINE, found(ONE, slot("x-0"), name="debug", metadata={}), public_addresses=("2001:db8::1",)
            ),
        ),
    ),
}

VOLUMES: Mapping[str, Scene] = {
    "machine-deleted": Scene(
        "A machine that somebody deleted comes back on its volume, in the volume's region.",
        plan_app(STATEFUL, app(gone=(replace(GONE, region="ord"),), volumes=(volume(region="ord"),))),
    ),
    "volume-missing": Scene(
        "An empty volume is never put where data was.", plan_app(STATEFUL, app(gone=(GONE,)))
    ),
    "volume-ambiguous": Scene(
        "Which of two volumes with data is the right one, a person says.",
        plan_app(
            STATEFUL,
            app(
                gone=(
                    GONE,
                    found(STATEFUL, with_volume(), name="web-0-r1", volume="vol_2", state="destroyed"),
                ),
                volumes=(volume("vol_1"), volume("vol_2")),
            ),
        ),
    ),
    "volume-restoring": Scene(
        "A volume that is being restored is waited for.",
        plan_app(STATEFUL, app(volumes=(volume(state="restoring"),))),
    ),
    "volume-grows": Scene(
        "A volume grows before its machine is marked, and that counts as a restart while the machine runs.",
        plan_app(
            alice(with_volume(mount=replace(MOUNT, size_gb=5), spec_hash="spec2")),
            app(HOLDER, volumes=(VOLUME,)),
        ),
    ),
    "volume-grows-with-update": Scene(
        "A volume that grows together with an update costs one restart, not two.",
        plan_app(alice(with_volume(mount=replace(MOUNT, size_gb=5), **NEW)), app(HOLDER, volumes=(VOLUME,))),
    ),
    "volume-shrinks": Scene(
        "A volume that should shrink is held, with the size to write.",
        plan_app(STATEFUL, app(HOLDER, volumes=(replace(VOLUME, size_gb=5),))),
    ),
    "volume-made-twice": Scene(
        "Of two volumes of one creation the one that nothing ever mounted goes, and that is no data loss.",
        plan_app(STATEFUL, app(HOLDER, volumes=(VOLUME, volume("vol_2", created_at="2026-01-01T00:00:40Z")))),
    ),
    "volume-of-another-day": Scene(
        "A free volume of the slot's name that was made on another day is told and left.",
        plan_app(STATEFUL, app(HOLDER, volumes=(VOLUME, volume("vol_2", created_at="2026-02-01T00:00:40Z")))),
    ),
}

FEWER: Mapping[str, Scene] = {
    "count-raised": Scene(
        "A new machine comes before those that are there are changed.",
        plan_app(alice(slot("web-0", **NEW), slot("web-1", **NEW)), app(MACHINE)),
    ),
    "count-lowered": Scene(
        "A machine that is too many is destroyed.",
        plan_app(ONE, app(MACHINE, found(ONE, slot("web-1")))),
    ),
    "count-lowered-with-volume": Scene(
        "A machine that is too many goes, and its volume stays until somebody approves its loss.",
        plan_app(
            ONE, app(MACHINE, found(ONE, slot("web-1"), volume="vol_1"), volumes=(volume(name="web_data_1"),))
        ),
    ),
    "left-volume-approved": Scene(
        "A volume that was given up is snapshotted first.",
        plan_app(
            ONE, app(MACHINE, gone=(GONE,), volumes=(volume(),), snapshots={"vol_1": ()}), approved=GIVEN_UP
        ),
    ),
    "left-volume-snapshotted": Scene(
        "A volume that was given up goes when its snapshot is finished.",
        plan_app(ONE, app(MACHINE, gone=(GONE,), volumes=(volume(),), snapshots=FRESH), approved=GIVEN_UP),
    ),
    "group-renamed": Scene(
        "The machines of a group that is gone go before those of a new group come.",
        plan_app(alice(slot("app-0")), app(MACHINE)),
    ),
    "surplus": Scene(
        "Of two machines that claim a slot the later one stays.",
        plan_app(ONE, app(MACHINE, found(ONE, slot(), name="web-0-r1"))),
    ),
    "unmarked-surplus": Scene(
        "A machine that is too many and carries no mark of ours is left to a person.",
        plan_app(ONE, app(MACHINE, found(ONE, slot(), name="web-0-r1", metadata={}))),
    ),
    "protected-count-lowered": Scene(
        "In a protected app nothing is destroyed.",
        plan_app(alice(slot(), protect=True), app(MACHINE, found(ONE, slot("web-1")))),
    ),
    "protection-lifted": Scene(
        "A document that lifts the protection is applied before anything is destroyed for it.",
        plan_app(
            alice(slot(), protect=False),
            app(MACHINE, found(ONE, slot("web-1")), secret_names=NAMES | {label.PROTECTED}),
        ),
    ),
}

REPLACED: Mapping[str, Scene] = {
    "region-moved": Scene(
        "A machine without a volume moves by being destroyed and made anew, under a name that is free.",
        plan_app(alice(slot(regions=("fra",))), app(MACHINE)),
    ),
    "region-moved-with-volume": Scene(
        "A machine with a volume does not move: what would be lost is said.",
        plan_app(ELSEWHERE, app(HOLDER, volumes=(VOLUME,))),
    ),
    "region-moved-and-given-up": Scene(
        "A volume that was given up goes after its machine, and new ones come after it.",
        plan_app(ELSEWHERE, app(HOLDER, volumes=(VOLUME,), snapshots=FRESH), approved=GIVEN_UP),
    ),
    "region-moved-with-old-snapshot": Scene(
        "A snapshot from hours ago is no reason to give a volume up: a new one is taken first.",
        plan_app(
            ELSEWHERE,
            app(HOLDER, volumes=(VOLUME,), snapshots={"vol_1": (Snapshot("vs_0", "created", NOW - 7200.0),)}),
            approved=GIVEN_UP,
        ),
    ),
    "region-moved-protected": Scene(
        "In a protected app no machine is replaced.",
        plan_app(
            alice(slot(regions=("fra",)), protect=True), app(MACHINE, secret_names=NAMES | {label.PROTECTED})
        ),
    ),
    "volume-added": Scene(
        "A machine that is to have a volume is made anew with one.", plan_app(STATEFUL, app(MACHINE))
    ),
    "volume-dropped": Scene(
        "A machine is not made anew without its volume unless somebody gives that up.",
        plan_app(alice(slot(spec_hash="spec2")), app(HOLDER, volumes=(VOLUME,))),
    ),
    "stuck": Scene(
        "Where its host cannot hold the update, a machine without a volume is made anew elsewhere.",
        plan_app(alice(slot(**NEW)), app(MACHINE), stuck={MACHINE.id: "its host has no room for 2 GB more"}),
    ),
    "stuck-with-volume": Scene(
        "Where its host cannot hold the update, a machine with a volume is held.",
        plan_app(
            alice(with_volume(**NEW)),
            app(HOLDER, volumes=(VOLUME,)),
            stuck={HOLDER.id: "its host has no room for 2 GB more"},
        ),
    ),
    "host-lost": Scene(
        "When a host is lost, a machine without a volume gets another beside it under the next name.",
        plan_app(ONE, app(replace(MACHINE, host_status="unreachable", config={}, submitted=None))),
    ),
    "host-lost-with-volume": Scene(
        "When a host is lost, a machine with a volume is held: its data is there.",
        plan_app(
            STATEFUL,
            app(replace(HOLDER, host_status="unreachable", config={}, submitted=None), volumes=(VOLUME,)),
        ),
    ),
    "host-back": Scene(
        "When the host is back, the machine that was replaced goes.",
        plan_app(ONE, app(MACHINE, found(ONE, slot(), name="web-0-r1"))),
    ),
    "came-back": Scene(
        "A document that comes back before its machines are gone puts them back in service.",
        plan_app(ONE, app(with_marks(MACHINE, **{mark.WITHDRAWN: "true"}))),
    ),
}

TURNS: Mapping[str, Scene] = {
    "rolling": Scene(
        "Of those that run a third at a time is away; of each kind the first goes alone.", fleet_of_seven()
    ),
    "rolling-two-at-a-time": Scene(
        "max_unavailable as a count lets just so many be away.",
        fleet_of_seven(deploy=DeploySpec(max_unavailable=2)),
    ),
    "immediate": Scene(
        "With immediate no machine waits for another.",
        fleet_of_seven(deploy=DeploySpec(strategy="immediate")),
    ),
}

SCENES: Mapping[str, Scene] = {**BEGINNINGS, **CHANGES, **VOLUMES, **FEWER, **REPLACED, **TURNS}
