"""A user app as it would be sent to Fly: every reference followed, overlays laid, defaults filled in.

Answers for the shape. What an app comes to is `core.desired`'s. Secrets are names here; `env` is shown as the
documents have it, which lie in git in the clear. The marks that `apply` adds to a machine's metadata, and the
ids that Fly gives, are not known before.
"""

from datetime import UTC, datetime
from typing import Any

from reconciler.core.desired import DesiredApp, DesiredMachine

Json = Any


def rendered(app: DesiredApp) -> dict[str, Json]:
    """One user app; the same documents give the same text."""
    told: dict[str, Json] = {
        "user": app.name,
        "app": {"name": app.app_name, "org": app.org, "network": app.network},
        "hosts": list(app.hosts),
        "secrets": sorted({*app.secret_names, *app.key_names}),
        "deploy": app.deploy.model_dump(mode="json"),
    }
    if app.protect is not None:
        told["protect"] = app.protect
    if app.paused_until is not None:
        until = datetime.fromtimestamp(app.paused_until, UTC).isoformat().replace("+00:00", "Z")
        told["paused"] = {"reason": app.pause_reason, "until": until}
    return {**told, "machines": [_machine(machine) for machine in app.machines]}


def _machine(machine: DesiredMachine) -> dict[str, Json]:
    told: dict[str, Json] = {"name": machine.slot, "regions": list(machine.regions)}
    if machine.skip_launch:
        told["skip_launch"] = True
    if machine.mount is not None:
        mount = machine.mount
        told["volume"] = {"name": mount.volume_name, "size_gb": mount.size_gb, **mount.create}
        told["mount"] = dict(mount.config)
    return {**told, "config": dict(machine.config)}
