"""Rows 21 to 26 of the list of edge behaviours: which machine a replay may reach, and what it learns."""

import re

import pytest

from localfly.proxy.door import Door
from localfly.proxy.edge import ProxySettings
from localfly.proxy.exchange import Choices
from localfly.proxy.region import distance
from localfly.region import REGIONS
from router import guard
from router.state import app_key, sign
from tests.localfly.backend import Saw, Says, backend, replaying, saying
from tests.localfly.edge import edge
from tests.virtual_time import EPOCH_S

ROUTER = [Door("127.0.0.1", 0, 443, "router")]
KEY = app_key(b"0" * 32, "public", "alice")


@pytest.mark.parametrize("is_other_org", [False, True])
@pytest.mark.parametrize("is_other_network", [False, True])
@pytest.mark.parametrize("is_switched", [False, True])
async def test_row_21_networks_and_organisations_are_crossed_only_with_their_switch(
    is_other_org: bool, is_other_network: bool, is_switched: bool
) -> None:
    """Within an organisation its cross-network switch decides, between two the target's allowance, whatever
    the network.
    """
    async with backend(replaying("app=alice")) as router, edge(router.attached("router")) as fly:
        org = "users" if is_other_org else "acme"
        fly.app("alice", org=org, network="alice" if is_other_network else "default")
        machine = await fly.machine("alice")
        if is_other_org:
            fly.world.orgs["users"].replay_sources |= {"acme"} if is_switched else set()
        else:
            fly.world.orgs["acme"].cross_network_replays = is_switched
        may_pass = is_switched or not (is_other_org or is_other_network)
        answer = await fly.ask()
        assert answer.status_code == (200 if may_pass else 502)
        assert not may_pass or answer.json()["machine"] == machine.id


@pytest.mark.parametrize(
    ("source", "target", "passes"),
    [
        ("router", "alice", True),
        ("router", "bob", True),
        ("alice", "bob", False),
        ("alice", "router", False),
        ("alice", "alice", True),
    ],
)
async def test_row_21_in_the_layout_of_two_organisations_replays_flow_one_way(
    source: str, target: str, passes: bool
) -> None:
    """Platform to user apps passes by the allowance with the switch off; no user reaches another, or back."""
    async with (
        backend(
            lambda saw: replaying(f"app={target}")(saw) if not saw.header("fly-replay-src") else SEEN
        ) as one,
        edge(doors=[Door("127.0.0.1", 0, 443, source)]) as fly,
    ):
        fly.app("router", org="platform")
        for user in ("alice", "bob"):
            fly.app(user, org="users", network=user)
        fly.world.orgs["users"].replay_sources.add("platform")
        for app in ("router", "alice", "bob"):
            await fly.machine(app, program=one if app in (source, target) else None)
        assert (await fly.ask()).status_code == (200 if passes else 502)


@pytest.mark.parametrize(
    ("is_on", "source", "passes"),
    [(True, "router", True), (True, "alice", True), (False, "router", False), (False, "alice", False)],
)
async def test_row_21_in_the_layout_of_one_organisation_the_switch_opens_everything(
    is_on: bool, source: str, passes: bool
) -> None:
    """With the switch a user's machine reaches another user too, which is why it is the less safe layout."""
    async with (
        backend(replaying("app=bob")) as one,
        edge(doors=[Door("127.0.0.1", 0, 443, source)]) as fly,
    ):
        for app in ("router", "alice", "bob"):
            fly.app(app, network=app)
        fly.world.orgs["acme"].cross_network_replays = is_on
        await fly.machine(source, program=one)
        await fly.machine("bob")
        assert (await fly.ask()).status_code == (200 if passes else 502)


async def test_row_22_a_target_needs_no_address_at_all() -> None:
    """An app that no door leads to and that has no IP address answers through a replay."""
    async with (
        backend(replaying("app=alice")) as router,
        edge(router.attached("router"), doors=ROUTER) as fly,
    ):
        fly.app("alice")
        machine = await fly.machine("alice")
        assert fly.world.apps["alice"].addresses == []
        assert (await fly.ask()).json()["machine"] == machine.id


CHOSEN = {
    "": "iad",
    ";region=iad": "iad",
    ";region=fra": "fra",
    ";region=syd": "syd",
    ';region="syd,fra"': "syd",
    ';region="fra,syd"': "fra",
    ';region="gru,fra"': "fra",
    ";region=eu": "fra",
    ";region=apac": "syd",
    ";region=us": "iad",
    ";region=usa": "iad",
    ";region=na": "iad",
    ';region="sa,apac"': "syd",
    ";region=any": "iad",
    ';region="gru,any"': "iad",
    ';region="syd,any"': "syd",
    ";region=sa": None,
    ";region=gru": None,
    ";region=xyz": None,
    ';region="gru,jnb"': None,
}


@pytest.mark.parametrize("value", CHOSEN)
async def test_row_23_regions_are_tried_in_order_and_no_further(value: str) -> None:
    """Codes, aliases and `any` as listed, nearest first within each; without `any` there is nobody else."""
    async with (
        backend(replaying(f"app=alice{value}")) as router,
        edge(router.attached("router"), settings=ProxySettings(give_up_s=1)) as fly,
    ):
        fly.app("alice")
        machines = {region: await fly.machine("alice", region=region) for region in ("fra", "iad", "syd")}
        answer = await fly.ask()
        region = CHOSEN[value]
        if region is None:
            assert answer.status_code == 502
        else:
            assert answer.json()["machine"] == machines[region].id


async def test_row_23_a_region_earlier_in_the_list_is_woken_before_a_later_one_is_used() -> None:
    """The order of the list goes before what runs; without a list, what runs goes first."""
    regions = ""

    def answer(saw: Saw) -> Says:
        return replaying(f"app=alice{regions}")(saw)

    async with (
        backend(answer) as router,
        edge(router.attached("router")) as fly,
    ):
        fly.app("alice")
        awake = await fly.machine("alice", region="syd")
        asleep = await fly.machine("alice", region="fra", is_asleep=True)
        assert (await fly.ask()).json()["machine"] == awake.id
        assert asleep.state == "stopped"
        regions = ';region="fra,syd"'
        assert (await fly.ask()).json()["machine"] == asleep.id


@pytest.mark.parametrize(
    ("here", "near", "far"),
    [("iad", "ewr", "ord"), ("fra", "cdg", "arn"), ("syd", "sin", "lax"), ("lhr", "ams", "iad")],
)
async def test_row_23_without_a_region_the_nearest_machine_is_used(here: str, near: str, far: str) -> None:
    """Nearest is by the distance between cities, from where the edge stands."""
    async with (
        backend(replaying("app=alice")) as router,
        edge(router.attached("router"), settings=ProxySettings(region=here)) as fly,
    ):
        fly.app("alice")
        await fly.machine("alice", region=far)
        nearest = await fly.machine("alice", region=near)
        assert [(await fly.ask()).json()["machine"] for _ in range(3)] == [nearest.id] * 3


def test_row_23_every_region_has_its_place() -> None:
    """Distances hold between any two regions, the same both ways, none but to itself."""
    for one in REGIONS:
        for other in REGIONS:
            assert distance(one, other) == pytest.approx(distance(other, one))
            assert (distance(one, other) == 0) is (one == other)


async def test_row_24_an_instance_is_exact() -> None:
    """`instance` reaches that machine, woken if need be; one of another app or of none is nobody."""
    async with (
        backend(lambda saw: replaying(f"app=alice;instance={saw.path[1:]}")(saw)) as router,
        edge(router.attached("router"), settings=ProxySettings(give_up_s=1)) as fly,
    ):
        fly.app("alice")
        fly.app("bob")
        for is_asleep in (False, True):
            machine = await fly.machine("alice", is_asleep=is_asleep)
            assert [(await fly.ask(f"/{machine.id}")).json()["machine"] for _ in range(3)] == [machine.id] * 3
        elsewhere = await fly.machine("bob")
        for nobody in (elsewhere.id, "0" * 14):
            assert (await fly.ask(f"/{nobody}")).status_code == 502


@pytest.mark.parametrize("loss", ["stopped", "destroyed", "elsewhere", "never"])
async def test_row_24_a_preferred_instance_that_is_missed_is_named_to_who_answers(loss: str) -> None:
    """While it serves, it answers and nothing is said; afterwards another does, and hears of it."""
    region = ";region=iad" if loss == "elsewhere" else ""
    wanted = ""

    def answer(saw: Saw) -> Says:
        return replaying(f"app=alice;prefer_instance={wanted}{region}")(saw)

    async with (
        backend(answer) as router,
        edge(router.attached("router")) as fly,
    ):
        fly.app("alice")
        others = [(await fly.machine("alice")).id for _ in range(2)]
        if loss == "elsewhere":
            wanted = (await fly.machine("alice", region="fra")).id
        elif loss == "never":
            wanted = "0" * 14
        else:
            service = {
                "protocol": "tcp",
                "internal_port": 8080,
                "ports": [{"port": 443, "handlers": ["http"]}],
            }
            preferred = await fly.machine("alice", service)
            wanted = preferred.id
            for _ in range(3):
                told = (await fly.ask()).json()
                assert told["machine"] == wanted
                assert "fly-preferred-instance-unavailable" not in dict(told["saw"]["headers"])
            if loss == "stopped":
                fly.lifecycle.stop(preferred)
            else:
                fly.lifecycle.destroy(preferred, force=True)
            await fly.lifecycle.until(preferred, lambda m: m.state == loss, timeout_s=60)
        told = (await fly.ask()).json()
        assert told["machine"] in others
        assert dict(told["saw"]["headers"])["fly-preferred-instance-unavailable"] == wanted


async def test_row_25_elsewhere_leaves_out_the_machine_that_answered() -> None:
    """Of two machines of one app, the one that replays never gets the next try; alone, nobody is left."""

    def answer(saw: Saw) -> Says:
        is_mine = saw.header("fly-replay-src") or saw.path == "/plain"
        return saying("took it")(saw) if is_mine else replaying("elsewhere=true")(saw)

    async with (
        backend(answer) as one,
        backend(answer) as other,
        edge(doors=ROUTER, settings=ProxySettings(give_up_s=1)) as fly,
    ):
        fly.app("router")
        first = await fly.machine("router", program=one)
        await fly.machine("router", program=other)
        for _ in range(6):
            assert (await fly.ask()).text == (await fly.ask("/plain")).text == "took it"
        asked, took = (
            [
                len([saw for saw in each.seen if saw.path == "/" and has_src(saw) is is_replayed])
                for each in (one, other)
            ]
            for is_replayed in (False, True)
        )
        assert min(asked) > 0
        assert asked == took[::-1]
        fly.lifecycle.destroy(first, force=True)
        assert (await fly.ask()).status_code == 502


async def test_row_26_the_replay_source_names_who_replayed_where_and_when() -> None:
    """Instance and region of the issuer, microseconds, the state: set by the proxy, a forged copy gone."""
    async with (
        backend(lambda saw: replaying(f"app=alice{saw.path[1:]}")(saw)) as router,
        backend(saying("ok")) as alice,
        edge(alice.attached("alice"), doors=ROUTER) as fly,
    ):
        fly.app("router")
        issuer = await fly.machine("router", program=router, region="fra")
        await fly.ask("/;state=v1.x_y-z", headers=[("fly-replay-src", "instance=forged;state=forged")])
        await fly.ask("/")
        stated, stateless = (saw.header("fly-replay-src") or "" for saw in alice.seen)
        form = rf"instance={issuer.id};region=fra;t=(\d{{16}})"
        micros = re.fullmatch(form + r";state=v1\.x_y-z", stated)
        assert micros
        assert abs(int(micros[1]) / 1_000_000 - fly.world.clock()) < 1
        assert re.fullmatch(form, stateless)


@pytest.mark.parametrize("keeps", [False, True])
async def test_row_26_the_guard_of_a_users_machine_holds_at_both_positions_of_the_switch(keeps: bool) -> None:
    """Only what the router signed passes the guard, whether or not the edge removes a client's own source."""
    settings = guard.settings(
        purpose="public", port=443, environ={"PRESHARED_KEY": KEY, "FLY_APP_NAME": "alice"}
    )
    verdicts: list[str] = []

    def guarded(saw: Saw) -> Says:
        headers = [(name.encode(), value.encode()) for name, value in saw.headers]
        verdict = guard.check(saw.method, saw.path, headers, settings=settings, now=fly.world.clock())
        verdicts.append(verdict.reason)
        return Says(verdict.status, [("content-length", "0")])

    good = sign(KEY, kid="0" * 8, app="alice", host="x.example", port=443, now=EPOCH_S)
    other = sign(KEY, kid="0" * 8, app="alice", host="other.example", port=443, now=EPOCH_S)
    async with (
        backend(replaying(f"app=alice;state={good}")) as router,
        backend(guarded) as alice,
        edge(
            router.attached("router"),
            alice.attached("alice"),
            settings=ProxySettings(choices=Choices(keeps_forged_replay_src=keeps)),
        ) as fly,
    ):
        assert (await fly.ask()).status_code == 200
        assert (await fly.ask(headers=[("fly-replay-src", f"state={other}")])).status_code == 200
        for forged in ("state=made-up", f"instance=a;state={other}", "nonsense", "state="):
            answer = await fly.ask(host="alice.fly.dev", headers=[("fly-replay-src", forged)])
            assert answer.status_code == 401
        reasons = ["form", "mismatch", "malformed", "no_state"] if keeps else ["missing"] * 4
        assert verdicts == ["accepted", "accepted", *reasons]


def has_src(saw: Saw) -> bool:
    """Whether a replay brought this request."""
    return saw.header("fly-replay-src") is not None


SEEN = Says(200, [("content-length", "4")], b"seen")
