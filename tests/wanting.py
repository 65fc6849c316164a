"""One small user app for tests of `apply`: what is wanted of it, and the steps from what is there to that."""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.core.action import (
    Action,
    CreateApp,
    CreateMachine,
    CreateVolume,
    MarkMachine,
    SetSecrets,
    StartMachine,
    UpdateMachine,
)
from reconciler.core.observed import Claim, ObservedApp
from reconciler.fly.client import FlyClient
from reconciler.observe import observe_app
from tests.fly.wiring import Hushed

APP = "acme-alice"
ORG = "acme"
NETWORK = "acme1-alice"
LABEL = "RECONCILER_OWNER_ACME1"
VALUES = {LABEL: Hushed("alice"), "API_KEY": Hushed("hunter2hunter2")}
MARKS = {"reconciler_owner": "acme1.alice", "reconciler_slot": "web-0", "reconciler_spec": "hash-1"}
CONFIG: Mapping[str, Any] = {"image": "registry.fly.io/studio:1", "metadata": MARKS}

create_app = CreateApp(app_name=APP, because="the app is missing", org=ORG, network=NETWORK)
set_secrets = SetSecrets(app_name=APP, because="they are missing", names=tuple(sorted(VALUES)), unset=())


def create_volume(*regions: str) -> CreateVolume:
    """The slot's volume, in the first of `regions` with room."""
    return CreateVolume(
        app_name=APP,
        because="web-0 has none",
        name="web_data_0",
        regions=regions or ("iad", "ord"),
        size_gb=1,
        create={"snapshot_retention": 7},
        compute={"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
    )


def create_machine(
    *,
    regions: Sequence[str] = ("iad", "ord"),
    mount: Mapping[str, Any] | None = None,
    volume_name: str | None = None,
    config: Mapping[str, Any] = CONFIG,
    skip_launch: bool = False,
    must_run: bool = True,
) -> CreateMachine:
    """The slot's machine."""
    return CreateMachine(
        app_name=APP,
        because="web-0 is missing",
        slot="web-0",
        name="web-0",
        regions=tuple(regions),
        config=config,
        mount=mount,
        volume_name=volume_name,
        skip_launch=skip_launch,
        must_run=must_run,
    )


def update_machine(
    machine_id: str, version: str, *, image: str = "registry.fly.io/studio:2", must_run: bool = False
) -> UpdateMachine:
    """The slot's machine with another image, and the marks that go with it."""
    return UpdateMachine(
        app_name=APP,
        because="image: 1 → 2",
        machine_id=machine_id,
        slot="web-0",
        expected_version=version,
        config={"image": image, "metadata": {**MARKS, "reconciler_spec": f"hash-of-{image}"}},
        changes=("image: 1 → 2",),
        skip_launch=False,
        must_run=must_run,
    )


EVERYTHING: tuple[Action, ...] = (
    create_app,
    set_secrets,
    create_volume(),
    create_machine(mount={"path": "/data"}, volume_name="web_data_0"),
)


def start_machine(machine_id: str) -> StartMachine:
    """The slot's machine must run."""
    return StartMachine(app_name=APP, because="it is stopped", machine_id=machine_id, slot="web-0")


async def look(fly: FlyClient) -> ObservedApp:
    """What is there of it."""
    return await observe_app(fly, org=ORG, app_name=APP, network=NETWORK, owner_label=LABEL)


def steps(seen: ObservedApp) -> list[Action]:
    """From what is there to what is wanted; nothing when it is all there."""
    todo: list[Action] = []
    if seen.claim is Claim.ABSENT:
        todo.append(create_app)
    if not seen.secret_names >= set(VALUES):
        todo.append(set_secrets)
    if seen.machines:
        (machine,) = seen.machines
        if machine.state != "started":
            todo.append(start_machine(machine.id))
        if machine.metadata.get("reconciler_version") != machine.version:
            todo.append(
                MarkMachine(
                    app_name=APP,
                    because="not looked at yet",
                    machine_id=machine.id,
                    slot="web-0",
                    expected_version=machine.version,
                    metadata={"reconciler_version": machine.version},
                )
            )
    elif seen.volumes:
        (volume,) = seen.volumes
        todo.append(create_machine(regions=(volume.region,), mount={"path": "/data", "volume": volume.id}))
    else:
        todo += EVERYTHING[2:]
    return todo
