"""The Machine object and its parts as the API shows them (contract §4.3).

Answers for field names and forms of one machine; lists and envelopes are the resource modules'.
"""

from typing import Any

from localfly import lease
from localfly.moment import rfc3339
from localfly.world import Event, Machine


def machine_json(
    machine: Machine, *, leases_at: float | None = None, is_summary: bool = False
) -> dict[str, Any]:
    """A machine; with its lease (no nonce) as of `leases_at`; a summary lacks config, checks and events."""
    shown: dict[str, Any] = {
        "id": machine.id,
        "name": machine.name,
        "state": machine.state,
        "region": machine.region,
        "image_ref": image_ref(machine.config["image"]) if machine.host_status == "ok" else {},
        "instance_id": machine.instance_id,
        "private_ip": machine.private_ip,
        "created_at": rfc3339(machine.created_at),
        "updated_at": rfc3339(machine.updated_at),
        "cordoned": machine.is_cordoned,
    }
    if not is_summary:
        shown |= {"config": machine.config} if machine.host_status == "ok" else _what_is_known(machine)
        shown["events"] = [event_json(event) for event in reversed(machine.events)]
        shown["checks"] = [
            {
                "name": name,
                "status": result.status,
                "output": result.output,
                "updated_at": rfc3339(result.updated_at),
            }
            for name, result in sorted(machine.checks.items())
        ]
        shown["host_status"] = machine.host_status
    held = lease.held(machine, leases_at) if leases_at is not None else None
    if held is not None:
        shown["lease"] = {
            "owner": held.owner,
            "description": held.description,
            "expires_at": int(held.expires_at),
        }
    return shown


def _what_is_known(machine: Machine) -> dict[str, Any]:
    """A host that does not answer leaves a partial config, and none in its proper place."""
    return {"incomplete_config": {name: machine.config.get(name) for name in ("image", "guest", "metadata")}}


def event_json(event: Event) -> dict[str, Any]:
    """One event; `timestamp` in unix milliseconds."""
    shown: dict[str, Any] = {
        "id": event.id,
        "type": event.type,
        "status": event.status,
        "source": event.source,
        "timestamp": int(event.at * 1000),
    }
    if event.request is not None:
        shown["request"] = event.request
    return shown


def image_ref(image: str) -> dict[str, Any]:
    """An image reference taken apart, with Docker Hub's defaults."""
    name, _, digest = image.partition("@")
    path, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    repository = f"{path}{slash}{last}"
    registry, slash, rest = repository.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, rest = "registry-1.docker.io", repository if slash else f"library/{repository}"
    parts = {"registry": registry, "repository": rest, "tag": tag or ("" if digest else "latest")}
    return {**parts, "digest": digest, "labels": {}}
