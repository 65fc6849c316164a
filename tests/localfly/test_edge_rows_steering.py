"""Row 40 of the list of edge behaviours: request headers by which a client chooses region or machine."""

import pytest

from localfly.proxy.door import Door
from localfly.proxy.edge import ProxySettings
from localfly.proxy.exchange import Choices
from localfly.world import Machine
from tests.localfly.backend import backend, replaying
from tests.localfly.edge import Edge, edge

SHOP = [Door("127.0.0.1", 0, 443, "shop")]
SHORT = ProxySettings(give_up_s=1)


async def _three(fly: Edge, app: str = "shop") -> dict[str, Machine]:
    fly.app(app)
    return {region: await fly.machine(app, region=region) for region in ("iad", "fra", "syd")}


@pytest.mark.parametrize(
    ("name", "value", "region"),
    [
        ("fly-prefer-region", "fra", "fra"),
        ("fly-prefer-region", "gru,syd", "syd"),
        ("fly-prefer-region", "gru, syd", "syd"),
        ("fly-prefer-region", "eu", "fra"),
        ("fly-prefer-region", "gru", "iad"),
        ("fly-prefer-region", "xyz", "iad"),
        ("fly-force-region", "syd", "syd"),
        ("fly-force-region", "gru,fra", "fra"),
        ("fly-force-region", "apac", "syd"),
        ("fly-force-region", "gru", None),
        ("fly-force-region", "xyz", None),
    ],
)
async def test_row_40_a_client_prefers_or_forces_a_region(name: str, value: str, region: str | None) -> None:
    """In the order given; preferring ends at the nearest machine, forcing at nobody and a 503."""
    async with edge(doors=SHOP, settings=SHORT) as fly:
        machines = await _three(fly)
        answer = await fly.ask(headers=[(name, value)])
        if region is None:
            assert (answer.status_code, answer.content) == (503, b"")
            assert f"in region {value}" in fly.errors("shop")[0]
        else:
            assert answer.json()["machine"] == machines[region].id


async def test_row_40_forcing_a_region_goes_before_preferring_one() -> None:
    """Both at once: only the forced one counts."""
    async with edge(doors=SHOP) as fly:
        machines = await _three(fly)
        both = [("fly-prefer-region", "syd"), ("fly-force-region", "fra")]
        assert (await fly.ask(headers=both)).json()["machine"] == machines["fra"].id


async def test_row_40_a_client_forces_an_instance() -> None:
    """That machine or nobody, after several tries: a 503."""
    async with edge(doors=SHOP, settings=SHORT) as fly:
        machines = await _three(fly)
        for machine in machines.values():
            told = (await fly.ask(headers=[("fly-force-instance-id", machine.id)])).json()
            assert told["machine"] == machine.id
        began = fly.world.clock()
        answer = await fly.ask(headers=[("fly-force-instance-id", "0" * 14)])
        assert (answer.status_code, fly.world.clock() - began >= 1) == (503, True)


async def test_row_40_a_client_prefers_an_instance_and_the_machine_hears_when_it_is_missed() -> None:
    """That machine if possible, else another one, which is told the id that was wished for."""
    async with edge(doors=SHOP) as fly:
        machines = await _three(fly)
        told = (await fly.ask(headers=[("fly-prefer-instance-id", machines["syd"].id)])).json()
        assert told["machine"] == machines["syd"].id
        assert "fly-preferred-instance-unavailable" not in dict(told["saw"]["headers"])
        told = (await fly.ask(headers=[("fly-prefer-instance-id", "0" * 14)])).json()
        assert told["machine"] == machines["iad"].id
        assert dict(told["saw"]["headers"])["fly-preferred-instance-unavailable"] == "0" * 14


@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize("name", ["fly-prefer-region", "fly-force-region", "instance", "prefer"])
async def test_row_40_steering_acts_on_a_replays_target_only_with_the_switch(name: str, acts: bool) -> None:
    """Fly does not say whether it does: off, the target is the nearest; on, it is the client's choice."""
    settings = ProxySettings(choices=Choices(steers_replays=acts))
    async with backend(replaying("app=shop")) as router, edge(doors=[_door()], settings=settings) as fly:
        fly.app("router")
        entry = await fly.machine("router", program=router, region="syd")
        machines = await _three(fly)
        wish = (name, "syd")
        if name in ("instance", "prefer"):
            wish = ("fly-prefer-instance-id", machines["syd"].id)
        if name == "instance":  # the router has no such machine, so only a preference gets past it
            wish = ("fly-force-instance-id", entry.id)
        answer = await fly.ask(headers=[wish])
        if name == "instance":
            assert answer.status_code == (502 if acts else 200)
        else:
            assert answer.json()["machine"] == machines["syd" if acts else "iad"].id


async def test_row_40_what_a_replay_says_goes_before_what_a_client_says() -> None:
    """With the switch on, the region of the replay still wins over the client's."""
    settings = ProxySettings(choices=Choices(steers_replays=True))
    async with (
        backend(replaying("app=shop;region=fra")) as router,
        edge(router.attached("router"), settings=settings) as fly,
    ):
        machines = await _three(fly)
        answer = await fly.ask(headers=[("fly-prefer-region", "syd")])
        assert answer.json()["machine"] == machines["fra"].id


def _door() -> Door:
    return Door("127.0.0.1", 0, 443, "router")
