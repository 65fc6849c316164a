"""What documents would say of apps that exist already, so that adopting them changes nothing on Fly.

Answers for the wording: one template for machines that are alike, each user's own environment laid over it.
Marking the apps as ours is `adoption`'s.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.kinds import FleetSpec
from reconciler.core.observed import ObservedApp, ObservedMachine, ObservedVolume
from reconciler.core.overlay import SERVICE_DEFAULTS
from reconciler.core.scalar import LONGEST_GROUP_NAME
from reconciler.core.slot import ASLEEP, DYING

Json = Any

API_VERSION = "reconciler/v1alpha1"
FIRST_GROUP = "web"
FLY_GROUP = "fly_process_group"  # the metadata in which Fly's own tool keeps a machine's group
MOUNT_FIELDS = ("extend_threshold_percent", "add_size_gb", "size_gb_limit")


@dataclass(frozen=True, slots=True)
class Transcript:
    """Documents by name of the file they belong in, and the apps that no document can describe."""

    templates: tuple[Mapping[str, Json], ...]
    users: tuple[Mapping[str, Json], ...]
    left_out: tuple[tuple[str, str], ...]  # app name, why; sorted


@dataclass(slots=True)
class _Group:
    """Machines of one app that are alike."""

    config: dict[str, Json]  # without env
    env: dict[str, Json]
    mount: dict[str, Json] | None
    is_asleep: bool
    name: str
    machines: list[ObservedMachine] = field(default_factory=list)


def transcribe(apps: Iterable[ObservedApp], *, fleet: FleetSpec, taken: Iterable[str] = ()) -> Transcript:
    """Documents for `apps`; `taken` are the names of templates that exist. Same apps, same documents."""
    groups: dict[str, list[_Group]] = {}
    observed: dict[str, ObservedApp] = {}
    left_out: list[tuple[str, str]] = []
    for app in sorted(apps, key=lambda app: app.app_name):
        why = _why_not(app)
        if why:
            left_out.append((app.app_name, why))
        else:
            observed[app.app_name] = app
            groups[app.app_name] = _groups(app)
    templates, name_of, shared_env = _templates(groups, set(taken))
    users = [
        _user(observed[app], found, fleet=fleet, name_of=name_of, shared_env=shared_env)
        for app, found in groups.items()
    ]
    return Transcript(tuple(templates), tuple(users), tuple(left_out))


def document_name(app_name: str, fleet: FleetSpec) -> str:
    """The document that the fleet's pattern makes this app of; an app outside the pattern keeps its name."""
    before, _, after = fleet.app_name.partition("{name}")
    middle = app_name.removeprefix(before).removesuffix(after)
    return middle if middle and f"{before}{middle}{after}" == app_name else app_name


def _why_not(app: ObservedApp) -> str:
    living = [machine for machine in app.machines if machine.state not in DYING]
    if not living:
        return "it has no machine, so there is nothing that a document could say"
    for machine in living:
        if machine.host_status != "ok" or not machine.config:
            return f"the host of machine {machine.name} ({machine.id}) does not show what it runs; try later"
        mounts = machine.config.get("mounts") or ()
        if len(mounts) > 1:
            return f"machine {machine.name} ({machine.id}) mounts {len(mounts)} volumes; one can be described"
    return ""


def _groups(app: ObservedApp) -> list[_Group]:
    volumes = {volume.id: volume for volume in app.volumes}
    found: dict[str, _Group] = {}
    taken: set[str] = set()
    for machine in sorted(app.machines, key=lambda machine: (machine.name, machine.id)):
        if machine.state in DYING:
            continue
        config = _config(machine)
        mount = _mount(machine, volumes)
        is_asleep = machine.state in ASLEEP and not any(
            service.get("autostart") for service in config.get("services") or ()
        )
        wanted_name = _group_name(machine)
        key = json.dumps([config, mount, is_asleep, wanted_name], sort_keys=True)
        if key not in found:
            env = config.pop("env", None) or {}
            name = _free(wanted_name, taken)
            found[key] = _Group(config, env, mount, is_asleep, name)
        found[key].machines.append(machine)
    return list(found.values())


def _config(machine: ObservedMachine) -> dict[str, Json]:
    """What the machine was made from, without what is the slot's or the owner's: mounts and metadata."""
    basis = machine.submitted if machine.submitted is not None else machine.config
    config: dict[str, Json] = json.loads(json.dumps(dict(basis)))
    for name in ("metadata", "mounts"):
        config.pop(name, None)
    config = {name: value for name, value in config.items() if value not in (None, {}, [])}
    for service in config.get("services") or ():
        for name in SERVICE_DEFAULTS:
            # Said even where Fly was told nothing: else our own default would be sent.
            service.setdefault(name, None)
    return config


def _mount(machine: ObservedMachine, volumes: Mapping[str, ObservedVolume]) -> dict[str, Json] | None:
    mounts = machine.config.get("mounts") or ()
    volume = volumes.get(machine.volume_id or "")
    if not mounts or volume is None:
        return None
    given = {name: mounts[0][name] for name in MOUNT_FIELDS if mounts[0].get(name)}
    return {
        "name": "data",
        "path": mounts[0].get("path"),
        "size_gb": volume.size_gb,
        "volume_name": volume.name,
        **given,
    }


def _group_name(machine: ObservedMachine) -> str:
    given = str(machine.metadata.get(FLY_GROUP) or "")
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in given.lower())
    name = name.strip("-")[: LONGEST_GROUP_NAME - 3].strip("-")
    return name if name and name[0].isalpha() else FIRST_GROUP


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def _templates(
    groups: Mapping[str, Sequence[_Group]], taken: set[str]
) -> tuple[list[Mapping[str, Json]], dict[str, str], dict[str, dict[str, Json]]]:
    """The Machine documents; their names and the environment that all of their machines share, by config."""
    alike: dict[str, list[_Group]] = {}
    for found in groups.values():
        for group in found:
            alike.setdefault(_key(group), []).append(group)
    documents: list[Mapping[str, Json]] = []
    name_of: dict[str, str] = {}
    shared_env: dict[str, dict[str, Json]] = {}
    for key, members in alike.items():
        name = _free(members[0].name, taken)
        first = members[0].env
        shared = {
            variable: value
            for variable, value in sorted(first.items())
            if all(member.env.get(variable) == value for member in members)
        }
        name_of[key], shared_env[key] = name, shared
        config = {**members[0].config, **({"env": shared} if shared else {})}
        documents.append(_document("Machine", name, {"config": config}))
    return documents, name_of, shared_env


def _user(
    app: ObservedApp,
    groups: Sequence[_Group],
    *,
    fleet: FleetSpec,
    name_of: Mapping[str, str],
    shared_env: Mapping[str, Mapping[str, Json]],
) -> Mapping[str, Json]:
    name = document_name(app.app_name, fleet)
    regions = Counter(machine.region for group in groups for machine in group.machines)
    ordered = tuple(region for region, _ in sorted(regions.items(), key=lambda item: (-item[1], item[0])))
    machines = []
    for group in groups:
        shared = shared_env[_key(group)]
        own = {variable: value for variable, value in group.env.items() if variable not in shared}
        machines.append(
            {
                "name": group.name,
                "template": name_of[_key(group)],
                "count": len(group.machines),
                **({"config": {"env": own}} if own else {}),
                **({"mount": group.mount} if group.mount else {}),
                **({"skip_launch": True} if group.is_asleep else {}),
            }
        )
    spec: dict[str, Json] = {"machines": machines}
    if fleet.app_name.replace("{name}", name) != app.app_name:
        spec = {"app_name": app.app_name, **spec}
    if set(ordered) != set(fleet.regions):
        spec = {**spec, "regions": list(ordered)}
    return _document("UserApp", name, spec)


def _key(group: _Group) -> str:
    return json.dumps(group.config, sort_keys=True)


def _document(kind: str, name: str, spec: Mapping[str, Json]) -> Mapping[str, Json]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
