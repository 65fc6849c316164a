"""A user app's machine config: the template with the user's own settings laid over it.

Answers for JSON merge patch (RFC 7396) and for the defaults that are always sent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Json = Any

SERVICE_DEFAULTS: Mapping[str, Json] = {
    "protocol": "tcp",
    "autostart": True,
    "autostop": "stop",
    "min_machines_running": 0,
}


def merge_patch(target: Json, patch: Json) -> Json:
    """RFC 7396: mappings are merged, null removes, anything else replaces. Neither input is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def template_config(
    config: Mapping[str, Json], services: Sequence[Mapping[str, Json]] | None
) -> dict[str, Json]:
    """A template's config with its `Service` documents put in; null means not given."""
    merged: dict[str, Json] = merge_patch({}, config)
    if services is not None:
        merged["services"] = [
            {name: value for name, value in service.items() if name != "allow_unknown"}
            for service in services
        ]
    return merged


def sent_config(config: Mapping[str, Json]) -> dict[str, Json]:
    """The config as it goes to Fly: service labels left out, service defaults filled in where not null."""
    if not config.get("services"):
        return dict(config)
    return {**config, "services": [_sent_service(service) for service in config["services"]]}


def _sent_service(service: Mapping[str, Json]) -> dict[str, Json]:
    sent: dict[str, Json] = merge_patch({}, {**SERVICE_DEFAULTS, **service})
    return {name: value for name, value in sent.items() if name != "name"}
