"""What a visitor sees when a user's app does not come up: router and Fly Proxy together, in virtual time."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from localfly.lifecycle import Timings
from localfly.proxy.door import Attached, Door
from localfly.proxy.edge import ProxySettings
from reconciler.core.fleet import Member
from reconciler.core.observed import Claim
from reconciler.core.replay_spec import ReplaySpec
from reconciler.core.routes import build
from router.server import Listener, Router
from router.state import Signer
from tests.localfly.edge import Edge, edge

HOST = "alice.example.com"
APPS = ("acme-router", "acme-gateway")
LISTENERS = [
    Listener("public", APPS[0], "127.0.0.1", 0),
    Listener("management", APPS[1], "127.0.0.1", 0, private=True),
]
DOORS = (Door("127.0.0.1", 0, 443, app=APPS[0]), Door("127.0.0.1", 0, 9090, app=APPS[1], is_flycast=True))
SIGNED = Signer(auth="signed", replay_root=bytes(32), kid="a1b2c3d4")


@contextlib.asynccontextmanager
async def routed(
    replay: ReplaySpec,
    *,
    timings: Timings | None = None,
    settings: ProxySettings | None = None,
    is_deaf: bool = False,
) -> AsyncIterator[Edge]:
    """A router behind both doors whose table leads alice's host to her app, which has no machine yet."""
    alice = Member(
        name="alice",
        app_name="acme-alice",
        hosts=(HOST,),
        claim=Claim.OURS,
        unclaimed=False,
        machines={"web-0": "91851e6b000001"},
        why_not="",
        conditions=(),
    )
    router = Router(SIGNED)
    router.publish(
        build([alice], domains=["example.com"], reserved=[], listener_apps=APPS, replay=replay, revision=1)
    )
    async with router.listening(LISTENERS) as ports:
        behind = [
            Attached(APPS[0], "acme", 443, "127.0.0.1", ports["public"]),
            Attached(APPS[1], "acme", 9090, "127.0.0.1", ports["management"]),
        ]
        if is_deaf:
            behind.append(Attached("acme-alice", "acme", 443, "127.0.0.1", 1))
        async with edge(*behind, doors=DOORS, timings=timings, settings=settings) as fly:
            if not is_deaf:
                fly.app("acme-alice")
            yield fly


async def test_a_machine_that_needs_too_long_gets_a_page_that_comes_back_until_it_is_up() -> None:
    """After 15 s our own 503 says that it may still be waking; the wake goes on, and the app answers then."""
    async with routed(ReplaySpec(), timings=Timings(start_s=25)) as fly:
        await fly.machine("acme-alice", is_asleep=True)
        began = fly.world.clock()
        page = await fly.ask(host=HOST, headers=[("accept", "text/html")])
        assert page.status_code == 503
        assert 14 <= fly.world.clock() - began <= 16
        assert page.headers["retry-after"] == "5"
        assert "It may still be waking." in page.text
        assert not [name for name in page.headers if name.startswith("fly-replay")]
        assert (await fly.ask(host=HOST)).status_code == 200


@pytest.mark.parametrize(("is_deaf", "reason"), [(False, "NoCandidate"), (True, "RetriesExhausted")])
async def test_an_app_that_nobody_can_connect_to_gets_our_page_at_flys_own_give_up_time(
    is_deaf: bool, reason: str
) -> None:
    """The timeout does not lengthen that, and the page names the kind of failure."""
    async with routed(ReplaySpec(), is_deaf=is_deaf) as fly:
        began = fly.world.clock()
        page = await fly.ask(host=HOST, method="POST", content=b"x" * 100_000)
        assert page.status_code == 503
        assert page.text.startswith(f"503 {reason}: ")
        assert 7 <= fly.world.clock() - began <= 8


async def test_the_platforms_own_door_is_told_in_json() -> None:
    """A program that names its user gets the same kind of answer."""
    async with routed(ReplaySpec(timeout="800ms")) as fly:
        began = fly.world.clock()
        headers = [("x-user-app", "alice"), ("accept", "application/json")]
        told = await fly.ask(door=1, host="acme-gateway.flycast", headers=headers)
        assert (told.status_code, told.json()["error"]) == (503, "NoCandidate")
        assert fly.world.clock() - began < 1


async def test_without_a_fallback_the_visitor_gets_flys_empty_502() -> None:
    """`none` leaves it all to Fly, as if nothing had been said."""
    async with routed(ReplaySpec(timeout="none", fallback="none")) as fly:
        answer = await fly.ask(host=HOST)
        assert (answer.status_code, answer.content) == (502, b"")


@pytest.mark.parametrize(
    ("region", "goes_to"), [("fra,any", "fra"), ("syd,us,any", "ord"), ("eu", "fra"), (None, "ord")]
)
async def test_the_regions_of_the_document_choose_the_machine(region: str | None, goes_to: str) -> None:
    """In their order; without them the nearest to the visitor answers."""
    async with routed(ReplaySpec.model_validate({"region": region})) as fly:
        for each in ("fra", "ord"):
            await fly.machine("acme-alice", region=each)
        answer = await fly.ask(host=HOST)
        assert (answer.status_code, answer.json()["region"]) == (200, goes_to)


async def test_regions_without_any_at_the_end_are_the_only_ones() -> None:
    """A machine elsewhere is not tried."""
    async with routed(ReplaySpec(timeout="1s", region=("eu",))) as fly:
        await fly.machine("acme-alice", region="ord")
        assert (await fly.ask(host=HOST)).text.startswith("503 NoCandidate: ")
