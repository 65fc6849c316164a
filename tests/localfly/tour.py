"""One tour through every operation of the Machines API, and what was answered on the way.

Answers for provoking a success of each operation on a localfly of its own; whether the replies are right is
`shapes`'.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.wire import PYTHON, started

LOCALFLY = (PYTHON, "-m", "localfly", "--fast", "--no-rate-limits", "--allow-exec", "--api", "127.0.0.1:0")
STAY = f"it={sys.executable} -c 'import signal; signal.pause()'"
APP = "/v1/apps/{app_name}"
MACHINE = f"{APP}/machines/{{machine_id}}"
VOLUME = f"{APP}/volumes/{{volume_id}}"
CERTIFICATE = f"{APP}/certificates/{{hostname}}"
CONFIG = {
    "image": "it",
    "env": {"COLOUR": "red"},
    "metadata": {"tag": "tour"},
    "restart": {"policy": "on-failure", "max_retries": 3},
    "stop_config": {"signal": "SIGTERM", "timeout": 1_000_000_000},
    "services": [
        {
            "protocol": "tcp",
            "internal_port": 8080,
            "autostop": "suspend",
            "autostart": True,
            "concurrency": {"type": "requests", "soft_limit": 5},
            "ports": [{"port": 443, "handlers": ["tls", "http"]}],
            "checks": [{"type": "tcp", "interval": "30s", "grace_period": "0s"}],
        }
    ],
    "checks": {"up": {"type": "tcp", "port": 8080, "interval": "30s", "grace_period": "0s"}},
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What one operation answered."""

    operation: tuple[str, str]
    status: int
    content: Any  # None: no body


@dataclass(slots=True)
class Tour:
    """Requests by operation, and every reply."""

    api: httpx.AsyncClient
    names: dict[str, str] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The content of a success; path parameters are the names of now."""
        answer = await self.api.request(method, path.format(**self.names), json=body, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        content = answer.json() if answer.content else None
        self.replies.append(Reply((method, path), answer.status_code, content))
        return content

    async def rest_in(self, state: str) -> None:
        """Wait for the machine."""
        await self.ask("GET", f"{MACHINE}/wait", params={"state": state, "timeout": "10"})


@asynccontextmanager
async def localfly() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running localfly that runs programs."""
    argv = (*LOCALFLY, "--org", "acme", "--image", STAY)
    async with started(*argv, env={"FLY_API_TOKEN": "laptop-token"}) as program:
        await program.said(r"^localfly ready$")
        url = (await program.said(r"^localfly api (\S+)$"))[1]
        headers = {"authorization": "Bearer laptop-token"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as api:
            yield api


async def everything(api: httpx.AsyncClient, *, certificate: str, key: str) -> list[Reply]:
    """The replies to at least one success of every operation that localfly imitates."""
    tour = Tour(api, {"app_name": "tour", "org_slug": "acme", "key": "colour", "secret_name": "KEY"})
    await _app(tour)
    await _machine(tour)
    await _life(tour)
    await _organisation(tour)
    await _certificates(tour, certificate, key)
    await _end(tour)
    return tour.replies


async def _app(tour: Tour) -> None:
    await tour.ask("POST", "/v1/apps", {"name": "tour", "org_slug": "acme", "network": "u-tour"})
    await tour.ask("GET", "/v1/apps", params={"org_slug": "acme"})
    await tour.ask("GET", APP)
    await tour.ask("POST", f"{APP}/deploy_token", {"expiry": "1h"})
    await tour.ask("POST", f"{APP}/secrets", {"values": {"A": "1", "B": "2"}})
    await tour.ask("POST", f"{APP}/secrets/{{secret_name}}", {"value": "3"})
    await tour.ask("GET", f"{APP}/secrets/{{secret_name}}")
    await tour.ask("GET", f"{APP}/secrets")
    await tour.ask("DELETE", f"{APP}/secrets/{{secret_name}}")
    flycast = {"type": "private_v6", "network": "u-tour"}
    tour.names["ip"] = (await tour.ask("POST", f"{APP}/ip_assignments", flycast))["ip"]
    await tour.ask("GET", f"{APP}/ip_assignments")
    volumes = [await tour.ask("POST", f"{APP}/volumes", {"name": "data", "size_gb": 1}) for _ in "ab"]
    tour.names["volume_id"] = volumes[0]["id"]
    await tour.ask("GET", f"{APP}/volumes")
    await tour.ask("GET", VOLUME)
    await tour.ask("PUT", VOLUME, {"snapshot_retention": 7})
    await tour.ask("PUT", f"{VOLUME}/extend", {"size_gb": 2})
    await tour.ask("POST", f"{VOLUME}/snapshots")
    await tour.ask("GET", f"{VOLUME}/snapshots")


async def _machine(tour: Tour) -> None:
    mount = {"volume": tour.names["volume_id"], "path": "/data"}
    body = {"config": {**CONFIG, "mounts": [mount]}, "name": "one", "region": "iad", "lease_ttl": 60}
    made = await tour.ask("POST", f"{APP}/machines", body)
    tour.names["machine_id"] = made["id"]
    tour.api.headers["fly-machine-lease-nonce"] = made["nonce"]
    await tour.rest_in("started")
    await tour.ask("GET", MACHINE, params={"include_leases": "true"})
    await tour.ask("GET", f"{MACHINE}/lease")
    await tour.ask("POST", f"{MACHINE}/lease", {"ttl": 30, "description": "tour"})
    await tour.ask("GET", f"{APP}/machines", params={"include_leases": "true"})
    await tour.ask("DELETE", f"{MACHINE}/lease")
    del tour.api.headers["fly-machine-lease-nonce"]
    await tour.ask("GET", f"{MACHINE}/versions")
    await tour.ask("GET", f"{MACHINE}/metadata")
    for verb in ("PUT", "PATCH"):
        await tour.ask(verb, f"{MACHINE}/metadata", {"metadata": {"tag": verb}})
    await tour.ask("POST", f"{MACHINE}/metadata/{{key}}", {"value": "blue"})
    await tour.ask("GET", f"{MACHINE}/metadata/{{key}}")
    await tour.ask("DELETE", f"{MACHINE}/metadata/{{key}}")
    await tour.ask("POST", f"{MACHINE}/exec", {"command": ["sh", "-c", "echo out; echo err >&2"]})
    await tour.ask("GET", f"{MACHINE}/ps")
    await tour.ask("GET", f"{MACHINE}/memory")
    await tour.ask("PUT", f"{MACHINE}/memory", {"limit_mb": 128})
    await tour.ask("POST", f"{MACHINE}/memory/reclaim", {"amount_mb": 1})


async def _life(tour: Tour) -> None:
    await tour.ask("POST", f"{MACHINE}/cordon")
    await tour.ask("POST", f"{MACHINE}/uncordon")
    await tour.ask("POST", f"{MACHINE}/suspend")
    await tour.rest_in("suspended")
    await tour.ask("POST", f"{MACHINE}/start")
    await tour.rest_in("started")
    await tour.ask("POST", f"{MACHINE}/restart")
    await tour.rest_in("started")
    await tour.ask("POST", f"{MACHINE}/signal", {"signal": "SIGUSR1"})
    await tour.rest_in("settled")
    await tour.ask("GET", f"{MACHINE}/events")
    mount = {"volume": tour.names["volume_id"], "path": "/data"}
    await tour.ask("POST", MACHINE, {"config": {**CONFIG, "mounts": [mount]}})
    await tour.rest_in("settled")
    await tour.ask("POST", f"{MACHINE}/stop", {"timeout": "1s"})
    await tour.rest_in("stopped")


async def _organisation(tour: Tour) -> None:
    await tour.ask("POST", f"{APP}/machines", {"config": CONFIG, "skip_launch": True, "lease_ttl": 1})
    for kind in ("machines", "volumes"):
        await tour.ask("GET", f"/v1/orgs/{{org_slug}}/{kind}", params={"limit": "1"})
    await tour.ask("GET", "/v1/platform/regions")
    await tour.ask("POST", "/v1/platform/placements", {"org_slug": "acme", "region": "lhr,eu"})
    await tour.ask("GET", "/v1/tokens/current")


async def _certificates(tour: Tour, certificate: str, key: str) -> None:
    hostname = tour.names["hostname"] = "studio.example.com"
    await tour.ask("POST", f"{APP}/certificates/acme", {"hostname": hostname})
    custom = {"hostname": hostname, "fullchain": certificate, "private_key": key}
    await tour.ask("POST", f"{APP}/certificates/custom", custom)
    await tour.ask("GET", f"{APP}/certificates")
    await tour.ask("GET", CERTIFICATE)
    await tour.ask("POST", f"{CERTIFICATE}/check")
    await tour.ask("DELETE", f"{CERTIFICATE}/acme")
    await tour.ask("DELETE", f"{CERTIFICATE}/custom")
    await tour.ask("DELETE", CERTIFICATE)


async def _end(tour: Tour) -> None:
    await tour.ask("DELETE", f"{APP}/ip_assignments/{{ip}}")
    await tour.ask("DELETE", MACHINE, params={"force": "true"})
    await tour.rest_in("destroyed")
    await tour.ask("DELETE", VOLUME)
    await tour.ask("DELETE", APP, params={"force": "true"})
