"""`adopt` and `orphans` as a user types them: apps made by hand become documents, then ours."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from reconciler.exit import Exit
from tests.journeys.hosted import TOKEN, Hosted, hosted_api
from tests.test_cli import at, reconciler, straight

WEB = {
    "image": "registry.fly.io/shop:7",
    "env": {"MODE": "shop"},
    "services": [{"protocol": "tcp", "internal_port": 80, "ports": [{"port": 80, "handlers": ["http"]}]}],
}


@asynccontextmanager
async def by_hand(*apps: str) -> AsyncIterator[tuple[Hosted, httpx.AsyncClient]]:
    """A Fly on which somebody made apps of one machine and one volume each."""
    async with hosted_api(straight) as fly, spoken(fly) as http:
        for app in apps:
            await made(http, app)
        yield fly, http


@asynccontextmanager
async def spoken(fly: Hosted) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=fly.url, headers=headers, trust_env=False) as http:
        yield http


async def made(http: httpx.AsyncClient, app: str, *, network: str | None = None) -> None:
    await said(
        http, "/v1/apps", {"name": app, "org_slug": "acme", **({"network": network} if network else {})}
    )
    volume = await said(http, f"/v1/apps/{app}/volumes", {"name": "data", "region": "iad", "size_gb": 1})
    config = {**WEB, "mounts": [{"volume": volume["id"], "path": "/data"}]}
    await said(http, f"/v1/apps/{app}/machines", {"name": "first", "region": "iad", "config": config})


async def said(http: httpx.AsyncClient, path: str, body: Any) -> Any:
    answer = await http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.wire
async def test_existing_apps_are_written_adopted_and_then_nothing_is_left_to_do(tmp_path: Path) -> None:
    """`adopt --write`, `adopt --all`, `plan`: 0 actions, exit 0; the second --write finds nothing more."""
    specs = tmp_path / "specs"
    async with by_hand("shop-one", "shop-two") as (fly, _):
        env = at(fly)
        written = await reconciler("adopt", "--org", "acme", "--write", specs, env=env)
        assert (written.code, written.err) == (Exit.OK, "")
        assert sorted(path.name for path in specs.rglob("*.yaml")) == [
            "adopted.yaml",
            "fleet.yaml",
            "shop-one.yaml",
            "shop-two.yaml",
        ]
        assert (await reconciler("validate", specs, env=env)).code == Exit.OK
        before = await reconciler("plan", specs, "--format", "json", env=env)
        assert (before.code, json.loads(before.out)["summary"]["actions"]) == (Exit.BLOCKED, 0)

        adopted = await reconciler("adopt", "--specs", specs, "--all", env=env)
        assert (adopted.code, adopted.err) == (Exit.OK, ""), adopted.err
        assert "shop-one: app shop-one is ours, with 1 machine; nothing is left to do" in adopted.out
        after = await reconciler("plan", specs, "--format", "json", "--detailed-exitcode", env=env)
        assert after.code == Exit.OK, after.out
        assert json.loads(after.out)["summary"]["actions"] == 0
        again = await reconciler("adopt", "--write", specs, env=env)
        assert again.out == "no app was found that documents could be written for\n"


@pytest.mark.wire
async def test_nothing_that_exists_is_overwritten_and_every_refusal_is_one_line(tmp_path: Path) -> None:
    """Wrong flags, unknown names, another organisation: told, exit 1, and nothing is changed."""
    specs = tmp_path / "specs"
    async with by_hand("shop-one") as (fly, _):
        env = at(fly)
        no_org = await reconciler("adopt", "--write", specs, env=env)
        assert no_org.err == (
            f"reconciler: adopt: --org is needed, or FLY_ORG: {specs} has no Fleet document yet, "
            "and --write reads no other folder\n"
        )
        assert not specs.exists()
        await reconciler("adopt", "--org", "acme", "--write", specs, env=env)
        other = await reconciler("adopt", "--org", "rivals", "--write", specs, env=env)
        assert "is for organisation acme, not rivals" in other.err
        unknown = await reconciler("adopt", "--specs", specs, "shop-on", env=env)
        assert unknown.err == (
            'reconciler: adopt: there is no user app "shop-on"; did you mean "shop-one"?\n'
        )
        nothing = await reconciler("adopt", "--specs", specs, env=env)
        assert "adopt needs names of user apps, or --all" in nothing.err
        assert {each.code for each in (no_org, other, unknown, nothing)} == {Exit.ERROR}
        assert not fly.world.apps["shop-one"].secrets


@pytest.mark.wire
async def test_orphans_are_listed_with_the_reason_why_each_is_safe_or_not(tmp_path: Path) -> None:
    """A foreign app, one on our network under another name, a stray machine, a surplus volume, an address."""
    specs = tmp_path / "specs"
    async with by_hand("shop-one") as (fly, http):
        env = at(fly)
        await reconciler("adopt", "--org", "acme", "--write", specs, env=env)
        await reconciler("adopt", "--specs", specs, "--all", env=env)
        installation = yaml.safe_load((specs / "fleet.yaml").read_text())["spec"]["installation"]
        none = await reconciler("orphans", specs, env=env)
        assert (none.code, none.out) == (Exit.OK, "nothing lies there without an owner\n")

        await made(http, "foreign")
        await made(http, "squatter", network=f"{installation}-bob")
        await said(http, "/v1/apps/shop-one/machines", {"name": "stray", "region": "iad", "config": WEB})
        await said(http, "/v1/apps/shop-one/volumes", {"name": "data", "region": "iad", "size_gb": 1})
        await said(http, "/v1/apps/shop-one/ip_assignments", {"type": "shared_v4"})
        told = await reconciler("orphans", specs, "--format", "json", env=env)
        assert told.code == Exit.OK, told.err
        found = {(one["kind"], one["app"]): one for one in json.loads(told.out)["orphans"]}
        assert set(found) == {
            ("app", "foreign"),
            ("app", "squatter"),
            ("machine", "shop-one"),
            ("volume", "shop-one"),
            ("address", "shop-one"),
        }
        assert [kind for (kind, _), one in found.items() if one["safe_to_remove"]] == ["volume"]
        assert "under a name that we never gave" in found["app", "squatter"]["why"]
        shown = await reconciler("orphans", specs, env=env)
        assert shown.out.startswith(
            "2 apps, 1 machine, 1 volume, 1 address without an owner; 1 safe to remove\n"
        )
