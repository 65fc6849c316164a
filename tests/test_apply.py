"""Each step changes Fly as asked, says what went wrong when it did not, and does not act on a guess."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
from structlog.testing import capture_logs

from localfly.passage import CannotStart, Timings
from localfly.world import Machine
from reconciler.apply import StepFailed, apply
from reconciler.core.action import Action, MarkMachine, SetSecrets
from reconciler.core.observed import Claim
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import (
    Ambiguous,
    Capacity,
    ConcurrentUpdate,
    FlyError,
    LeaseHeld,
    NameHeld,
    NameTaken,
)
from tests import wanting
from tests.fly.wiring import Fault, Hushed, Sending, client_of, flying
from tests.localfly.inprocess import Laptop, NothingRuns, laptop
from tests.wanting import APP, CONFIG, EVERYTHING, MARKS, VALUES

US = "acme1/test"


async def do(fly: FlyClient, *actions: Action) -> None:
    await apply(actions, fly=fly, values=VALUES, describe=US)


def only_machine(box: Laptop) -> Machine:
    (machine,) = box.world.apps[APP].living()
    return machine


def refusing(matches: Callable[[httpx.Request], bool], status: int, text: str, code: str = "") -> Fault:
    """Fly refuses the requests that match."""

    async def fault(request: httpx.Request, send: Sending) -> httpx.Response:
        if matches(request):
            return httpx.Response(status, json={"error": text} | ({"status": code} if code else {}))
        return await send(request)

    return fault


def posts(path: str, region: str = "") -> Callable[[httpx.Request], bool]:
    """Whether a request creates something at `path`, in `region` if one is given."""

    def matches(request: httpx.Request) -> bool:
        is_it = request.method == "POST" and request.url.path.endswith(path)
        return is_it and (not region or json.loads(request.content)["region"] == region)

    return matches


async def test_an_app_comes_into_being_whole() -> None:
    """App on its network, label and secrets, volume, machine on that volume with those secrets, verified."""
    async with flying() as (fly, box):
        await do(fly, *EVERYTHING)
        app = box.world.apps[APP]
        machine = only_machine(box)
        (volume,) = app.volumes.values()
        assert (app.org.slug, app.network) == ("acme", "acme1-alice")
        assert {name: secret.value for name, secret in app.secrets.items()} == {
            name: value.reveal() for name, value in VALUES.items()
        }
        assert (volume.name, volume.region, volume.size_gb, volume.snapshot_retention) == (
            "web_data_0",
            "iad",
            1,
            7,
        )
        assert (machine.name, machine.region, machine.state) == ("web-0", "iad", "started")
        assert machine.config["mounts"][0]["volume"] == volume.id
        assert volume.machine_id == machine.id
        assert set(machine.secrets) == set(VALUES)
        assert machine.config["metadata"] == {**MARKS, "reconciler_version": machine.instance_id}
        assert wanting.steps(await wanting.look(fly)) == []


async def test_an_app_that_becomes_visible_late_is_waited_for() -> None:
    """Other API servers know a new app only after a while, and answer 404 or 401 until then."""
    begun = asyncio.get_running_loop().time()

    async def late(request: httpx.Request, send: Sending) -> httpx.Response:
        age_s = asyncio.get_running_loop().time() - begun
        if request.url.path.startswith(f"/v1/apps/{APP}") and age_s < 20:
            status, text = (
                (401, "Authenticate: token validation error") if age_s < 9 else (404, "app not found")
            )
            return httpx.Response(status, json={"error": text})
        return await send(request)

    async with flying(fault=late) as (fly, box):
        await do(fly, *EVERYTHING)
        assert only_machine(box).state == "started"


async def test_a_machine_that_becomes_visible_late_is_waited_for() -> None:
    """Right after a create, a wait and a read may answer 404."""
    made_at: list[float] = []

    async def late(request: httpx.Request, send: Sending) -> httpx.Response:
        now = asyncio.get_running_loop().time()
        if request.method == "GET" and "/machines/" in request.url.path and now - made_at[0] < 15:
            return httpx.Response(404, json={"error": "not_found: machine not found"})
        if request.method == "POST" and request.url.path.endswith("/machines"):
            made_at.append(now)
        return await send(request)

    async with flying(fault=late) as (fly, box):
        await do(fly, *EVERYTHING)
        assert only_machine(box).config["metadata"]["reconciler_version"] == only_machine(box).instance_id


async def test_a_machine_is_not_launched_with_secrets_older_than_those_just_set() -> None:
    """Secrets spread slowly; a launch that does not name the version it needs gets what its host has."""
    async with flying() as (_, box):

        async def slow_secrets(request: httpx.Request, send: Sending) -> httpx.Response:
            if not posts("/machines")(request) or json.loads(request.content).get("min_secrets_version"):
                return await send(request)
            app = box.world.apps[APP]
            current, app.secrets = app.secrets, {}
            response = await send(request)
            app.secrets = current
            return response

        await do(client_of(box, fault=slow_secrets), *EVERYTHING)
        assert set(only_machine(box).secrets) == set(VALUES)


async def test_an_app_that_never_becomes_visible_is_an_error_after_a_minute() -> None:
    """The wait has an end."""
    nowhere = refusing(lambda request: request.url.path.startswith(f"/v1/apps/{APP}"), 404, "app not found")
    async with flying(fault=nowhere) as (fly, _):
        loop = asyncio.get_running_loop()
        with pytest.raises(FlyError):
            await do(fly, wanting.create_app)
        assert 60 <= loop.time() < 70


@pytest.mark.parametrize("token", ["laptop-token", "acme-only"])
async def test_a_name_that_another_organisation_has_is_not_ours(token: str) -> None:
    """It is `NameTaken` whether Fly shows us the app or not, and nothing is done to it."""
    async with flying() as (_, box):
        box.world.add_app(APP, org="other", network="acme1-alice")
        with pytest.raises(NameTaken) as caught:
            await do(client_of(box, token=token), *EVERYTHING)
        assert str(caught.value).startswith(f"cannot create app {APP}: the name is taken: ")
        app = box.world.apps[APP]
        assert (app.org.slug, dict(app.secrets), app.volumes, app.machines) == ("other", {}, {}, {})


async def test_an_app_of_ours_on_another_network_is_not_taken_over() -> None:
    """Without our network the app is not proven ours."""
    async with flying() as (fly, box):
        box.world.add_app(APP, org="acme", network="elsewhere")
        with pytest.raises(NameTaken, match="on network elsewhere"):
            await do(fly, *EVERYTHING)
        assert not box.world.apps[APP].secrets


async def test_a_secret_without_a_value_sets_none() -> None:
    """The names are told, and the app keeps what it had."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app)
        missing = SetSecrets(app_name=APP, because="x", names=("API_KEY", "TOKEN_A", "TOKEN_B"), unset=())
        with pytest.raises(StepFailed, match="TOKEN_A, TOKEN_B") as caught:
            await do(fly, missing)
        assert (caught.value.reason, caught.value.is_transient) == ("SecretMissing", False)
        assert not box.world.apps[APP].secrets


async def test_names_are_unset_together_with_what_is_set() -> None:
    """One call, one new secrets version."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.set_secrets)
        app = box.world.apps[APP]
        before = app.secrets_version
        await do(fly, SetSecrets(app_name=APP, because="x", names=(wanting.LABEL,), unset=("API_KEY",)))
        assert set(app.secrets) == {wanting.LABEL}
        assert app.secrets_version == before + 1


async def test_a_full_region_is_passed_over_and_the_machine_follows_its_volume() -> None:
    """Volumes are asked for region by region; the machine goes where its volume has found room."""
    full = refusing(posts("/volumes", "iad"), 409, "aborted: no capacity")
    async with flying(fault=full) as (fly, box):
        await do(fly, *EVERYTHING)
        (volume,) = box.world.apps[APP].volumes.values()
        assert (volume.region, only_machine(box).region) == ("ord", "ord")


async def test_a_machine_without_volume_goes_to_the_first_region_with_room() -> None:
    """Later regions only on lack of capacity."""
    full = refusing(
        posts("/machines", "iad"), 422, "could not find a candidate host", "insufficient_capacity"
    )
    async with flying(fault=full) as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        assert only_machine(box).region == "ord"


async def test_no_room_anywhere_is_said_and_leaves_nothing() -> None:
    """It is lack of capacity, of which time may be the cure."""
    full = refusing(posts("/volumes"), 409, "aborted: no capacity")
    async with flying(fault=full) as (fly, box):
        with pytest.raises(Capacity) as caught:
            await do(fly, *EVERYTHING)
        assert caught.value.is_transient
        assert not box.world.apps[APP].volumes
        assert not box.world.machines


async def test_a_strangers_machine_of_that_name_is_left_alone() -> None:
    """A machine is adopted only with our marks for that slot."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app)
        for metadata in ({}, {**MARKS, "reconciler_slot": "web-1"}, {**MARKS, "reconciler_owner": "x.alice"}):
            made = await fly.create_machine(
                APP, name="web-0", region="iad", config={"image": "theirs", "metadata": metadata}
            )
            with pytest.raises(NameHeld):
                await do(fly, wanting.create_machine())
            assert only_machine(box).config["image"] == "theirs"
            await box.client.delete(f"/v1/apps/{APP}/machines/{made.id}?force=true")


async def test_a_machine_of_ours_made_from_another_spec_is_compared_again() -> None:
    """It is neither taken for the wanted one nor made twice."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        newer = {**CONFIG, "metadata": {**MARKS, "reconciler_spec": "hash-2"}}
        with pytest.raises(StepFailed) as caught:
            await do(fly, wanting.create_machine(config=newer))
        assert (caught.value.reason, caught.value.is_transient) == ("Outdated", True)
        assert only_machine(box).config["metadata"]["reconciler_spec"] == "hash-1"


async def test_a_volume_still_bound_to_a_dying_machine_is_waited_for() -> None:
    """The new machine comes up once the old one has let go of the volume."""
    async with flying(timings=Timings(destroy_s=45)) as (fly, box):
        await do(fly, *EVERYTHING)
        old = only_machine(box)
        (volume,) = box.world.apps[APP].volumes.values()
        await box.client.delete(f"/v1/apps/{APP}/machines/{old.id}?force=true")
        await do(fly, wanting.create_machine(mount={"path": "/data", "volume": volume.id}))
        assert volume.machine_id == only_machine(box).id != old.id


async def test_a_machine_made_asleep_stays_asleep() -> None:
    """`skip_launch` is fulfilled when it stands there, verified and not running."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine(skip_launch=True, must_run=False))
        machine = only_machine(box)
        assert machine.state == "stopped"
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id


class Broken(NothingRuns):
    """An image that cannot run."""

    async def start(self, machine: Machine) -> None:
        raise CannotStart(f"no such program in {machine.name}")


@pytest.mark.parametrize("must_run", [True, False])
async def test_a_machine_that_cannot_run_is_an_error_and_not_verified(must_run: bool) -> None:
    """Its state is told, and no mark says that it was fine."""
    async with laptop(runtime=Broken()) as box:
        with pytest.raises(StepFailed) as caught:
            await do(client_of(box), wanting.create_app, wanting.create_machine(must_run=must_run))
        machine = only_machine(box)
        assert caught.value.reason == "NotRunning"
        assert f"machine web-0 ({machine.id}) of {APP} is failed" in str(caught.value)
        assert "reconciler_version" not in machine.config["metadata"]


async def test_a_program_that_ends_at_once_is_told_with_its_exit_code() -> None:
    """What must run and stopped by itself is an error that says how it ended."""

    class EndsAtOnce(NothingRuns):
        async def start(self, machine: Machine) -> None:
            asyncio.get_running_loop().call_later(0.01, lambda: box.lifecycle.exited(machine.id, 3))

    async with laptop(runtime=EndsAtOnce()) as box:
        fly = client_of(box)
        await do(fly, wanting.create_app)
        made = await fly.create_machine(
            APP, name="web-0", region="iad", config={**CONFIG, "restart": {"policy": "no"}}
        )
        await asyncio.sleep(5)
        assert box.world.machines[made.id].state == "stopped"
        with pytest.raises(StepFailed, match="is stopped after exit code 3"):
            await do(fly, wanting.create_machine(config={**CONFIG, "restart": {"policy": "no"}}))


async def test_an_update_replaces_the_config_and_is_verified() -> None:
    """One new version, running, marked as looked at, and the lease is free again."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = only_machine(box)
        old = machine.instance_id
        await do(fly, wanting.update_machine(machine.id, old))
        assert machine.instance_id != old
        assert (machine.state, machine.config["image"]) == ("started", "registry.fly.io/studio:2")
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id
        assert machine.lease is None


async def test_a_new_secret_reaches_the_machine_with_the_update_of_the_same_plan() -> None:
    """The new version is launched with the secrets that were set just before."""
    async with flying() as (fly, box):
        await do(fly, *EVERYTHING)
        machine = only_machine(box)
        changed = {**VALUES, "API_KEY": Hushed("new value")}
        update = wanting.update_machine(machine.id, machine.instance_id)
        mounted = {**update.config, "mounts": [dict(machine.config["mounts"][0])]}
        await apply(
            [
                wanting.set_secrets,
                type(update)(
                    app_name=APP,
                    because=update.because,
                    machine_id=machine.id,
                    slot="web-0",
                    expected_version=machine.instance_id,
                    config=mounted,
                    changes=(),
                    skip_launch=False,
                    must_run=True,
                ),
            ],
            fly=fly,
            values=changed,
            describe=US,
        )
        assert machine.secrets["API_KEY"].value == "new value"


@pytest.mark.parametrize(("must_run", "state"), [(True, "started"), (False, "stopped")])
async def test_a_machine_asleep_is_updated_asleep_unless_it_must_run(must_run: bool, state: str) -> None:
    """Fly leaves it stopped; what must run is started afterwards, under the same lease."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine(skip_launch=True, must_run=False))
        machine = only_machine(box)
        await do(fly, wanting.update_machine(machine.id, machine.instance_id, must_run=must_run))
        assert (machine.state, machine.config["image"]) == (state, "registry.fly.io/studio:2")
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id


async def test_an_update_planned_from_an_older_version_is_refused() -> None:
    """Somebody was faster: their version stays."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = only_machine(box)
        planned_from = machine.instance_id
        await do(fly, wanting.update_machine(machine.id, planned_from, image="theirs"))
        with pytest.raises(ConcurrentUpdate):
            await do(fly, wanting.update_machine(machine.id, planned_from))
        assert machine.config["image"] == "theirs"
        assert machine.lease is None


async def theirs(box: Laptop, machine: Machine) -> None:
    """Somebody else updates the machine, with its present marks."""
    config = {**machine.config, "image": "theirs"}
    config["metadata"] = {k: v for k, v in config["metadata"].items() if k != "reconciler_version"}
    held, machine.lease = machine.lease, None
    await box.client.post(f"/v1/apps/{APP}/machines/{machine.id}", json={"config": config})
    machine.lease = held
    await asyncio.sleep(30)


async def test_a_version_that_was_not_looked_at_is_not_marked_as_such() -> None:
    """An update by somebody else between our look and our mark leaves their version without it."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = only_machine(box)

        async def overtake(request: httpx.Request, send: Sending) -> httpx.Response:
            if request.method == "PATCH" and machine.config["image"] != "theirs":
                await theirs(box, machine)
            return await send(request)

        with pytest.raises(ConcurrentUpdate):
            await do(client_of(box, fault=overtake), wanting.update_machine(machine.id, machine.instance_id))
        assert machine.config["image"] == "theirs"
        assert "reconciler_version" not in machine.config["metadata"]


async def test_after_a_lost_answer_somebody_elses_version_is_not_taken_for_ours() -> None:
    """Our update did not arrive, theirs did: that is an error, and theirs stays."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = only_machine(box)

        async def overtake(request: httpx.Request, send: Sending) -> httpx.Response:
            is_update = request.method == "POST" and request.url.path.endswith(machine.id)
            if is_update and machine.config["image"] != "theirs":
                await theirs(box, machine)
                raise httpx.ReadError("reset")
            return await send(request)

        with pytest.raises(Ambiguous):
            await do(client_of(box, fault=overtake), wanting.update_machine(machine.id, machine.instance_id))
        assert machine.config["image"] == "theirs"
        assert "reconciler_version" not in machine.config["metadata"]


async def test_a_machine_that_somebody_else_holds_is_not_touched() -> None:
    """A lease is respected, and the error says until when."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = only_machine(box)
        path = f"/v1/apps/{APP}/machines/{machine.id}/lease"
        await box.client.post(path, json={"ttl": 600, "description": "a person"})
        with pytest.raises(LeaseHeld):
            await do(fly, wanting.update_machine(machine.id, machine.instance_id))
        assert machine.config["image"] == CONFIG["image"]


async def test_a_version_that_fly_took_back_is_an_error() -> None:
    """When a new version cannot be brought up, Fly may go back: that is not success."""
    async with flying() as (_, box):
        await do(client_of(box), wanting.create_app, wanting.create_machine())
        machine = only_machine(box)
        old, config = machine.instance_id, machine.config

        async def revert(request: httpx.Request, send: Sending) -> httpx.Response:
            if request.url.path.endswith("/wait"):
                response = await send(request)
                machine.instance_id, machine.config = old, config
                return response
            return await send(request)

        with pytest.raises(StepFailed) as caught:
            await do(client_of(box, fault=revert), wanting.update_machine(machine.id, old))
        assert (caught.value.reason, caught.value.is_transient) == ("Reverted", False)
        assert str(caught.value).endswith("; its own log says why: mend its image or its document")
        assert machine.config["metadata"]["reconciler_spec"] == "hash-1"


async def test_a_stopped_machine_is_started() -> None:
    """Even while Fly is still stopping it, and refuses at first."""
    async with flying(timings=Timings(stop_s=20, reap_s=10)) as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = only_machine(box)
        await box.client.post(f"/v1/apps/{APP}/machines/{machine.id}/stop")
        await do(fly, wanting.start_machine(machine.id))
        assert machine.state == "started"
        await do(fly, wanting.start_machine(machine.id))
        assert machine.state == "started"


async def test_a_mark_is_written_only_on_the_version_that_was_looked_at() -> None:
    """No restart and no new version; a stale mark is refused."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = only_machine(box)
        version = machine.instance_id

        def mark(of: str) -> MarkMachine:
            return MarkMachine(
                app_name=APP,
                because="x",
                machine_id=machine.id,
                slot="web-0",
                expected_version=of,
                metadata={"reconciler_key": "0a0a", "reconciler_version": None},
            )

        with pytest.raises(ConcurrentUpdate):
            await do(fly, mark("01HXXXXXXXXXXXXXXXXXXXXXXX"))
        assert "reconciler_key" not in machine.config["metadata"]
        await do(fly, mark(version))
        assert machine.config["metadata"] == {**MARKS, "reconciler_key": "0a0a"}
        assert machine.instance_id == version


async def test_every_step_is_told_and_no_value_with_it() -> None:
    """Events name app and step, and hold no secret."""
    async with flying(fault=refusing(posts("/machines"), 400, "bad config")) as (fly, _):
        with capture_logs() as events, pytest.raises(FlyError):
            await apply(EVERYTHING, fly=fly, values=VALUES, describe=US)
    told = [(event["action"], event["event"].removeprefix("apply.")) for event in events]
    assert told == [
        ("create-app", "started"),
        ("create-app", "done"),
        ("set-secrets", "started"),
        ("set-secrets", "done"),
        ("create-volume", "started"),
        ("create-volume", "done"),
        ("create-machine", "started"),
        ("create-machine", "failed"),
    ]
    assert {event["app"] for event in events} == {APP}
    assert "hunter2" not in repr(events)


async def test_a_later_step_is_not_tried_after_a_failed_one() -> None:
    """No machine without its secrets."""
    async with flying(fault=refusing(posts("/secrets"), 500, "internal: x")) as (fly, box):
        with pytest.raises(FlyError):
            await do(fly, *EVERYTHING)
        assert not box.world.apps[APP].volumes
        assert not box.world.machines
        assert (await wanting.look(fly)).claim is Claim.OURS
