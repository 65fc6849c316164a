"""The one file that changes Fly: does the actions of a plan, in order, each safe to do twice.

A crash or a lost answer at any call leaves what the next run finds and goes on with: it looks before it
creates, and adopts only what carries our marks. What to do is `core.plan`'s, whose the app is `observe`'s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar, assert_never

import structlog

from reconciler.core import mark
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
from reconciler.core.slot import DYING
from reconciler.core.volume import GOING
from reconciler.fly.client import FlyClient, Secret
from reconciler.fly.errors import (
    Ambiguous,
    Capacity,
    ConcurrentUpdate,
    FlyError,
    Forbidden,
    NameHeld,
    NameTaken,
    NotFound,
    NotNow,
    Refused,
)
from reconciler.fly.models import App, Machine, Volume
from reconciler.fly.settle import settled, visible

Json = Any
T = TypeVar("T")

VOLUME_LISTED_WITHIN_S = 30.0  # volumes have no unique name: look for so long before creating again
REFUSED_WITHIN_S = 120.0  # how long a refusal that clears by itself is waited for: a volume still bound …
LOOK_EVERY_S = 1.0
CREATE_TRIES = 4
LEASE_TTL_S = 15

log = structlog.get_logger()


class StepFailed(Exception):  # noqa: N818 - named by what happened
    """Fly did as told and the outcome is not what was wanted; `str()` is one line.

    `reason` is a CamelCase word for conditions; `is_transient`: trying again later can help by itself.
    """

    def __init__(self, reason: str, message: str, *, is_transient: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.is_transient = is_transient


async def apply(
    actions: Sequence[Action],
    *,
    fly: FlyClient,
    values: Mapping[str, Secret],
    describe: str,
) -> None:
    """Do one app's `actions` in order and stop at the first that fails.

    The plan must come from a read made just before. `values`: every secret that a SetSecrets names;
    `describe`: `{installation}/{process}`, written on leases. Raises `FlyError` or `StepFailed`.
    """
    run = _Run(fly, values, describe)
    for action in actions:
        told = log.bind(app=action.app_name, action=action.kind)
        told.info("apply.started", because=action.because)
        try:
            await run.do(action)
        except (FlyError, StepFailed) as error:
            told.warning("apply.failed", error=str(error))
            raise
        told.info("apply.done")


class _Run:
    """What earlier actions of one plan leave for later ones: new names, ids and the secrets version."""

    def __init__(self, fly: FlyClient, values: Mapping[str, Secret], describe: str) -> None:
        self._fly = fly
        self._values = values
        self._describe = describe
        self._is_new_app = False
        self._volumes: dict[str, Volume] = {}
        self._secrets_version: int | None = None

    async def do(self, action: Action) -> None:
        match action:
            case CreateApp():
                await self._create_app(action)
            case SetSecrets():
                await self._set_secrets(action)
            case CreateVolume():
                await self._create_volume(action)
            case CreateMachine():
                await self._create_machine(action)
            case UpdateMachine():
                await self._update_machine(action)
            case StartMachine():
                await self._bring_up(action)
            case MarkMachine():
                await self._mark(action)
            case _:
                assert_never(action)

    async def _create_app(self, action: CreateApp) -> None:
        refused: FlyError | None = None
        try:
            await self._fly.create_app(name=action.app_name, org=action.org, network=action.network)
        except (NameTaken, Ambiguous, Refused) as error:
            if isinstance(error, Refused) and error.status != HTTPStatus.CONFLICT:
                raise
            refused = error  # perhaps by our own app, of a try whose answer was lost
        self._is_new_app = True
        try:
            app = await visible(lambda: self._fly.get_app(action.app_name))
        except Forbidden as error:
            raise _taken(action, "another organisation has it") from error
        except NotFound as error:
            raise refused or error from error
        _check_is_ours(action, app)

    async def _set_secrets(self, action: SetSecrets) -> None:
        missing = sorted(set(action.names) - set(self._values))
        if missing:
            raise StepFailed(
                "SecretMissing",
                f"cannot set secrets of {action.app_name}: there is no value here for {', '.join(missing)}; "
                "offer it where its Secret document says that it comes from",
                is_transient=False,
            )
        values: dict[str, Secret | None] = {name: self._values[name] for name in action.names}
        values |= dict.fromkeys(action.unset)
        self._secrets_version = await self._seen(lambda: self._fly.set_secrets(action.app_name, values))

    async def _create_volume(self, action: CreateVolume) -> None:
        async def create(region: str) -> Volume:
            return await self._fly.create_volume(
                action.app_name,
                name=action.name,
                region=region,
                size_gb=action.size_gb,
                create=action.create,
                compute=action.compute,
            )

        volume = await self._find_volume(action)
        tries = 0
        while volume is None:
            tries += 1
            try:
                volume = await self._seen(lambda: _where_there_is_room(action.regions, create))
            except Ambiguous:
                volume = await self._look_for_volume(action)
                if volume is None and tries == CREATE_TRIES:
                    raise
        self._volumes[action.name] = volume

    async def _look_for_volume(self, action: CreateVolume) -> Volume | None:
        give_up_at = _now() + VOLUME_LISTED_WITHIN_S
        while True:
            volume = await self._find_volume(action)
            if volume is not None or _now() >= give_up_at:
                return volume
            await asyncio.sleep(LOOK_EVERY_S)

    async def _find_volume(self, action: CreateVolume) -> Volume | None:
        """One of that name, a free one first and the oldest of several: the name is one slot's own."""
        listed = await self._seen(lambda: self._fly.list_volumes(action.app_name))
        found = [v for v in listed if v.name == action.name and v.state not in GOING]
        return min(found, key=lambda v: (bool(v.attached_machine_id), v.created_at, v.id), default=None)

    async def _create_machine(self, action: CreateMachine) -> None:
        config, regions = self._mounted(action)
        machine = await self._seen(
            lambda: _where_there_is_room(regions, lambda region: self._obtain(action, region, config))
        )
        if not _is_made_from(config, machine):
            raise StepFailed(
                "Outdated",
                f"machine {action.name} of {action.app_name} comes from an earlier try with another config; "
                "it is compared again",
                is_transient=True,
            )
        found = await settled(
            self._fly,
            action.app_name,
            machine.id,
            version=machine.instance_id,
            is_new=True,
            is_asleep=action.skip_launch,
        )
        _check_outcome(action, machine.instance_id, found)
        await self._verify(action, found)

    def _mounted(self, action: CreateMachine) -> tuple[Mapping[str, Json], Sequence[str]]:
        """The whole config, and the regions: a machine must be where its volume is."""
        if action.mount is None:
            return action.config, action.regions
        if action.volume_name is None:
            return {**action.config, "mounts": [dict(action.mount)]}, action.regions
        volume = self._volumes[action.volume_name]
        return {**action.config, "mounts": [{**action.mount, "volume": volume.id}]}, (volume.region,)

    async def _obtain(self, action: CreateMachine, region: str, config: Mapping[str, Json]) -> Machine:
        """Create it, or find the one that an earlier try made: two of one name cannot live in an app."""
        give_up_at = _now() + REFUSED_WITHIN_S
        tries = 0
        while True:
            tries += 1
            try:
                return await self._fly.create_machine(
                    action.app_name,
                    name=action.name,
                    region=region,
                    config=config,
                    skip_launch=action.skip_launch,
                    min_secrets_version=self._secrets_version,
                )
            except (NameHeld, Ambiguous, NotNow) as error:
                found = await self._find_machine(action, error)
                if found is not None:
                    return found
                is_lost = isinstance(error, Ambiguous) and tries >= CREATE_TRIES
                if is_lost or isinstance(error, NameHeld) or _now() >= give_up_at:
                    raise
            await asyncio.sleep(LOOK_EVERY_S)

    async def _find_machine(self, action: CreateMachine, refused: FlyError) -> Machine | None:
        """The living machine of that name with our marks for that slot."""
        if isinstance(refused, NameHeld) and refused.machine_id:
            try:
                found = [await self._fly.get_machine(action.app_name, refused.machine_id)]
            except NotFound:
                return None
        else:
            found = await self._fly.list_machines(action.app_name)
        for machine in found:
            is_its_slot = all(
                machine.metadata.get(key) == action.config["metadata"][key] for key in (mark.OWNER, mark.SLOT)
            )
            if machine.name == action.name and is_its_slot and machine.state not in DYING:
                return machine
        return None

    async def _update_machine(self, action: UpdateMachine) -> None:
        app, machine_id = action.app_name, action.machine_id
        async with self._fly.lease(app, machine_id, description=self._describe, ttl_s=LEASE_TTL_S) as lease:
            version = await self._replace(action, lease.nonce)
            found = await settled(self._fly, app, machine_id, version=version, is_asleep=action.skip_launch)
            if found.instance_id == version and action.must_run and found.state == "stopped":
                found = await self._bring_up(action, nonce=lease.nonce)  # it was not running before, either
            _check_outcome(action, version, found)
            await self._verify(action, found)

    async def _replace(self, action: UpdateMachine, nonce: str) -> str:
        """The new version; asked again after a lost answer, since `current_version` lets only one through."""
        lost: Ambiguous | None = None
        tries = 0
        while True:
            tries += 1
            try:
                answer = await self._fly.update_machine(
                    action.app_name,
                    action.machine_id,
                    config=action.config,
                    current_version=action.expected_version,
                    nonce=nonce,
                    skip_launch=action.skip_launch,
                    min_secrets_version=self._secrets_version,
                )
            except (Ambiguous, ConcurrentUpdate) as error:
                lost = error if isinstance(error, Ambiguous) else lost
                if lost is None or tries == CREATE_TRIES:
                    raise
            else:
                return answer.instance_id
            found = await self._fly.get_machine(action.app_name, action.machine_id)
            if found.instance_id != action.expected_version:
                if not _is_made_from(action.config, found):
                    raise lost
                return found.instance_id
            await asyncio.sleep(LOOK_EVERY_S)

    async def _bring_up(self, action: StartMachine | UpdateMachine, *, nonce: str | None = None) -> Machine:
        app, machine_id = action.app_name, action.machine_id
        give_up_at = _now() + REFUSED_WITHIN_S
        while True:
            found = await self._fly.get_machine(app, machine_id)
            if found.state == "started":
                return found
            try:
                await self._fly.start_machine(app, machine_id, nonce=nonce)
            except NotNow:
                if _now() >= give_up_at:
                    raise
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            found = await settled(self._fly, app, machine_id, version=found.instance_id)
            if found.state != "started":
                raise _does_not_run(action, found)
            return found

    async def _verify(self, action: CreateMachine | UpdateMachine, found: Machine) -> None:
        """Write down that this version was looked at: the mark that later lets a mere row be believed."""
        await self._fly.patch_metadata(
            action.app_name,
            found.id,
            {mark.VERSION: found.instance_id},
            machine_version=found.instance_id,
        )

    async def _mark(self, action: MarkMachine) -> None:
        await self._fly.patch_metadata(
            action.app_name, action.machine_id, action.metadata, machine_version=action.expected_version
        )

    async def _seen(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask; an app made by this plan may not be known everywhere yet."""
        return await (visible(ask) if self._is_new_app else ask())


async def _where_there_is_room(regions: Sequence[str], create: Callable[[str], Awaitable[T]]) -> T:
    """What `create` makes in the first region with room; raises the last region's `Capacity`."""
    for region in regions[:-1]:
        try:
            return await create(region)
        except Capacity as error:
            log.info("apply.region_full", region=region, error=str(error))
    return await create(regions[-1])


def _check_is_ours(action: CreateApp, app: App) -> None:
    if app.organization.slug != action.org:
        raise _taken(action, f"organisation {app.organization.slug} has it")
    if app.network != action.network:
        raise _taken(action, f"it exists on network {app.network or 'default'}, not on {action.network}")


def _taken(action: CreateApp, why: str) -> NameTaken:
    return NameTaken(f"create app {action.app_name}", f"the name is taken: {why}")


def _is_made_from(config: Mapping[str, Json], machine: Machine) -> bool:
    """Whether its marks are those of `config`; the mark of verification comes later and says nothing here."""
    marks = {key: value for key, value in config["metadata"].items() if key.startswith("reconciler_")}
    return all(machine.metadata.get(key) == value for key, value in marks.items())


def _check_outcome(action: CreateMachine | UpdateMachine, version: str, found: Machine) -> None:
    if found.instance_id != version:
        raise StepFailed(
            "Reverted",
            f"machine {found.name} ({found.id}) of {action.app_name} did not stay at its new version: it has "
            f"{found.instance_id}, not {version}; Fly goes back when a new version cannot be brought up",
            is_transient=False,
        )
    is_broken = found.state in {"failed", *DYING}
    if is_broken or (action.must_run and found.state != "started"):
        raise _does_not_run(action, found)


def _does_not_run(action: CreateMachine | UpdateMachine | StartMachine, found: Machine) -> StepFailed:
    code = next((event.exit_code for event in found.events if event.exit_code is not None), None)
    why = "" if code is None else f" after exit code {code}"
    return StepFailed(
        "NotRunning",
        f"machine {found.name} ({found.id}) of {action.app_name} is {found.state}{why}; "
        "its own log says more",
        is_transient=True,
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
