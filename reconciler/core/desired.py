"""What one user app should be on Fly: every reference followed, every default filled in, every name fixed.

Answers for names, marks' contents and the resolved config. Whether documents hold is `spec`'s; what Fly
makes of the config is `defaults`'.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core import label
from reconciler.core.kinds import GroupSpec, MountSpec, UserAppSpec, volume_name
from reconciler.core.overlay import merge_patch, sent_config, template_config
from reconciler.core.policy import DeploySpec
from reconciler.core.reference import hosts_of
from reconciler.core.spec import Specs

DEPLOY = DeploySpec()
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)

Json = Any  # a value that json.dumps takes; machine configs are kept verbatim, in Fly's own field names


@dataclass(frozen=True, slots=True)
class DesiredMount:
    """The slot's volume: Fly's mount plus the fields of the create-volume call."""

    volume_name: str  # "{group}_{volume}_{n}", the volume's identity within its app
    size_gb: int
    create: Mapping[str, Json]  # further create-volume fields, verbatim (encrypted, snapshot_retention …)
    config: Mapping[str, Json]  # the mount entry without `volume`: path, and Fly's other mount fields


@dataclass(frozen=True, slots=True)
class DesiredMachine:
    """One slot of a user app."""

    slot: str  # "web-0": identity, and the machine's first name
    regions: tuple[str, ...]  # in order of preference; later ones only on lack of capacity
    config: Mapping[str, Json]  # resolved machine config, without our metadata marks and without `mounts`
    mount: DesiredMount | None
    skip_launch: bool
    may_sleep: bool  # a service has autostart (or skip_launch): stopped and suspended are fine
    spec_hash: str  # of config, mount and what else would change the machine; without marks


@dataclass(frozen=True, slots=True)
class Generated:
    """A secret whose value is made at random, once for the app and version."""

    name: str
    version: int
    length: int  # characters


@dataclass(frozen=True, slots=True)
class DesiredApp:
    """One `UserApp` document, resolved."""

    name: str  # metadata.name
    app_name: str  # on Fly
    org: str
    network: str  # "{installation}-{name}", the proof that the app is ours
    owner: str  # "{installation}.{name}", the machine mark
    owner_label: str  # "RECONCILER_OWNER_{INSTALLATION}", the label secret
    hosts: tuple[str, ...]
    machines: tuple[DesiredMachine, ...]
    secret_names: tuple[str, ...]  # the document's own, sorted
    key_names: tuple[
        str, ...
    ]  # replay key secrets the app carries, sorted (PRESHARED_KEY …); () with auth: none
    secrets_digest: (
        str | None
    )  # keyed digest over the desired values; None: values unknown here, not compared
    key_id: str | None  # names the root key; None: unknown here
    corrects_drift: bool
    protect: bool | None = None  # None: as it is
    paused_until: float | None = None  # unix seconds; of the app or of the whole fleet, the later one
    pause_reason: str = ""
    deploy: DeploySpec = DEPLOY
    generated: tuple[Generated, ...] = ()  # those of `secret_names` that are minted, by name


KEY_NAMES = ("PRESHARED_KEY", "PRESHARED_KEY_MANAGEMENT")  # as in Fly's guide
NOT_SENT = {"name", "size_gb", "volume_name"}
MOUNT_FIELDS = {"path", "extend_threshold_percent", "add_size_gb", "size_gb_limit"}


def resolve(specs: Specs, name: str, *, secrets_digest: str | None, key_id: str | None) -> DesiredApp:
    """The user app `name`, which must be one of `specs.users`; never fails for one of those."""
    return Resolver(specs, key_id=key_id).app(name, secrets_digest=secrets_digest)


class Resolver:
    """Resolves the user apps of one reading; what many of them share is resolved once, and shared."""

    def __init__(self, specs: Specs, *, key_id: str | None) -> None:
        self.specs = specs
        self.key_id = key_id
        self._configs: dict[str, dict[str, Json]] = {}  # template → config as it is sent
        self._texts: dict[str, str] = {}  # template → that, written canonically

    def app(self, name: str, *, secrets_digest: str | None) -> DesiredApp:
        """The user app `name`, which must be one of `specs.users`; never fails for one of those."""
        return self.of(name, self.specs.users[name], secrets_digest=secrets_digest)

    def of(self, name: str, spec: UserAppSpec, *, secrets_digest: str | None) -> DesiredApp:
        """The user app that `spec` would make of `name`."""
        specs = self.specs
        if specs.fleet is None:
            raise KeyError(name)  # without a fleet there are no users
        fleet = specs.fleet.spec
        regions = spec.regions or fleet.regions
        pauses = [one for one in (spec.paused, fleet.paused) if one is not None]
        pause = max(pauses, key=lambda one: one.until, default=None)
        return DesiredApp(
            name=name,
            app_name=spec.app_name or fleet.app_name.replace("{name}", name),
            org=fleet.org,
            network=f"{fleet.installation}-{name}",
            owner=f"{fleet.installation}.{name}",
            owner_label=label.owner(fleet.installation),
            hosts=hosts_of(name, spec, specs.router),
            machines=tuple(machine for group in spec.machines for machine in self._slots(group, regions)),
            secret_names=tuple(sorted(spec.secrets)),
            key_names=KEY_NAMES if specs.auth != "none" else (),
            secrets_digest=secrets_digest,
            key_id=self.key_id,
            corrects_drift=fleet.drift == "correct",
            protect=spec.protect,
            paused_until=pause.until.timestamp() if pause else None,
            pause_reason=pause.reason if pause else "",
            deploy=spec.deploy or fleet.deploy,
            generated=tuple(
                Generated(secret, generate.version, generate.length)
                for secret in sorted(spec.secrets)
                if secret in specs.secrets and (generate := specs.secrets[secret].from_.generate)
            ),
        )

    def _slots(self, group: GroupSpec, regions: tuple[str, ...]) -> list[DesiredMachine]:
        config = self._config(group)
        text = _CANONICAL.encode(config) if group.config else self._text(group.template)
        slots = []
        for number in range(group.count):
            mount = _mount(group.name, group.mount, number) if group.mount else None
            slots.append(
                DesiredMachine(
                    slot=f"{group.name}-{number}",
                    regions=regions,
                    config=config,
                    mount=mount,
                    skip_launch=group.skip_launch,
                    may_sleep=group.skip_launch
                    or any(service.get("autostart") for service in config.get("services") or ()),
                    spec_hash=_spec_hash(text, mount),
                )
            )
        return slots

    def _config(self, group: GroupSpec) -> Mapping[str, Json]:
        if not group.config:
            return self._sent(group.template)
        if "services" in group.config:
            return sent_config(merge_patch(self._template(group.template), group.config))
        # Defaults are filled in below `services` alone, so what is sent can be laid over as well.
        merged: dict[str, Json] = merge_patch(self._sent(group.template), group.config)
        return merged

    def _sent(self, template: str) -> dict[str, Json]:
        if template not in self._configs:
            self._configs[template] = sent_config(self._template(template))
        return self._configs[template]

    def _text(self, template: str) -> str:
        if template not in self._texts:
            self._texts[template] = _CANONICAL.encode(self._sent(template))
        return self._texts[template]

    def _template(self, name: str) -> dict[str, Json]:
        template, services = self.specs.machines[name], self.specs.services
        if template.services is None:
            return template_config(template.config, None)
        return template_config(template.config, [services[service] for service in template.services])


def _mount(group: str, mount: MountSpec, number: int) -> DesiredMount:
    given = {
        field: value
        for field in sorted(mount.model_fields_set - NOT_SENT)
        if (value := getattr(mount, field)) is not None
    }
    return DesiredMount(
        volume_name=mount.volume_name or volume_name(group, mount.name, number),
        size_gb=mount.size_gb,
        create={field: value for field, value in given.items() if field not in MOUNT_FIELDS},
        config={field: value for field, value in given.items() if field in MOUNT_FIELDS},
    )


def _spec_hash(config: str, mount: DesiredMount | None) -> str:
    """SHA-256 over canonical JSON: the order and spelling of the YAML do not count, every value does."""
    volume = None
    if mount is not None:
        volume = [mount.volume_name, mount.size_gb, dict(mount.create), dict(mount.config)]
    return hashlib.sha256(f"[{config},{_CANONICAL.encode(volume)}]".encode()).hexdigest()
