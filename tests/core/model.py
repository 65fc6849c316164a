"""The smallest model of Fly that actions can be done to, strict where Fly refuses; for laws over plans."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import singledispatchmethod
from typing import Any

from reconciler.core import mark
from reconciler.core.action import (
    Action,
    CreateApp,
    CreateMachine,
    CreateVolume,
    DeleteApp,
    DestroyMachine,
    DestroyVolume,
    ExtendVolume,
    MarkMachine,
    SetSecrets,
    SnapshotVolume,
    StartMachine,
    UpdateMachine,
    WithdrawRoute,
)
from reconciler.core.observed import Claim, ObservedApp, ObservedMachine, ObservedVolume, Snapshot
from reconciler.core.volume import GOING
from tests.core.alice import NOW

Json = Any


class Model:
    """One app; `seen` is what a whole reading shows. AssertionError where Fly would refuse."""

    def __init__(self, seen: ObservedApp, *, now: float = NOW) -> None:
        self.seen = seen
        self._now = now
        self._count = 0

    def do(self, actions: Iterable[Action]) -> ObservedApp:
        """All of them in their order, each after everything that it waits for."""
        done: set[str] = set()
        for action in actions:
            assert done >= set(action.after), f"{action.key} comes before what it waits for"
            assert action.key not in done, f"{action.key} is not one action"
            self._do(action)
            done.add(action.key)
        return self.seen

    @singledispatchmethod
    def _do(self, action: Action) -> None:
        raise AssertionError(f"the model does not know {action}")

    @_do.register
    def _(self, action: CreateApp) -> None:
        assert self.seen.claim is Claim.ABSENT, f"422 name_taken: {action.app_name}"
        self.seen = replace(self.seen, claim=Claim.OURS)

    @_do.register
    def _(self, action: SetSecrets) -> None:
        self._assert_is_ours()
        names = (self.seen.secret_names | set(action.names)) - set(action.unset)
        self.seen = replace(self.seen, secret_names=names)

    @_do.register
    def _(self, action: CreateVolume) -> None:
        self._assert_is_ours()
        made = ObservedVolume(
            self._new("vol"), action.name, "created", action.regions[0], action.size_gb, None, "2026-03-01"
        )
        self.seen = replace(self.seen, volumes=(*self.seen.volumes, made))

    @_do.register
    def _(self, action: CreateMachine) -> None:
        self._assert_is_ours()
        assert action.name not in {machine.name for machine in self.seen.machines}, "409 already_exists"
        machine_id, region, config = self._new("id"), action.regions[0], dict(action.config)
        if action.mount is not None:
            volume = self._free_volume(action)
            region = volume.region
            config["mounts"] = [{**action.mount, "volume": volume.id}]
            held = replace(volume, attached_machine_id=machine_id)
            self.seen = replace(
                self.seen, volumes=tuple(held if one.id == held.id else one for one in self.seen.volumes)
            )
        version = self._new("v")
        made = ObservedMachine(
            id=machine_id,
            name=action.name,
            state="stopped" if action.skip_launch else "started",
            region=region,
            version=version,
            config=echo(config, {mark.VERSION: version}),
            submitted=config,
        )
        self.seen = replace(self.seen, machines=(*self.seen.machines, made))

    @_do.register
    def _(self, action: UpdateMachine) -> None:
        machine = self._machine(action.machine_id, action.expected_version)
        mounted = (action.config.get("mounts") or [{}])[0].get("volume")
        assert mounted == machine.volume_id, "the volume of a mount cannot change"
        version = self._new("v")
        launched = action.must_run or (machine.state != "stopped" and not action.skip_launch)
        self._put(
            replace(
                machine,
                version=version,
                state="started" if launched else "stopped",
                config=echo(action.config, {mark.VERSION: version}),
                submitted=action.config,
            )
        )

    @_do.register
    def _(self, action: StartMachine) -> None:
        machine = self._machine(action.machine_id)
        assert machine.state in {"stopped", "suspended", "failed"}, "412 unable to start"
        self._put(replace(machine, state="started"))

    @_do.register
    def _(self, action: MarkMachine) -> None:
        machine = self._machine(action.machine_id, action.expected_version)
        merged = {**machine.metadata, **action.metadata}
        kept = {key: value for key, value in merged.items() if value}
        self._put(replace(machine, config={**machine.config, "metadata": kept}))

    @_do.register
    def _(self, action: ExtendVolume) -> None:
        volume = self._volume(action.volume_id)
        assert action.size_gb > volume.size_gb, "volumes only grow"
        self._put_volume(replace(volume, size_gb=action.size_gb))

    @_do.register
    def _(self, action: WithdrawRoute) -> None:
        for machine_id, version in action.machines:
            machine = self._machine(machine_id, version)
            metadata = {**machine.metadata, mark.WITHDRAWN: "true"}
            self._put(replace(machine, config={**machine.config, "metadata": metadata}))

    @_do.register
    def _(self, action: SnapshotVolume) -> None:
        volume = self._volume(action.volume_id)
        taken = Snapshot(self._new("vs"), "created", self._now)
        before = self.seen.snapshots.get(volume.id, ())
        self.seen = replace(self.seen, snapshots={**self.seen.snapshots, volume.id: (*before, taken)})

    @_do.register
    def _(self, action: DestroyMachine) -> None:
        machine = self._machine(action.machine_id, action.expected_version)
        self.seen = replace(
            self.seen,
            machines=tuple(one for one in self.seen.machines if one.id != machine.id),
            gone=(replace(machine, state="destroyed"), *self.seen.gone),
            volumes=tuple(
                replace(one, attached_machine_id=None) if one.attached_machine_id == machine.id else one
                for one in self.seen.volumes
            ),
        )

    @_do.register
    def _(self, action: DestroyVolume) -> None:
        volume = self._volume(action.volume_id)
        assert volume.attached_machine_id is None, "412: it is mounted"
        assert volume.id not in {machine.volume_id for machine in self.seen.machines}, "412: it is mounted"
        self._put_volume(replace(volume, state="pending_destroy"))

    @_do.register
    def _(self, action: DeleteApp) -> None:
        self._assert_is_ours()
        assert action.network == self.seen.network
        assert not self.seen.machines, "they would go along"
        assert all(volume.state in GOING for volume in self.seen.volumes), "they would go along"
        self.seen = ObservedApp(self.seen.app_name, Claim.ABSENT)

    def _volume(self, volume_id: str) -> ObservedVolume:
        self._assert_is_ours()
        (volume,) = [one for one in self.seen.volumes if one.id == volume_id]
        assert volume.state not in GOING, "it is on its way out"
        return volume

    def _put_volume(self, volume: ObservedVolume) -> None:
        self.seen = replace(
            self.seen, volumes=tuple(volume if one.id == volume.id else one for one in self.seen.volumes)
        )

    def _assert_is_ours(self) -> None:
        assert self.seen.claim is Claim.OURS, "somebody else's"

    def _machine(self, machine_id: str, version: str | None = None) -> ObservedMachine:
        self._assert_is_ours()
        (machine,) = [one for one in self.seen.machines if one.id == machine_id]
        assert machine.host_status == "ok", "the host does not answer"
        assert version in (None, machine.version), "412: somebody was faster"
        return machine

    def _put(self, machine: ObservedMachine) -> None:
        self.seen = replace(
            self.seen,
            machines=tuple(machine if one.id == machine.id else one for one in self.seen.machines),
        )

    def _free_volume(self, action: CreateMachine) -> ObservedVolume:
        assert action.mount is not None
        for volume in reversed(self.seen.volumes):
            if action.mount.get("volume") == volume.id or (
                action.volume_name == volume.name and volume.id.startswith("new-")
            ):
                assert volume.attached_machine_id is None, "412 volume already claimed"
                assert volume.state in {"created", "hydrating"}
                return volume
        raise AssertionError("the volume must be there before the machine")

    def _new(self, kind: str) -> str:
        self._count += 1
        return f"new-{kind}-{self._count}"


def echo(config: Mapping[str, Json], metadata: Mapping[str, str] = {}) -> dict[str, Json]:
    """A config as Fly shows it: autostop as booleans, defaults filled in, empty objects for nothing."""
    services = [
        {**service, "autostop": {"off": False, "stop": True}.get(service["autostop"], service["autostop"])}
        for service in config.get("services", [])
    ]
    mounts = [
        {**mount, "size_gb": 1, "encrypted": True, "name": "web_data_0"} for mount in config.get("mounts", [])
    ]
    return {
        **config,
        "init": {},
        "dns": {},
        "restart": {"policy": "on-failure", "max_retries": 10},
        "auto_destroy": False,
        "services": services,
        "mounts": mounts or None,
        "metadata": {**config.get("metadata", {}), **metadata},
    }
