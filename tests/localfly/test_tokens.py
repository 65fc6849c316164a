"""What each kind of token may do, and that none can be forged, outlived or widened."""

import asyncio
from typing import Any

import pytest

from localfly.token import Scope, Tokens
from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import create_app, create_machine, said

TOKENS = "/_localfly/tokens"
NO = (403, "unauthorized")
EXPIRED = (401, "Authenticate: token validation error")


async def minted(fly: Laptop, **may: Any) -> str:
    """A token that may do that."""
    answer = await fly.client.post(TOKENS, json=may)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


async def statuses(fly: Laptop, token: str, calls: list[tuple[str, str, Any]]) -> list[int]:
    """What a token's holder gets for each call."""
    async with fly.speaking(token) as client:
        return [(await client.request(method, path, json=body)).status_code for method, path, body in calls]


async def two_apps(fly: Laptop) -> tuple[str, str]:
    """alice and bob with a machine each; the paths of the machines."""
    paths = []
    for name in ("alice", "bob"):
        await create_app(fly, name)
        paths.append(f"/v1/apps/{name}/machines/{(await create_machine(fly, name))['id']}")
    await asyncio.sleep(2)
    return paths[0], paths[1]


async def test_an_org_token_makes_and_deletes_apps_of_its_organisation_alone() -> None:
    async with laptop(orgs=("acme", "rivals")) as fly:
        await create_app(fly, "theirs", org="rivals")
        token = await minted(fly, orgs=["acme"])
        got = await statuses(
            fly,
            token,
            [
                ("POST", "/v1/apps", {"name": "ours", "org_slug": "acme"}),
                ("POST", "/v1/apps", {"name": "more", "org_slug": "rivals"}),
                ("GET", "/v1/apps/ours", None),
                ("GET", "/v1/apps/theirs", None),
                ("GET", "/v1/orgs/rivals/machines", None),
                ("GET", "/v1/apps/nobody", None),
                ("DELETE", "/v1/apps/ours", None),
            ],
        )

    assert got == [201, 403, 200, 403, 403, 404, 202]


async def test_a_deploy_token_changes_its_app_and_nothing_else() -> None:
    """It may not make, list or delete apps, nor look at the organisation."""
    async with laptop() as fly:
        alice, bob = await two_apps(fly)
        token = str((await fly.client.post("/v1/apps/alice/deploy_token", json={})).json()["token"])
        got = await statuses(
            fly,
            token,
            [
                ("GET", alice, None),
                ("POST", f"{alice}/stop", None),
                ("POST", "/v1/apps/alice/secrets", {"values": {"A": "b"}}),
                ("GET", bob, None),
                ("POST", "/v1/apps", {"name": "new", "org_slug": "acme"}),
                ("GET", "/v1/apps?org_slug=acme", None),
                ("GET", "/v1/orgs/acme/machines", None),
                ("DELETE", "/v1/apps/alice", None),
                ("GET", "/_localfly/world", None),
            ],
        )

    assert got == [200, 200, 200, 403, 403, 403, 403, 403, 403]


async def test_a_deploy_token_does_not_reach_a_later_app_of_the_same_name() -> None:
    async with laptop() as fly:
        await create_app(fly)
        token = await minted(fly, app="alice")
        await fly.client.delete("/v1/apps/alice")
        await asyncio.sleep(5)
        await create_app(fly)

        assert await statuses(fly, token, [("GET", "/v1/apps/alice", None)]) == [403]


async def test_a_read_only_token_reads_everything_and_writes_nothing() -> None:
    async with laptop() as fly:
        alice, _ = await two_apps(fly)
        token = await minted(fly, is_read_only=True)
        got = await statuses(
            fly,
            token,
            [
                ("GET", "/v1/orgs/acme/machines", None),
                ("GET", f"{alice}/wait", None),
                ("POST", f"{alice}/stop", None),
                ("PATCH", f"{alice}/metadata", {"metadata": {"a": "b"}}),
                ("DELETE", alice, None),
                ("PUT", "/_localfly/faults", {}),
            ],
        )
        states = [machine.state for machine in fly.world.machines.values()]

    assert got == [200, 200, 403, 403, 403, 403]
    assert states == ["started", "started"]


async def test_a_token_for_one_machine_reaches_that_machine_only() -> None:
    async with laptop() as fly:
        alice, bob = await two_apps(fly)
        token = await minted(fly, machine=alice.rpartition("/")[2])
        got = await statuses(
            fly,
            token,
            [
                ("GET", alice, None),
                ("POST", f"{alice}/stop", None),
                ("GET", bob, None),
                ("GET", "/v1/apps/alice/machines", None),
                ("POST", "/v1/apps/alice/secrets", {"values": {"A": "b"}}),
            ],
        )

    assert got == [200, 200, 403, 403, 403]


async def test_a_token_that_expires_is_401_from_that_moment() -> None:
    async with laptop() as fly:
        token = await minted(fly, expires_in_s=10)
        async with fly.speaking(token) as client:
            before = await client.get("/v1/apps?org_slug=acme")
            await asyncio.sleep(10)
            after = await client.get("/v1/apps?org_slug=acme")

    assert (before.status_code, said(after)) == (200, EXPIRED)


async def test_of_several_tokens_in_one_header_one_that_holds_is_enough() -> None:
    async with laptop() as fly:
        token = await minted(fly)
        got = [
            (await fly.client.get("/v1/apps?org_slug=acme", headers={"authorization": value})).status_code
            for value in (
                f"FlyV1 nonsense,{token}",
                f"FlyV1 {token},nonsense",
                "FlyV1 nonsense,more",
                "FlyV1 ,",
            )
        ]

    assert got == [200, 200, 401, 401]


@pytest.mark.parametrize(
    "forged",
    [
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token.rpartition(".")[0],
        lambda token: "localfly_e30." + token.rpartition(".")[2],
        lambda token: "localfly_" + "." + token.rpartition(".")[2],
        lambda _: Tokens({"another": None}, lambda: 0.0).mint(Scope()),
        lambda _: "localfly_",
    ],
)
def test_a_forged_token_opens_nothing(forged: Any) -> None:
    tokens = Tokens({"root": None}, lambda: 0.0)
    token = tokens.mint(Scope(orgs=("acme",)))

    assert tokens.scope(token) is not None
    assert tokens.scope(forged(token)) is None


def test_a_minted_token_outlives_a_restart_with_the_same_tokens() -> None:
    """It carries what it may do, so nothing has to be kept."""
    token = Tokens({"root": None}, lambda: 0.0).mint(Scope(app="abc", expires_at=50.0))

    assert Tokens({"root": None}, lambda: 49.0).scope(token) == Scope(app="abc", expires_at=50.0)
    assert Tokens({"root": None}, lambda: 50.0).scope(token) is None


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"app": "nobody"}, (404, "app not found")),
        ({"machine": "nobody"}, (404, "machine not found")),
        ({"orgs": ["nobody"]}, (404, "organization not found")),
    ],
)
async def test_a_token_for_nothing_that_exists_is_refused(asked: Any, answer: tuple[int, str]) -> None:
    async with laptop() as fly:
        assert said(await fly.client.post(TOKENS, json=asked)) == answer


async def test_a_reset_empties_the_world_and_keeps_tokens_faults_and_switches() -> None:
    async with laptop() as fly:
        alice, _ = await two_apps(fly)
        token = await minted(fly, orgs=["acme"])
        await fly.client.patch("/_localfly/world", json={"orgs": {"acme": {"cross_network_replays": True}}})
        await fly.client.post("/_localfly/faults", json={"answer": "internal", "app": "nobody"})
        waiting = asyncio.ensure_future(fly.client.get(f"{alice}/wait?state=stopped&timeout=60"))
        await asyncio.sleep(1)
        answer = await fly.client.post("/_localfly/reset")
        left = (await fly.client.get("/_localfly/world")).json()
        names = await statuses(fly, token, [("GET", "/v1/apps/alice", None), ("GET", alice, None)])
        await create_app(fly)
        waited = await waiting

    assert (answer.status_code, left["apps"], names) == (204, {}, [404, 404])
    assert left["orgs"]["acme"]["cross_network_replays"] is True
    assert said(waited) == (404, "not_found: machine not found")
    assert len(fly.troubles.faults.rules) == 1


def test_a_token_in_the_form_of_flys_own_is_known_as_a_whole() -> None:
    """Fly's command line prints a scheme and a list; clients send it with or without the scheme."""
    tokens = Tokens({"FlyV1 fm2_a,fm2_b,fo1_c": None}, lambda: 0.0)

    assert tokens.scope("FlyV1 fm2_a,fm2_b,fo1_c") == tokens.scope("fm2_a,fm2_b,fo1_c") == Scope()
    assert tokens.scope("fm2_a") is None
