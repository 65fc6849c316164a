"""Random worlds for laws over plans: tampered, half made, dying, foreign, lost."""

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from reconciler.core import mark
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import Claim, ObservedApp, ObservedMachine, ObservedVolume
from reconciler.core.slot import first_name
from tests.core.alice import CONFIG, LABEL, MOUNT, alice, found, marks, slot
from tests.core.alice import NAMES as SECRETS
from tests.core.model import echo

PRIVATE = "hunter2"  # stands in environments, and must not stand in anything that people read

WORLDS = settings(max_examples=100, deadline=None, derandomize=True)  # the same worlds on every run
REGIONS = ("iad", "ord")
STATES = (
    *("started", "started", "started", "stopped", "stopped", "suspended", "failed"),
    *("created", "starting", "replacing", "destroying"),
)
NAMES = (
    ("web-0",),
    ("web-0", "web-1"),
    ("web-0-r1",),
    ("web-0", "web-0-r1", "other"),
    ("web-1", "other"),
    ("web-0", "web-1", "web-2"),
    (),
)
CONFIGS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"image": "other:1"},
    {"env": {"TOKEN": f"{PRIVATE}2"}},
    {"news": {"of": "Fly"}},
    {"restart": {"policy": "always"}},
)


@st.composite
def documents(draw: st.DrawFn) -> DesiredApp:
    count = draw(st.sampled_from([1, 2, 1, 2, 3, 0]))
    has_mount, may_sleep, skip_launch = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    config = {**CONFIG, "env": {"TOKEN": PRIVATE}}
    if draw(st.booleans()):
        config["metadata"] = {"team": "blue"}
    machines = [
        slot(
            f"web-{number}",
            config=config,
            mount=replace(MOUNT, volume_name=f"web_data_{number}") if has_mount else None,
            may_sleep=may_sleep or skip_launch,
            skip_launch=skip_launch,
        )
        for number in range(count)
    ]
    is_known = draw(st.booleans())
    return alice(
        *machines,
        secrets_digest="digest1" if is_known else None,
        key_id="0badcafe" if is_known else None,
        corrects_drift=draw(st.booleans()),
    )


@st.composite
def machines(draw: st.DrawFn, desired: DesiredApp, name: str) -> ObservedMachine:
    """Mostly one that could fill its slot, with one thing or another wrong about it."""
    is_odd = draw(st.integers(0, 3)) == 0
    its_slot = draw(st.sampled_from(["web-0", "web-1", "web-7"])) if is_odd else first_name(name)
    machine = replace(desired.machines[0] if desired.machines else slot(), slot=its_slot)
    config = {**machine.config, **draw(st.sampled_from(CONFIGS))}
    own_volume = f"vol_of_{name}" if machine.mount else None
    volume = draw(st.sampled_from([None, "vol_1", "vol_2", "vol_9"])) if is_odd else own_volume
    if volume:
        config["mounts"] = [{"path": "/data", "volume": volume}]
    version = draw(st.sampled_from(["v1", "v2"]))
    live = {**marks(desired, machine), **draw(_lies())}
    submitted = {
        **config,
        "metadata": {k: v for k, v in marks(desired, machine).items() if k != mark.VERSION},
    }
    is_reachable = draw(st.integers(0, 9)) > 0
    return ObservedMachine(
        id=f"id-{name}",
        name=name,
        state=draw(st.sampled_from(STATES)),
        region=draw(st.sampled_from([*REGIONS, "sin"])) if is_odd else "iad",
        version=version,
        config=echo({**config, "metadata": {k: v for k, v in live.items() if v}}) if is_reachable else {},
        submitted=submitted if is_reachable and draw(st.booleans()) else None,
        host_status="ok" if is_reachable else "unreachable",
        cordoned=draw(st.booleans()),
    )


def _lies() -> st.SearchStrategy[dict[str, str]]:
    """What a tenant may write over its marks; an empty text removes one."""
    everything = dict.fromkeys(mark.OURS, "")
    return st.sampled_from(
        [
            {},
            {},
            everything,
            {mark.OWNER: "other1.bob"},
            {mark.SLOT: "web-1"},
            {mark.SPEC: "spec0"},
            {mark.SECRETS: ""},
            {mark.SECRETS: "digest0", mark.SECRET_NAMES: f"OLD,{LABEL}"},
            {mark.VERSION: ""},
            {"team": "red"},
        ]
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[DesiredApp, ObservedApp]:
    desired = draw(documents())
    claim = draw(st.sampled_from([Claim.OURS] * 5 + [Claim.ABSENT, Claim.FOREIGN, Claim.TAKEN]))
    if claim in (Claim.ABSENT, Claim.TAKEN):
        return desired, ObservedApp(desired.app_name, claim)
    names = draw(st.sampled_from(NAMES))
    gone_names = draw(st.lists(st.sampled_from(["web-0", "web-1"]), unique=True, max_size=2))
    gone = [
        replace(draw(machines(desired, name)), id=f"gone-{name}", state="destroyed") for name in gone_names
    ]
    volumes = [
        ObservedVolume(
            f"vol_{number}",
            draw(st.sampled_from(["web_data_0", "web_data_0", "web_data_1", "stuff"])),
            draw(st.sampled_from(["created", "created", "created", "restoring", "pending_destroy"])),
            draw(st.sampled_from(REGIONS)),
            draw(st.sampled_from([1, 1, 3])),
            draw(st.sampled_from([None, None, None, "id-web-0", "gone-web-0"])),
            f"2026-01-0{draw(st.integers(1, 3))}",
        )
        for number in range(1, draw(st.integers(0, 3)) + 1)
    ]
    living = tuple(draw(machines(desired, name)) for name in names)
    volumes += [
        ObservedVolume(
            f"vol_of_{one.name}",
            f"web_data_{first_name(one.name)[-1]}",
            "created",
            "iad",
            1,
            one.id,
            "2026-01-01",
        )
        for one in living
        if one.volume_id == f"vol_of_{one.name}" or (one.host_status != "ok" and draw(st.booleans()))
    ]
    secrets = draw(st.sets(st.sampled_from([LABEL, "PRESHARED_KEY", "API_KEY", "OLD", "BY_HAND"])))
    return desired, ObservedApp(
        desired.app_name,
        claim,
        machines=living,
        gone=tuple(gone),
        volumes=tuple(volumes),
        secret_names=frozenset(secrets),
        network=desired.network,
    )


@st.composite
def calm_worlds(draw: st.DrawFn) -> tuple[DesiredApp, ObservedApp]:
    """Ours, reachable and marked as it should be; documents and machines just want different things."""
    desired = draw(documents())
    mounts = [
        None,
        MOUNT,
        replace(MOUNT, volume_name="web_files_0"),
        replace(MOUNT, size_gb=2),
    ]
    living, volumes = [], []
    for number in range(draw(st.integers(0, 3))):
        its_slot = f"web-{number}"
        mount = draw(st.sampled_from(mounts))
        machine = slot(its_slot, config=CONFIG, spec_hash="spec0")
        name = draw(st.sampled_from([its_slot, its_slot, f"{its_slot}-r1"]))
        region = draw(st.sampled_from(["iad", "iad", "sin"]))
        volume = f"vol_{number}" if mount else None
        if mount and volume:
            volumes.append(
                ObservedVolume(
                    volume,
                    mount.volume_name.replace("_0", f"_{number}"),
                    "created",
                    region,
                    mount.size_gb,
                    f"id-{name}",
                    "2026-01-01T00:00:00Z",
                )
            )
        state = draw(st.sampled_from(["started", "started", "stopped", "suspended", "failed"]))
        living.append(found(desired, machine, name=name, volume=volume, region=region, state=state))
    if draw(st.booleans()):
        volumes.append(
            ObservedVolume(
                "vol_8",
                draw(st.sampled_from(["web_data_0", "web_data_7", "stuff"])),
                "created",
                "iad",
                1,
                None,
                "2026-01-01T00:00:07Z",
            )
        )
    return desired, ObservedApp(
        desired.app_name,
        Claim.OURS,
        machines=tuple(living),
        volumes=tuple(volumes),
        secret_names=SECRETS,
        network=desired.network,
    )
