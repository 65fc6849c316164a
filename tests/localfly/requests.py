"""Requests that many tests begin with, through the client as any user would make them."""

from typing import Any

import httpx

from tests.localfly.inprocess import Laptop

Json = dict[str, Any]


def config(**fields: Any) -> Json:
    """A machine config with an image and these fields."""
    return {"image": "registry.fly.io/studio:1", **fields}


async def create_app(fly: Laptop, name: str = "alice", *, org: str = "acme", network: str = "") -> None:
    """An app, on the default network unless told."""
    body = {"name": name, "org_slug": org, "network": network}
    _succeeded(await fly.client.post("/v1/apps", json=body))


async def create_machine(fly: Laptop, app: str = "alice", **body: Any) -> Json:
    """A machine just created, as the reply shows it."""
    answer = await fly.client.post(f"/v1/apps/{app}/machines", json={"config": config()} | body)
    return _succeeded(answer)


async def create_volume(fly: Laptop, app: str = "alice", **body: Any) -> Json:
    """A volume of 1 GB called `data` unless told."""
    answer = await fly.client.post(f"/v1/apps/{app}/volumes", json={"name": "data", "size_gb": 1} | body)
    return _succeeded(answer)


async def settled(fly: Laptop, app: str, machine_id: str, state: str = "settled") -> Json:
    """The machine once it has settled, or come to that state."""
    path = f"/v1/apps/{app}/machines/{machine_id}"
    _succeeded(await fly.client.get(f"{path}/wait", params={"state": state}))
    return _succeeded(await fly.client.get(path))


async def started_machine(fly: Laptop, app: str = "alice", **body: Any) -> Json:
    """An app's machine that has come up; the app is created when it is new."""
    if app not in fly.world.apps:
        await create_app(fly, app)
    machine = await create_machine(fly, app, **body)
    return await settled(fly, app, machine["id"], "started")


def said(answer: httpx.Response) -> tuple[int, str]:
    """Status and error text of a refusal."""
    return answer.status_code, answer.json()["error"]


def _succeeded(answer: httpx.Response) -> Json:
    assert answer.is_success, answer.text
    content: Json = answer.json()
    return content
