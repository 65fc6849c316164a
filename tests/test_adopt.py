"""Apps made by hand: described in documents that change nothing, then ours, and never by force."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import yaml

from reconciler.adopt import Adopted, Existing, adopt, find_existing
from reconciler.core.desired import DesiredApp, resolve
from reconciler.core.kinds import FleetSpec
from reconciler.core.plan import AppPlan
from reconciler.core.spec import Specs, load
from reconciler.fly.client import FlyClient
from reconciler.fly.pace import Pace
from reconciler.reconcile import converge, look
from reconciler.writing.adopted import FLEET, TEMPLATES, adopted_files
from tests.localfly.inprocess import TOKEN, Laptop, laptop, rows

FLEET_SPEC = FleetSpec(org="acme", installation="mine7k2m", app_name="acme-{name}", regions=("iad",))
SERVICE = {
    "protocol": "tcp",
    "internal_port": 8080,
    "autostart": True,
    "autostop": "suspend",
    "ports": [{"port": 80, "handlers": ["http"]}, {"port": 443, "handlers": ["tls", "http"]}],
    "checks": [{"type": "http", "port": 8080, "path": "/up", "interval": "15s", "timeout": "2s"}],
}
BARE = {"protocol": "tcp", "internal_port": 9090, "ports": [{"port": 9090, "handlers": ["http"]}]}
WEB: dict[str, Any] = {
    "image": "registry.fly.io/shop:7",
    "guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 1024},
    "env": {"MODE": "shop", "OFF": "no"},
    "services": [SERVICE, BARE],
    "metadata": {"fly_process_group": "web", "team": "red"},
    "restart": {"policy": "always"},
}
WORKER: dict[str, Any] = {"image": "registry.fly.io/worker:2", "metadata": {"fly_process_group": "worker"}}


@asynccontextmanager
async def shops(*names: str) -> AsyncIterator[tuple[Laptop, FlyClient]]:
    """Apps made without us: two machines on volumes of one name, and a worker that was switched off."""
    async with laptop() as fly:
        for name in names:
            await made(fly, name)
        yield fly, FlyClient(fly.client, token=TOKEN, pace=Pace(None))


async def made(fly: Laptop, name: str) -> None:
    await said(fly, "POST", "/v1/apps", {"name": name, "org_slug": "acme"})
    await said(fly, "POST", f"/v1/apps/{name}/secrets", {"values": {"STRIPE_KEY": "canary"}})
    for number in (1, 2):
        volume = {"name": "data", "region": "iad", "size_gb": 2}
        created = await said(fly, "POST", f"/v1/apps/{name}/volumes", volume)
        config = {
            **WEB,
            "env": {**WEB["env"], "SHOP": name},
            "mounts": [{"volume": created["id"], "path": "/d"}],
        }
        await machine(fly, name, f"shop-{number}", config)
    worker = await machine(fly, name, "worker-1", WORKER)
    await said(fly, "POST", f"/v1/apps/{name}/machines/{worker['id']}/stop", {})
    await said(fly, "GET", f"/v1/apps/{name}/machines/{worker['id']}/wait?state=settled&timeout=60")


async def machine(fly: Laptop, app: str, name: str, config: dict[str, Any]) -> Any:
    body = {"name": name, "region": "iad", "config": config}
    answer = await said(fly, "POST", f"/v1/apps/{app}/machines", body)
    await said(fly, "GET", f"/v1/apps/{app}/machines/{answer['id']}/wait?state=started&timeout=60")
    return answer


async def said(fly: Laptop, method: str, path: str, body: Any = None) -> Any:
    answer = await fly.client.request(method, path, json=body)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def described(fly: FlyClient) -> tuple[Specs, dict[str, str]]:
    """The documents of everything that exists, loaded as `adopt --write` would leave them."""
    existing: Existing = await find_existing(fly, FLEET_SPEC, wanted=lambda _: True)
    assert not existing.unread
    written = adopted_files(existing.apps, fleet=FLEET_SPEC, is_new_fleet=True, taken=())
    assert not written.left_out
    specs = load(written.files)
    assert not specs.problems
    return specs, dict(written.files)


def wanted(specs: Specs, name: str) -> DesiredApp:
    return resolve(specs, name, secrets_digest=None, key_id=None)


async def planned(fly: FlyClient, desired: DesiredApp) -> AppPlan:
    return (await look(fly, desired)).plan


async def test_documents_of_existing_apps_make_an_empty_plan_once_they_are_adopted() -> None:
    """Written, adopted, planned: nothing is left to do, nothing restarted, no document repeats another."""
    async with shops("acme-shop", "other") as (world, fly):
        before = versions(world)
        specs, files = await described(fly)
        assert set(files) == {FLEET, TEMPLATES, "users/shop.yaml", "users/other.yaml"}
        assert specs.users["other"].app_name == "other"
        assert specs.users["shop"].app_name is None
        assert len(specs.machines) == 2
        for name in ("shop", "other"):
            desired = wanted(specs, name)
            assert [hold.reason for hold in (await planned(fly, desired)).holds] == ["Foreign"]
            done = await adopt(fly, desired, describe="mine7k2m/test")
            assert (done.refused, done.marked) == ((), 3)
            left = await planned(fly, desired)
            assert left.converged, left
        assert versions(world) == before


async def test_adopting_twice_changes_nothing() -> None:
    """The second time there is no mark to write."""
    async with shops("acme-shop") as (world, fly):
        specs, _ = await described(fly)
        desired = wanted(specs, "shop")
        first = await adopt(fly, desired, describe="mine7k2m/test")
        before = rows(world.world)
        assert await adopt(fly, desired, describe="mine7k2m/test") == first
        assert rows(world.world) == before


async def test_no_template_repeats_another_and_only_what_differs_stands_with_the_user() -> None:
    """Machines that are alike share a template; the environment that all share stands there once."""
    async with shops("acme-one", "acme-two") as (_, fly):
        specs, files = await described(fly)
        templates = list(yaml.safe_load_all(files[TEMPLATES]))
        assert [each["spec"]["config"].get("env") for each in templates] == [
            {"MODE": "shop", "OFF": "no"},
            None,
        ]
        groups = specs.users["two"].machines
        assert [(group.name, group.count, group.config) for group in groups] == [
            ("web", 2, {"env": {"SHOP": "acme-two"}}),
            ("worker", 1, None),
        ]


async def test_a_machine_that_is_not_as_its_document_says_is_refused_and_nothing_is_marked() -> None:
    """Adopting restarts nothing, so it takes over nothing that would have to change."""
    async with shops("acme-shop") as (world, fly):
        specs, files = await described(fly)
        other = load({path: text.replace("shop:7", "shop:8") for path, text in files.items()})
        done = await adopt(fly, wanted(other, "shop"), describe="mine7k2m/test")
        assert len(done.refused) == 2
        assert all("image: registry.fly.io/shop:7 → registry.fly.io/shop:8" in line for line in done.refused)
        assert "RECONCILER_OWNER_MINE7K2M" not in world.world.apps["acme-shop"].secrets
        few = load({path: text.replace("count: 2", "count: 3") for path, text in files.items()})
        done = await adopt(fly, wanted(few, "shop"), describe="mine7k2m/test")
        assert done.refused == ("slot web-2 of shop has no machine in app acme-shop: lower its count",)
        assert specs.complete


async def test_what_belongs_to_another_installation_is_refused() -> None:
    """Its label on the app, or its mark on one machine, is enough."""
    async with shops("acme-shop") as (world, fly):
        specs, _ = await described(fly)
        desired = wanted(specs, "shop")
        theirs = replace(
            desired, owner="theirs99.shop", owner_label="RECONCILER_OWNER_THEIRS99", network="theirs99-shop"
        )
        assert await adopt(fly, theirs, describe="theirs99/test") != Adopted()
        done = await adopt(fly, desired, describe="mine7k2m/test")
        assert len(done.refused) == 4
        assert "another installation" in done.refused[0]
        assert not (await find_existing(fly, FLEET_SPEC, wanted=lambda _: True)).apps
        assert "RECONCILER_OWNER_MINE7K2M" not in world.world.apps["acme-shop"].secrets


async def test_an_app_that_is_not_there_or_another_organisations_is_refused() -> None:
    """Nothing is created by adopting."""
    async with shops("acme-shop") as (world, fly):
        specs, _ = await described(fly)
        desired = wanted(specs, "shop")
        gone = replace(desired, app_name="acme-none")
        (line,) = (await adopt(fly, gone, describe="mine7k2m/test")).refused
        assert line == "there is no app acme-none on Fly; apply makes it from the document"
        elsewhere = replace(desired, org="other-org")
        (line,) = (await adopt(fly, elsewhere, describe="mine7k2m/test")).refused
        assert line == "app acme-shop is organisation acme's, not other-org's"
        assert list(world.world.apps) == ["acme-shop"]


async def test_an_adopted_machine_that_dies_comes_back_on_its_own_volume() -> None:
    """An empty volume is never put where data was, although the volume's name is not one of ours."""
    async with shops("acme-shop") as (world, fly):
        specs, _ = await described(fly)
        desired = wanted(specs, "shop")
        await adopt(fly, desired, describe="mine7k2m/test")
        machines = {one.name: one for one in world.world.apps["acme-shop"].machines.values()}
        lost = machines["shop-1"]
        volume = lost.config["mounts"][0]["volume"]
        await said(world, "DELETE", f"/v1/apps/acme-shop/machines/{lost.id}?force=true")
        await said(world, "GET", f"/v1/apps/acme-shop/machines/{lost.id}/wait?state=destroyed&timeout=60")
        last = await converge(fly, desired, values={}, describe="mine7k2m/test")
        assert last.plan.converged, last.plan
        back = {one.name: one for one in last.observed.machines}
        assert back["web-0"].volume_id == volume
        assert len(last.observed.volumes) == 2


def versions(world: Laptop) -> dict[str, str]:
    """Machine id → version: a restart or a change would show."""
    return {one.id: one.instance_id for app in world.world.apps.values() for one in app.machines.values()}
