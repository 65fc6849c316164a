"""Ways in which what is in an app, or beside it, looks like ours and is not, or the other way round."""

import asyncio

import pytest

from reconciler.core.spec import Unreadable
from tests.deletion.scene import FLEET_YAML, HOUR_S, SOON_S, Scene, Way, changes, documents, scene, wall
from tests.stage import user

APP = "/apps/acme-alice"
STRAY = {"config": {"image": "registry.fly.io/stray:1"}, "name": "stray", "region": "iad"}


async def metadata(at: Scene, key: str, value: str | None) -> None:
    path = f"{APP}/machines/{at.on.machine('alice').id}/metadata/{key}"
    if value is None:
        await at.on.by_hand("DELETE", path)
    else:
        await at.on.by_hand("POST", path, {"value": value})


async def labelled(at: Scene, name: str) -> None:
    await at.on.by_hand("POST", f"{APP}/secrets", {"values": {name: "1"}})


def is_in_service(at: Scene) -> bool:
    return "reconciler_withdrawn" not in at.on.machine("alice").config["metadata"]


async def owner_wiped(at: Scene) -> None:
    await metadata(at, "reconciler_owner", None)


async def owner_forged(at: Scene) -> None:
    await metadata(at, "reconciler_owner", "teststage.bob")


async def owner_of_another_installation(at: Scene) -> None:
    await metadata(at, "reconciler_owner", "otherstage.alice")


async def stray_machine(at: Scene) -> None:
    await at.on.by_hand("POST", f"{APP}/machines", STRAY)


async def stray_that_sleeps(at: Scene) -> None:
    await at.on.by_hand("POST", f"{APP}/machines", {**STRAY, "skip_launch": True})


async def stray_volume(at: Scene) -> None:
    await at.on.by_hand("POST", f"{APP}/volumes", {"name": "precious", "region": "iad", "size_gb": 1})


async def volume_of_a_stray(at: Scene) -> None:
    """Somebody else's machine mounts a volume with a slot's name."""
    volume = await at.on.by_hand(
        "POST", f"{APP}/volumes", {"name": "web_data_1", "region": "iad", "size_gb": 1}
    )
    mounts = [{"volume": volume["id"], "path": "/data"}]
    config = {"image": "registry.fly.io/stray:1", "mounts": mounts}
    await at.on.by_hand("POST", f"{APP}/machines", {**STRAY, "config": config})


async def public_address(at: Scene) -> None:
    await at.on.by_hand("POST", f"{APP}/ip_assignments", {"type": "v6"})


async def protected(at: Scene) -> None:
    await labelled(at, "RECONCILER_PROTECTED")


async def paused(at: Scene) -> None:
    await labelled(at, f"RECONCILER_PAUSED_UNTIL_{int(wall()) + 24 * 3600}")


WAYS = [
    Way("owner-wiped", "Her code wiped the mark of her machine.", owner_wiped, "Stray"),
    Way("owner-forged", "Her machine says that it is bob's.", owner_forged, "Stray"),
    Way(
        "owner-foreign", "It says that it is another installation's.", owner_of_another_installation, "Stray"
    ),
    Way("stray", "Somebody put a machine into her app.", stray_machine, "Stray"),
    Way("sleeping-stray", "Somebody put a machine there that does not run.", stray_that_sleeps, "Stray"),
    Way("stray-volume", "Somebody put a volume into her app.", stray_volume, "OrphanVolume"),
    Way("volume-of-a-stray", "Somebody's machine mounts one of a slot's name.", volume_of_a_stray, "Stray"),
    Way("public-address", "Somebody gave her app an address.", public_address, "PubliclyReachable"),
    Way("protected", "The label of her app protects it.", protected, "Protected"),
    Way("paused", "The label of her app pauses it.", paused, "Paused"),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_gone_documents_app_is_kept_whole_when(way: Way) -> None:
    """What is in it may be somebody's: nothing of it is touched."""
    async with scene() as at:
        at.save(users__alice=None)
        await way.happens(at)
        before = at.lives
        at.on.fly.journal.requests.clear()
        await asyncio.sleep(HOUR_S / 2)
        assert at.lives == before, way.sentence
        assert at.run.condition("alice", "Stalled") == ("True", way.proof), way.sentence
        assert changes(at.on) == []


@pytest.mark.parametrize("way", WAYS[:5], ids=str)
async def test_with_a_document_nothing_is_deleted_when(way: Way) -> None:
    """Marks steer and never prove: who wipes or forges them loses nothing and takes nothing from others."""
    async with scene() as at:
        await way.happens(at)
        before = at.lives
        await asyncio.sleep(HOUR_S / 2)
        assert at.lives == before, way.sentence


async def test_a_tenant_that_says_withdrawn_loses_nothing() -> None:
    """With a document the mark is taken off; without one it saves none of the ten seconds, nor any proof."""
    async with scene() as at:
        before = at.lives
        await metadata(at, "reconciler_withdrawn", "true")
        await at.run.until(lambda: is_in_service(at) and at.route("alice"))
        await metadata(at, "reconciler_withdrawn", "true")
        at.save(users__alice=None, torn=Unreadable("permission denied"))
        await asyncio.sleep(HOUR_S)
        assert at.lives == before


async def test_what_only_looks_like_ours_is_never_deleted() -> None:
    """Our name on another network, our network with another name, other installations', the router's own."""
    async with scene() as at:
        world = at.on.fly.world
        for name, network in (
            ("acme-dave", "default"),
            ("acme-erin", "teststage-frank"),
            ("dave-of-acme", "teststage-dave"),
            ("acme-grace", "otherstage-grace"),
            ("acme-heidi", "teststage-"),
            ("acme-ivan", "teststagex-ivan"),
            ("acme-router", "default"),
            ("acme-", "teststage-"),
        ):
            world.add_app(name, org="acme", network=network)
            await at.on.by_hand("POST", f"/apps/{name}/machines", STRAY)
        at_rivals = world.add_app("acme-judy", org="rivals", network="teststage-judy")
        before = {name: lived for name, lived in at.lives.items() if name != "acme-alice"}
        at.save(users__alice=None)
        await asyncio.sleep(HOUR_S)
        assert at.lives == before
        assert at_rivals.name in world.apps


async def test_two_installations_in_one_organisation_delete_nothing_of_each_other() -> None:
    """Neither knows the other's documents."""
    async with scene() as at:
        theirs = {
            **documents("zoe"),
            "fleet.yaml": FLEET_YAML.replace("teststage", "otherstage").replace(
                "acme-{name}", "zenith-{name}"
            ),
        }
        before = at.lives
        at.on.files = theirs
        async with at.on.running() as other:
            await other.converged(within_s=600)
            both = at.lives
            await asyncio.sleep(HOUR_S)
            assert at.lives == both
            assert {name: both[name] for name in before} == before
            assert set(both) == {*before, "zenith-zoe"}


async def test_an_adopted_app_whose_document_vanished_is_left_alone() -> None:
    """Its label is in no list, so nobody knows of it any more."""
    async with scene() as at:
        at.on.fly.world.add_app("old-dave", org="acme")
        await at.on.by_hand(
            "POST", "/apps/old-dave/secrets", {"values": {"RECONCILER_OWNER_TESTSTAGE": "dave"}}
        )
        at.save(users__dave=user("dave").replace("spec:", "spec:\n  app_name: old-dave"))
        await at.run.until(lambda: at.on.shape.get("old-dave") == (1, 1), within_s=SOON_S)
        before = at.lives
        at.save(users__dave=None)
        await asyncio.sleep(HOUR_S)
        assert at.lives == before


async def test_a_protected_app_stays_until_a_document_lifts_that() -> None:
    """`protect` left out, or the document gone, lifts nothing; a machine that is gone does not, either."""
    async with scene() as at:
        at.save(users__alice=user("alice").replace("spec:", "spec:\n  protect: true"))
        await at.run.until(lambda: "RECONCILER_PROTECTED" in at.on.app("alice").secrets, within_s=SOON_S)
        at.save(users__alice=user("alice"))
        await asyncio.sleep(SOON_S)
        at.save(users__alice=None)
        await at.on.destroy("alice")
        await asyncio.sleep(HOUR_S)
        assert at.on.shape["acme-alice"] == (0, 1)
        assert at.run.condition("alice", "Stalled") == ("True", "Protected")
        at.save(users__alice=user("alice").replace("spec:", "spec:\n  protect: false"))
        await at.run.until(lambda: "RECONCILER_PROTECTED" not in at.on.app("alice").secrets, within_s=SOON_S)
        at.save(users__alice=None)
        await at.run.until(lambda: "acme-alice" not in at.on.shape, within_s=2 * SOON_S)
