"""The files that `adopt --write` writes: apps that exist, as documents.

Answers for which document stands in which file, and for leaving out an app whose documents would not hold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.kinds import FleetSpec
from reconciler.core.observed import ObservedApp
from reconciler.core.spec import load
from reconciler.core.transcript import API_VERSION, transcribe
from reconciler.writing.plain_yaml import to_yaml

Json = Any

TEMPLATES = "machines/adopted.yaml"
FLEET = "fleet.yaml"


@dataclass(frozen=True, slots=True)
class Written:
    """Path below the folder → text; document name → app name of those described; the rest with reasons."""

    files: Mapping[str, str]
    apps: Mapping[str, str]
    left_out: tuple[tuple[str, str], ...]  # app name, why; sorted


def adopted_files(
    apps: Iterable[ObservedApp], *, fleet: FleetSpec, is_new_fleet: bool, taken: Iterable[str]
) -> Written:
    """Files for `apps`, all of which hold together with a Fleet document; `taken`: templates that exist."""
    described = list(apps)
    taken = frozenset(taken)
    left_out: list[tuple[str, str]] = []
    while True:
        transcript = transcribe(described, fleet=fleet, taken=taken)
        app_names = {
            user["metadata"]["name"]: user["spec"].get("app_name")
            or fleet.app_name.replace("{name}", user["metadata"]["name"])
            for user in transcript.users
        }
        files = {f"users/{user['metadata']['name']}.yaml": to_yaml(user) for user in transcript.users}
        if transcript.templates:
            files[TEMPLATES] = "---\n".join(to_yaml(template) for template in transcript.templates)
        found = load({**files, FLEET: to_yaml(fleet_document(fleet))})
        broken = {app_names[name]: name for name in app_names if name not in found.users}
        if not broken:
            break
        complaint = str(found.problems[0]) if found.problems else "its documents do not hold"
        for app_name, name in broken.items():
            own = next((str(each) for each in found.problems if each.file == f"users/{name}.yaml"), complaint)
            left_out.append((app_name, f"what it runs cannot be said in documents yet: {own}"))
        described = [app for app in described if app.app_name not in broken]
    if is_new_fleet and app_names:
        files[FLEET] = to_yaml(fleet_document(fleet))
    return Written(dict(sorted(files.items())), app_names, tuple(sorted([*transcript.left_out, *left_out])))


def fleet_document(fleet: FleetSpec) -> Mapping[str, Json]:
    """The Fleet that a first adoption begins with."""
    spec = {
        "org": fleet.org,
        "installation": fleet.installation,
        "app_name": fleet.app_name,
        "regions": list(fleet.regions),
    }
    return {"apiVersion": API_VERSION, "kind": "Fleet", "metadata": {"name": "fleet"}, "spec": spec}
