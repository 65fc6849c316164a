"""Reads what is on Fly: the whole organisation as a hint, one app as the truth.

Decides nothing but the claim, whose app it is. Leaves comparing to `core`.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from reconciler.core import moment
from reconciler.core.observed import (
    Claim,
    ListedApp,
    ObservedApp,
    ObservedFleet,
    ObservedMachine,
    ObservedVolume,
    Row,
    Snapshot,
)
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import Forbidden, NotFound
from reconciler.fly.models import App, Machine, OrgMachine

DESTROYED = "destroyed"
FLY_PRIVATE = "fdaa:"  # the first 16 bits of every address inside Fly


async def observe_fleet(fly: FlyClient, org: str) -> ObservedFleet:
    """The organisation's apps and machines in a handful of calls; it lags, and lists may miss machines.

    One row per machine, the newest one. Raises `FlyError`.
    """
    apps = await fly.list_apps(org)
    machines = await fly.org_machines(org)
    newest: dict[str, OrgMachine] = {}
    for machine in machines.rows:  # order is not guaranteed, and pages overlap
        known = newest.get(machine.id)
        if known is None or _moment(machine.updated_at) >= _moment(known.updated_at):
            newest[machine.id] = machine
    rows: dict[str, list[Row]] = {}
    for machine in sorted(newest.values(), key=lambda machine: machine.id):
        if machine.state != DESTROYED:
            rows.setdefault(machine.app_name, []).append(_row(machine))
    return ObservedFleet(
        apps={
            app.name: ListedApp(name=app.name, network=app.network)
            for app in sorted(apps, key=lambda app: app.name)
        },
        rows={app: tuple(found) for app, found in sorted(rows.items())},
        error_regions=machines.error_regions,
    )


async def observe_app(
    fly: FlyClient, *, org: str, app_name: str, network: str, owner_label: str
) -> ObservedApp:
    """Everything about one app that a change may depend on, read now; of an app not ours, the claim alone.

    `network` and `owner_label` are what proves that the app is ours. Raises `FlyError`: a read that failed
    is never taken for an absence.
    """
    try:
        app = await fly.get_app(app_name)
    except NotFound:
        return ObservedApp(app_name=app_name, claim=Claim.ABSENT)
    except Forbidden:  # names are looked up in all of Fly, and the read is refused to other organisations
        return ObservedApp(app_name=app_name, claim=Claim.TAKEN)
    if app.organization.slug != org:
        return ObservedApp(app_name=app_name, claim=Claim.TAKEN)
    secret_names = await fly.list_secrets(app_name)
    if not _is_ours(app, secret_names, network=network, owner_label=owner_label):
        return ObservedApp(app_name=app_name, claim=Claim.FOREIGN)
    contents = await observe_contents(fly, app_name, claim=Claim.OURS, secret_names=secret_names)
    return replace(
        contents,
        network=app.network,
        machine_count=app.machine_count or 0,
        volume_count=app.volume_count or 0,
    )


async def observe_contents(
    fly: FlyClient, app_name: str, *, claim: Claim, secret_names: frozenset[str]
) -> ObservedApp:
    """Everything in an app, whosever it is. Raises `FlyError`."""
    machines = await fly.list_machines(app_name, include_deleted=True)
    volumes = await fly.list_volumes(app_name)
    addresses = await fly.list_addresses(app_name)
    living = [
        await _observe_machine(fly, app_name, machine) for machine in machines if machine.state != DESTROYED
    ]
    gone = [machine for machine in machines if machine.state == DESTROYED]
    return ObservedApp(
        app_name=app_name,
        claim=claim,
        machines=tuple(sorted(living, key=lambda machine: (machine.name, machine.id))),
        gone=tuple(
            _machine(machine, submitted=None)
            for machine in sorted(gone, key=lambda machine: _moment(machine.updated_at), reverse=True)
        ),
        volumes=tuple(
            ObservedVolume(
                id=volume.id,
                name=volume.name,
                state=volume.state,
                region=volume.region,
                size_gb=volume.size_gb,
                attached_machine_id=volume.attached_machine_id or None,
                created_at=volume.created_at,
            )
            for volume in sorted(volumes, key=lambda volume: (volume.name, volume.id))
        ),
        secret_names=secret_names,
        public_addresses=tuple(
            sorted(
                address.ip
                for address in addresses
                if address.ip and not address.egress and not address.ip.lower().startswith(FLY_PRIVATE)
            )
        ),
    )


async def observe_snapshots(
    fly: FlyClient, observed: ObservedApp, volumes: Collection[str] | None = None
) -> ObservedApp:
    """The same with the snapshots of these volumes (None: of all), which only the loss of one asks for.

    Raises `FlyError`: a volume whose snapshots were not read is not taken for one without.
    """
    wanted = [one.id for one in observed.volumes if volumes is None or one.id in volumes]
    found = {each: await fly.list_snapshots(observed.app_name, each) for each in wanted}
    return replace(
        observed,
        snapshots={
            each: tuple(
                Snapshot(snapshot.id, snapshot.status, moment.parse(snapshot.created_at) or 0.0)
                for snapshot in snapshots
            )
            for each, snapshots in found.items()
        },
    )


def _is_ours(app: App, secret_names: frozenset[str], *, network: str, owner_label: str) -> bool:
    """The network is set by the call that creates an app; the label is how an existing app was adopted."""
    return app.network == network or owner_label in secret_names


async def _observe_machine(fly: FlyClient, app_name: str, machine: Machine) -> ObservedMachine:
    if machine.config is None or machine.state == "destroying":
        return _machine(machine, submitted=None)  # its host cannot be asked, or the answer has no use
    versions = await fly.list_versions(app_name, machine.id)
    submitted = next(
        (version.user_config for version in versions or () if version.version == machine.instance_id), None
    )
    return _machine(machine, submitted=submitted)


def _machine(machine: Machine, *, submitted: dict[str, object] | None) -> ObservedMachine:
    return ObservedMachine(
        id=machine.id,
        name=machine.name,
        state=machine.state,
        region=machine.region,
        version=machine.instance_id,
        config=machine.config or {},
        submitted=submitted,
        host_status=machine.host_status or "ok",
        cordoned=bool(machine.cordoned),
    )


def _row(machine: OrgMachine) -> Row:
    return Row(
        id=machine.id,
        app_name=machine.app_name,
        name=machine.name,
        state=machine.state,
        region=machine.region,
        version=machine.version,
        config=machine.config or {},
    )


def _moment(timestamp: str) -> datetime:
    """RFC 3339 with any number of decimals, which text comparison would order wrongly."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
