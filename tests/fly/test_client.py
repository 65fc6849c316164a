"""The client speaks the API as it is: pages, retries that do no harm, and no create done twice."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from reconciler.fly.errors import Ambiguous, CouldNotAsk, FlyError, Garbled, Unavailable
from tests.fly.wiring import Hushed, Sending, answering, flying, says

CONFIG = {"image": "registry.fly.io/studio:1"}


async def lose_writes(request: httpx.Request, send: Sending) -> httpx.Response:
    """Every write has its effect, and its answer is lost."""
    response = await send(request)
    if request.method != "GET":
        raise httpx.ReadError("connection reset")
    return response


async def test_a_machine_goes_through_its_life() -> None:
    """Create, read, wait, update and start work against a whole Machines API."""
    async with flying() as (fly, box):
        await fly.create_app(name="alice", org="acme", network="net-alice")
        made = await fly.create_machine("alice", name="web-0", region="iad", config=CONFIG)
        await fly.wait("alice", made.id, states=("started",), version=None, timeout_s=300)
        changed = await fly.update_machine(
            "alice", made.id, config={**CONFIG, "env": {"A": "1"}}, current_version=made.instance_id
        )
        await fly.wait("alice", made.id, states=("settled",), version=changed.instance_id, timeout_s=300)
        await fly.patch_metadata("alice", made.id, {"a": "b"}, machine_version=changed.instance_id)
        found = await fly.get_machine("alice", made.id)
        versions = await fly.list_versions("alice", made.id)
        assert (found.state, found.instance_id, found.metadata) == (
            "started",
            changed.instance_id,
            {"a": "b"},
        )
        assert versions is not None
        assert [version.version for version in versions] == [changed.instance_id, made.instance_id]
        assert len(box.world.machines) == 1


async def test_secrets_are_set_and_unset_in_one_call_and_listed_by_name() -> None:
    """None unsets; the version grows with the change."""
    async with flying() as (fly, box):
        await fly.create_app(name="alice", org="acme", network="net-alice")
        first = await fly.set_secrets("alice", {"A": Hushed("1"), "B": Hushed("2")})
        second = await fly.set_secrets("alice", {"A": None, "C": Hushed("3")})
        assert second > first
        assert await fly.list_secrets("alice") == {"B", "C"}
        assert box.world.apps["alice"].secrets["C"].value == "3"


async def test_a_create_whose_answer_is_lost_is_not_sent_again() -> None:
    """One machine and one volume stand there, and the caller knows that it must look."""
    async with flying(fault=lose_writes) as (fly, box):
        box.world.add_app("alice", org="acme")
        with pytest.raises(Ambiguous):
            await fly.create_machine("alice", name="web-0", region="iad", config=CONFIG)
        with pytest.raises(Ambiguous):
            await fly.create_volume("alice", name="data", region="iad", size_gb=1)
        assert len(box.world.machines) == 1
        assert len(box.world.apps["alice"].volumes) == 1


async def test_a_passing_failure_of_a_read_passes_unseen() -> None:
    """Two bad gateways, then the answer: the caller gets the answer."""
    answers: Iterator[httpx.Response] = iter(
        [
            httpx.Response(502, text="<html>"),
            httpx.Response(503, json={"error": "unavailable: x"}),
            httpx.Response(200, json={"name": "alice", "network": "n"}),
        ]
    )
    assert (await answering(lambda _: next(answers)).get_app("alice")).network == "n"


async def test_an_api_that_stays_down_is_given_up_within_seconds() -> None:
    """A command against a dead API ends, and does not hang."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    begun = asyncio.get_running_loop().time()
    with pytest.raises(CouldNotAsk):
        await answering(refuse).list_apps("acme")
    assert asyncio.get_running_loop().time() - begun < 6


async def test_an_api_that_hangs_is_told_of_within_two_minutes() -> None:
    """A look-up is not waited for as long as a machine's start, and the line says how long it was."""
    patience: list[float] = []

    def hang(request: httpx.Request) -> httpx.Response:
        patience.append(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("")

    with pytest.raises(CouldNotAsk, match=r"no answer from http://fly\.test:4280 within 20 s; check"):
        await answering(hang).list_apps("acme")
    assert sum(patience) < 120
    with pytest.raises(Ambiguous, match="within 70 s"):
        await answering(hang).create_machine("alice", name="web-0", region="iad", config=CONFIG)


async def test_fly_is_asked_again_no_sooner_than_it_wants() -> None:
    """`Retry-After` is honoured, for creates too: a 429 did nothing."""
    loop = asyncio.get_running_loop()
    asked_at: list[float] = []

    def limit_once(_: httpx.Request) -> httpx.Response:
        asked_at.append(loop.time())
        if len(asked_at) == 1:
            return httpx.Response(429, json={"error": "rate limit exceeded"}, headers={"retry-after": "7"})
        return httpx.Response(200, json={"id": "m1"})

    made = await answering(limit_once).create_machine("alice", name="web-0", region="iad", config=CONFIG)
    assert made.id == "m1"
    assert asked_at[1] - asked_at[0] >= 7


def org_list(request: httpx.Request) -> httpx.Response:
    """Four pages: short, empty, one with a region that did not answer, last."""
    row = {"app_name": "alice", "config": {"image": "i"}, "version": "v"}
    pages = {
        "": {"machines": [{**row, "id": "m1"}], "next_cursor": "c1", "error_regions": []},
        "c1": {"machines": [], "next_cursor": "c2", "error_regions": None},
        "c2": {"machines": None, "next_cursor": "c3", "error_regions": ["syd"]},
        "c3": {"machines": [{**row, "id": "m2", "name": None}], "next_cursor": ""},
    }
    return httpx.Response(200, json=pages[request.url.params.get("cursor", "")])


async def test_empty_pages_do_not_end_the_org_list() -> None:
    """Only a missing cursor does; regions that did not answer are carried along."""
    found = await answering(org_list).org_machines("acme")
    assert [row.id for row in found.rows] == ["m1", "m2"]
    assert found.error_regions == ("syd",)


async def test_an_org_list_that_repeats_its_cursor_is_an_error() -> None:
    """A list without end is reported instead of read for ever."""
    with pytest.raises(Garbled):
        await answering(says(200, {"machines": [], "next_cursor": "same"})).org_machines("acme")


async def test_the_org_list_of_a_whole_world_is_read() -> None:
    """Every machine of every app stands in it."""
    async with flying() as (fly, box):
        for app in ("alice", "bob"):
            await fly.create_app(name=app, org="acme", network=f"net-{app}")
            await fly.create_machine(app, name="web-0", region="iad", config=CONFIG)
        found = await fly.org_machines("acme")
        assert {row.id for row in found.rows} == set(box.world.machines)


@pytest.mark.parametrize("answer", [says(404, "404 page not found"), says(501, {"error": "not imitated"})])
async def test_an_api_without_versions_is_no_failure(answer: object) -> None:
    """Only the specification shows that endpoint: its absence is an answer."""
    assert callable(answer)
    assert await answering(answer).list_versions("alice", "m1") is None


async def test_versions_that_cannot_be_read_now_are_a_failure() -> None:
    """Trouble is not taken for absence."""
    with pytest.raises(Unavailable):
        await answering(says(500, {"error": "internal: x"})).list_versions("alice", "m1")


async def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    """Slashes and dots in a name stay inside one segment."""
    seen: list[bytes] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(404, json={"error": "app not found"})

    with pytest.raises(FlyError):
        await answering(note).get_app("../orgs/acme?x")
    assert seen == [b"/v1/apps/..%2Forgs%2Facme%3Fx"]


@pytest.mark.parametrize(
    ("token", "header"), [("fo1_abc\n", "Bearer fo1_abc"), ("FlyV1 fm2_a,fm2_b", "FlyV1 fm2_a,fm2_b")]
)
async def test_a_token_is_sent_under_its_scheme(token: str, header: str) -> None:
    """A text that names its scheme is not given another, and a final newline of a file does no harm."""
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={"apps": None})

    assert await answering(note, token=token).list_apps("acme") == ()
    assert seen == [header]
