"""Plans to show: a few users with one change each, and surveys of them."""

from collections.abc import Iterable
from typing import Any

from reconciler.core.action import Class, CreateApp, CreateMachine, CreateVolume, SetSecrets, UpdateMachine
from reconciler.core.data_loss import Loss
from reconciler.core.fleet_plan import FleetPlan
from reconciler.core.plan import AppPlan
from reconciler.survey import Survey

REPOSITORY = "registry.fly.io/studio@sha256:"
OLD, NEW = REPOSITORY + "1a" * 32, REPOSITORY + "2b" * 32
CANARY = "canary-env"


def creating(name: str) -> AppPlan:
    """A user who is not there yet."""
    app = f"acme-{name}"
    machine = CreateMachine(
        app_name=app,
        because="no machine fills the slot",
        key="machine:web-0",
        after=("volume:web_data_0",),
        klass=Class.CREATE,
        slot="web-0",
        name="web-0",
        regions=("iad",),
        config={"image": "registry.fly.io/studio:1", "env": {"CANARY": CANARY}},
        mount=None,
        volume_name=None,
        skip_launch=False,
        must_run=True,
    )
    volume = CreateVolume(
        app_name=app,
        because="web-0 never had a volume",
        key="volume:web_data_0",
        after=("app",),
        klass=Class.CREATE,
        name="web_data_0",
        regions=("iad",),
        size_gb=1,
        create={},
        compute=None,
    )
    secrets = SetSecrets(
        app_name=app, because="they are not set", key="secrets", after=("app",), names=("API_KEY",), unset=()
    )
    new = CreateApp(
        app_name=app, because="no app yet", key="app", klass=Class.CREATE, org="acme", network=f"i-{name}"
    )
    return AppPlan(name=name, app_name=app, actions=(new, secrets, volume, machine))


def updating(name: str, *changes: str, slots: Iterable[str] = ("web-0",), **more: Any) -> AppPlan:
    """A user whose machines get another config: by default another image."""
    changes = changes or (f"image: {OLD} → {NEW}",)
    actions = tuple(
        UpdateMachine(
            app_name=f"acme-{name}",
            because=changes[0],
            key=f"machine:{slot}",
            klass=Class.RESTART,
            machine_id=f"id-{name}-{slot}",
            slot=slot,
            expected_version="v1",
            config={"env": {"CANARY": CANARY}},
            changes=changes,
            skip_launch=False,
            must_run=True,
        )
        for slot in slots
    )
    return AppPlan(name=name, app_name=f"acme-{name}", actions=actions, **more)


def losing(name: str, *, approved: bool = False) -> AppPlan:
    """A user with a volume that is not wanted any more."""
    loss = Loss(
        volume_id=f"vol_{name}",
        name="web_data_1",
        region="iad",
        size_gb=10,
        because="the document has no slot web-1 any more",
        approved=approved,
    )
    return AppPlan(name=name, app_name=f"acme-{name}", losses=(loss,))


def survey_of(*apps: AppPlan, silent_regions: tuple[str, ...] = (), **more: Any) -> Survey:
    """What a look at these found."""
    return Survey(FleetPlan(apps=apps, **more), (), silent_regions)


def many(count: int) -> list[AppPlan]:
    """So many users with the same new image."""
    return [updating(f"user-{number:05}") for number in range(count)]
