"""What exists on this laptop's Fly, and where to find it.

Answers for identity, look-ups and what belongs to whom; the things themselves are `nouns`. What happens to a
machine over time is `lifecycle`'s; requests, refusals and JSON shapes are `api`'s.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from localfly.clock import Clock
from localfly.identity import Ids, private_ip
from localfly.kept import Unsaved
from localfly.nouns import (
    DEFAULT_NETWORK,
    NO_CHECKS,
    Address,
    App,
    Certificate,
    CheckResult,
    Counts,
    CustomCertificate,
    Event,
    Former,
    HostStatus,
    Lease,
    Machine,
    Org,
    Secret,
    Snapshot,
    Source,
    Version,
    Volume,
)

__all__ = [
    "DEFAULT_NETWORK",
    "NO_CHECKS",
    "Address",
    "App",
    "Certificate",
    "CheckResult",
    "Counts",
    "CustomCertificate",
    "Event",
    "Former",
    "HostStatus",
    "Lease",
    "Machine",
    "Org",
    "Secret",
    "Snapshot",
    "Source",
    "Version",
    "Volume",
    "World",
]


class World:
    """All organisations and apps, one namespace of app names, and the clock (unix seconds) they share.

    `clock` is a Clock, or where a new one takes its time from. Once something keeps it, `unsaved` has what
    changed, and `save()` before an answer leaves makes that answer true for good.
    """

    def __init__(self, clock: Clock | Callable[[], float], *, ids: Ids | None = None) -> None:
        self.clock = clock if isinstance(clock, Clock) else Clock(clock)
        self.ids = ids or Ids()
        self.orgs: dict[str, Org] = {}
        self.apps: dict[str, App] = {}
        self.machines: dict[str, Machine] = {}
        self.bad_images: set[str] = set()  # references that no host can pull
        self.unsaved: Unsaved | None = None
        self.save: Callable[[], None] = _nothing_to_do
        self.before_start: Callable[[Machine], Awaitable[str | None]] = _no_fault  # why a start is to fail
        self.counts = Counts()

    def add_org(self, slug: str) -> Org:
        """The organisation of that slug, made if it is new."""
        if slug not in self.orgs:
            self.orgs[slug] = Org(slug, len(self.orgs) + 1)
            self.orgs[slug].follow(self.unsaved)
            self.join_network(self.orgs[slug], DEFAULT_NETWORK)
        return self.orgs[slug]

    def join_network(self, org: Org, name: str) -> int:
        """The number of that network; a network comes into being when it is first named, for ever."""
        if name not in org.networks:
            self.counts.networks += 1
            org.networks[name] = self.counts.networks
            org.changed()
        return org.networks[name]

    def add_app(self, name: str, *, org: str, network: str = DEFAULT_NETWORK) -> App:
        """A new app on that network of an organisation; the name must be free and lawful (caller's check)."""
        owner = self.add_org(org)
        self.join_network(owner, network)
        self.counts.apps += 1
        app = App(
            id=self.ids.hex(14),
            number=self.counts.apps,
            name=name,
            org=owner,
            network=network,
            created_at=self.clock(),
        )
        self.apps[name] = app
        app.follow(self.unsaved)
        return app

    def add_volume(self, app: App, volume: Volume) -> None:
        """A new volume of an app."""
        app.volumes[volume.id] = volume
        volume.follow(self.unsaved)

    def add_machine(
        self,
        app: App,
        *,
        name: str,
        region: str,
        config: Mapping[str, Any],
        submitted: Mapping[str, Any],
        secrets: Mapping[str, Secret],
        volume: Volume | None = None,
    ) -> Machine:
        """A new machine in state `created`, with its first version, bound to its volume; nothing runs yet."""
        now = self.clock()
        machine_id = self._fresh_machine_id()
        machine = Machine(
            id=machine_id,
            name=name,
            app=app,
            region=region,
            private_ip=private_ip(app.org.networks[app.network], machine_id),
            created_at=now,
            updated_at=now,
            change=self.counts.next_change(),
            instance_id=self.ids.ulid(now),
            state="created",
            config=config,
            secrets=secrets,
        )
        machine.versions.append(Version(machine.instance_id, submitted))
        app.machines[machine_id] = self.machines[machine_id] = app.org.machines[machine_id] = machine
        machine.follow(self.unsaved)
        if volume is not None:
            volume.machine_id, volume.updated_at = machine_id, now
        return machine

    def volume_of(self, machine: Machine) -> Volume | None:
        """The volume that is bound to it."""
        volume = machine.app.volumes.get(machine.mount["volume"]) if machine.mount else None
        return volume if volume is not None and volume.machine_id == machine.id else None

    def free_volume(self, machine: Machine) -> None:
        """Unbind the volume of a machine that is finally destroyed."""
        if (volume := self.volume_of(machine)) is not None:
            volume.machine_id, volume.updated_at = None, self.clock()

    def forget_app(self, app: App) -> None:
        """Take a deleted app away with all that it holds; its name is free."""
        for machine in list(app.machines.values()):
            self.forget_machine(machine)
        for volume in app.volumes.values():
            volume.changed()
        self.apps.pop(app.name, None)
        app.changed()

    def empty_app(self, app: App) -> None:
        """Take all away that an app holds, but its addresses; its secrets count on."""
        for machine in list(app.machines.values()):
            self.forget_machine(machine)
        for volume in app.volumes.values():
            volume.changed()
        app.volumes.clear()
        self.set_secrets(app, dict.fromkeys(app.secrets))
        app.changed()

    def forget_machine(self, machine: Machine) -> None:
        """Take a destroyed machine out of every list."""
        for holder in (self.machines, machine.app.machines, machine.app.org.machines):
            holder.pop(machine.id, None)
        machine.changed()

    def touch(self, machine: Machine) -> None:
        """Note that a machine changed now, and wake those who wait for it."""
        machine.updated_at, machine.change = self.clock(), self.counts.next_change()
        rows = machine.app.org.machines
        if rows.pop(machine.id, None) is not None:
            rows[machine.id] = machine
        self.wake(machine)

    def wake(self, machine: Machine) -> None:
        """Let everyone who waits for it look again."""
        waiters, machine.waiters = machine.waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def set_secrets(self, app: App, values: Mapping[str, str | None]) -> int:
        """Set names, or remove those with None, in one step; returns the app's new secrets version."""
        now = self.clock()
        after = dict(app.secrets)
        changes = {name: value for name, value in values.items() if value is not None or name in after}
        for name, value in changes.items():
            before = after.pop(name, None)
            if value is not None:
                digest = hashlib.blake2b(f"{name}\n{value}".encode(), digest_size=16, key=app.id.encode())
                born = before.created_at if before else now
                after[name] = Secret(name, digest.hexdigest(), born, now, value)
        if changes:
            app.secrets = after
            app.secrets_version += 1
        return app.secrets_version

    def _fresh_machine_id(self) -> str:
        while (machine_id := self.ids.hex(14)) in self.machines:
            pass
        return machine_id


async def _no_fault(_: Machine) -> None:
    """Nothing keeps it from starting."""


def _nothing_to_do() -> None:
    """Nothing keeps this world."""
