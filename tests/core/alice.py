"""One user app to decide about: what Alice's document wants, what Fly shows; tests say only what differs."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.core import mark, plan
from reconciler.core.desired import DesiredApp, DesiredMachine, DesiredMount
from reconciler.core.observed import Claim, ListedApp, ObservedApp, ObservedMachine, ObservedVolume, Row
from reconciler.core.plan import AppPlan

Json = Any

SERVICES = [
    {
        "protocol": "tcp",
        "internal_port": 8080,
        "ports": [{"port": 80, "handlers": ["http"]}],
        "autostart": True,
        "autostop": "stop",
        "min_machines_running": 0,
    }
]
CONFIG = {
    "image": "registry/studio:1",
    "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
    "env": {"MODE": "prod"},
    "services": SERVICES,
}
MOUNT = DesiredMount("web_data_0", 1, {"encrypted": True}, {"path": "/data"})
LABEL = "RECONCILER_OWNER_INST01"
NAMES = frozenset({LABEL, "PRESHARED_KEY", "API_KEY"})


def slot(name: str = "web-0", **changes: Any) -> DesiredMachine:
    machine = DesiredMachine(
        slot=name,
        regions=("iad", "ord"),
        config=CONFIG,
        mount=None,
        skip_launch=False,
        may_sleep=True,
        spec_hash="spec1",
    )
    return replace(machine, **changes)


def with_volume(name: str = "web-0", **changes: Any) -> DesiredMachine:
    number = name.rpartition("-")[2]
    return slot(name, **{"mount": replace(MOUNT, volume_name=f"web_data_{number}"), **changes})


def alice(*machines: DesiredMachine, **changes: Any) -> DesiredApp:
    app = DesiredApp(
        name="alice",
        app_name="acme-alice",
        org="acme",
        network="inst01-alice",
        owner="inst01.alice",
        owner_label=LABEL,
        hosts=("alice.example.com",),
        machines=machines,
        secret_names=("API_KEY",),
        key_names=("PRESHARED_KEY",),
        secrets_digest="digest1",
        key_id="0badcafe",
        corrects_drift=True,
    )
    return replace(app, **changes)


NOW = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


def plan_app(desired: DesiredApp, observed: ObservedApp, *, now: float = NOW, **terms: Any) -> AppPlan:
    """The plan at a moment that most tests do not care about."""
    return plan.plan_app(desired, observed, now=now, **terms)


def marks(desired: DesiredApp, machine: DesiredMachine, version: str = "v1") -> dict[str, str]:
    return {**mark.metadata(desired, machine, None), mark.VERSION: version}


def found(
    desired: DesiredApp,
    machine: DesiredMachine,
    *,
    name: str | None = None,
    config: Mapping[str, Json] = {},
    metadata: Mapping[str, str] | None = None,
    volume: str | None = None,
    version: str = "v1",
    is_submitted: bool = True,
    **changes: Any,
) -> ObservedMachine:
    """The machine that fills the slot as it should; `config` is laid over, `metadata` replaces the marks."""
    base = {**machine.config, **config}
    if volume:
        base["mounts"] = [
            {**(machine.mount.config if machine.mount else {"path": "/data"}), "volume": volume}
        ]
    live = marks(desired, machine, version) if metadata is None else metadata
    sent = {key: value for key, value in marks(desired, machine, version).items() if key != mark.VERSION}
    observed = ObservedMachine(
        id=f"id-{name or machine.slot}",
        name=name or machine.slot,
        state="started",
        region="iad",
        version=version,
        config={**base, "metadata": dict(live)},
        submitted={**base, "metadata": sent} if is_submitted else None,
    )
    return replace(observed, **changes)


def volume(volume_id: str = "vol_1", name: str = "web_data_0", **changes: Any) -> ObservedVolume:
    base = ObservedVolume(volume_id, name, "created", "iad", 1, None, "2026-01-01T00:00:00Z")
    return replace(base, **changes)


def app(*machines: ObservedMachine, **changes: Any) -> ObservedApp:
    base = ObservedApp("acme-alice", Claim.OURS, machines=machines, secret_names=NAMES)
    return replace(base, **changes)


def absent() -> ObservedApp:
    return ObservedApp("acme-alice", Claim.ABSENT)


def listed(desired: DesiredApp, **changes: Any) -> ListedApp:
    return replace(ListedApp(desired.app_name, desired.network), **changes)


def rows(machines: Iterable[ObservedMachine]) -> tuple[Row, ...]:
    """The same machines as the org-wide list shows them: image, guest and metadata only."""
    return tuple(
        Row(
            id=machine.id,
            app_name="acme-alice",
            name=machine.name,
            state=machine.state,
            region=machine.region,
            version=machine.version,
            config={key: machine.config.get(key) for key in ("image", "guest", "metadata")},
        )
        for machine in machines
    )
