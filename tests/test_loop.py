"""Stories of the loop, in virtual time: what happens to the world and to the routes."""

import asyncio
from functools import partial
from typing import Any

import httpx
from structlog.testing import capture_logs

from reconciler.core.spec import Unreadable
from reconciler.fly.pace import Rates
from router.table import Route, Table, Terms, Unavailable
from tests.stage import FLEET, MACHINE, SECRET, Running, fleet_of, stage, user

ALICE = "alice.example.com"


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_three_users_from_nothing_converge_and_nothing_is_left_to_do() -> None:
    """Each user gets an isolated app, a volume and a machine, is routed, and the plan is empty."""
    async with stage("alice", "bob", "carol") as on:
        async with on.running() as run:
            await run.converged()
            assert on.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1), "acme-carol": (1, 1)}
            assert {app.network for app in on.fly.world.apps.values()} == {
                "teststage-alice",
                "teststage-bob",
                "teststage-carol",
            }
            assert run.entry(ALICE) == Route("acme-alice", {"web-0": on.machine("alice").id})
        found = await on.plan()
        assert found.plan.action_count == 0
        assert found.plan.in_sync == 3
        assert found.is_whole


async def test_a_fleet_converges_within_flys_rate_limits() -> None:
    """With Fly's published limits kept, ten users still arrive: patience, not failure."""
    names = [f"user-{n}" for n in range(10)]
    async with stage(*names, pace=Rates()) as on, on.running() as run:
        await run.converged(within_s=300)
        assert set(on.shape.values()) == {(1, 1)}
        assert len(on.shape) == 10


async def test_a_converged_fleet_costs_two_calls_per_look() -> None:
    """While nothing moves, the org-wide lists are all that is asked for."""
    async with stage("alice", "bob") as on, on.running() as run:
        await run.converged()
        await asyncio.sleep(60)
        on.fly.journal.requests.clear()
        await asyncio.sleep(3600)
        paths = {asked.path for asked in on.fly.journal.requests}
        assert {path.partition("?")[0] for path in paths} == {"/v1/apps", "/v1/orgs/acme/machines"}
        assert len(on.fly.journal.requests) <= 2 * 3600 / 27


async def test_a_machine_destroyed_behind_its_back_comes_back_on_its_volume() -> None:
    """A new machine mounts the same volume and is routed; the lost one is not a target meanwhile."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        (volume,) = on.app("alice").volumes.values()
        lost = await on.destroy("alice")
        await run.until(lambda: list(on.app("alice").living()))
        await run.converged()
        back = on.machine("alice")
        assert back.id != lost.id
        assert back.mount is not None
        assert back.mount["volume"] == volume.id
        assert on.shape == {"acme-alice": (1, 1)}
        assert run.entry(ALICE) == Route("acme-alice", {"web-0": back.id})


async def test_a_config_changed_by_hand_is_put_back() -> None:
    """Drift is corrected at the next look, on the same machine."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        machine = on.machine("alice")
        await on.by_hand(
            "POST",
            f"/apps/acme-alice/machines/{machine.id}",
            {"config": {**machine.config, "env": {"GREETING": "hijacked"}}},
        )
        await run.until(lambda: machine.config["env"] == {"GREETING": "hello"})
        await run.converged()
        assert on.machine("alice").id == machine.id
        assert run.condition("alice", "Ready") == ("True", "AsDocumented")


async def test_with_drift_warn_a_change_by_hand_stays_and_is_told() -> None:
    """`drift: warn` reports what somebody changed and touches nothing."""
    async with stage("alice") as on:
        on.files["fleet.yaml"] = FLEET.replace("drift: correct", "drift: warn")
        async with on.running() as run:
            await run.converged()
            machine = on.machine("alice")
            await on.by_hand(
                "POST",
                f"/apps/acme-alice/machines/{machine.id}",
                {"config": {**machine.config, "env": {"GREETING": "by hand"}}},
            )
            await run.until(lambda: run.condition("alice", "Drifted")[0] == "True")
            await asyncio.sleep(600)
            assert machine.config["env"] == {"GREETING": "by hand"}
            assert run.condition("alice", "Drifted")[0] == "True"
            assert run.entry(ALICE) == Route("acme-alice", {"web-0": machine.id})


async def test_a_document_that_stops_parsing_keeps_its_app_as_it_last_was() -> None:
    """Its last good state stays in force, to the point that a lost machine comes back; it says so."""
    async with stage("alice", "bob") as on, on.running() as run:
        await run.converged()
        run.save({**on.files, "users/alice.yaml": user("alice") + "\n  machines: [nonsense"})
        await run.until(lambda: run.condition("alice", "Stalled") == ("True", "DocumentBroken"))
        await on.destroy("alice")
        await run.until(lambda: list(on.app("alice").living()))
        await run.converged()
        assert run.entry(ALICE) == Route("acme-alice", {"web-0": on.machine("alice").id})
        run.save(fleet_of("alice", "bob"))
        await run.until(lambda: run.condition("alice", "Stalled")[0] == "False")
        assert on.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1)}


async def test_after_a_restart_a_broken_document_means_hands_off() -> None:
    """Without a last good state the app is left exactly as it is, and routed below the router's domain."""
    async with stage("alice") as on:
        async with on.running() as run:
            await run.converged()
        machine = on.machine("alice")
        version = machine.instance_id
        on.files["users/alice.yaml"] = user("alice").replace("template", "tempalte")
        async with on.running() as run:
            await run.until(lambda: run.tables)
            await asyncio.sleep(120)
            assert run.condition("alice", "Unclaimed") == ("True", "DocumentBroken")
            assert run.entry(ALICE) == Route("acme-alice", {"web-0": machine.id})
            assert on.machine("alice").instance_id == version


async def test_a_vanished_document_leaves_its_app_running_and_routed() -> None:
    """Nothing is deleted: the app is Unclaimed and stays on the hosts that were last known."""
    async with stage("alice", "bob") as on:
        on.files["users/alice.yaml"] = user("alice").replace("alice.example.com", "art.example.com")
        async with on.running() as run:
            await run.converged()
            machine = on.machine("alice")
            run.save(fleet_of("bob"))
            await run.until(lambda: run.condition("alice", "Unclaimed") == ("True", "DocumentGone"))
            assert run.entry("art.example.com") == Route("acme-alice", {"web-0": machine.id})
            await asyncio.sleep(3600)
            assert on.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1)}
            assert run.entry("art.example.com") == Route("acme-alice", {"web-0": machine.id})


async def test_a_document_that_comes_back_is_claimed_again() -> None:
    """An app that was Unclaimed is taken up as it is: nothing is created twice or restarted."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        version = on.machine("alice").instance_id
        run.save(fleet_of())
        await run.until(lambda: run.condition("alice", "Unclaimed")[0] == "True")
        run.save(fleet_of("alice"))
        await run.converged()
        assert run.condition("alice", "Unclaimed")[0] == "Absent"
        assert on.machine("alice").instance_id == version
        assert on.shape == {"acme-alice": (1, 1)}


async def test_a_source_that_cannot_be_read_changes_nothing() -> None:
    """A missing folder and an empty one keep every app, its route and its document's last state."""
    for files in ({"specs": Unreadable("no such file or directory")}, {}):
        async with stage("alice", "bob") as on, on.running() as run:
            await run.converged()
            before = dict(run.tables[-1].hosts)
            run.save(files)
            await asyncio.sleep(600)
            assert dict(run.tables[-1].hosts) == before
            assert run.condition("alice", "Ready")[0] == "True"
            assert on.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1)}


async def test_another_installation_is_refused_and_the_old_one_stays() -> None:
    """A changed `installation` would abandon every app, so the documents in force stay those before it."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        run.save({**on.files, "fleet.yaml": FLEET.replace("teststage", "othername")})
        await asyncio.sleep(300)
        assert run.intent.fleet.installation == "teststage"
        assert on.shape == {"acme-alice": (1, 1)}
        assert run.entry(ALICE) == Route("acme-alice", {"web-0": on.machine("alice").id})


async def test_a_name_that_another_organisation_holds_is_never_routed() -> None:
    """The user is told NameTaken, visitors get a 503 entry, the squatter gets nothing, others go on."""
    async with stage("alice", "bob") as on:
        on.fly.world.add_app("acme-alice", org="rivals")
        async with on.running() as run:
            await run.until(lambda: run.condition("alice", "NameTaken")[0] == "True")
            await run.until(lambda: run.condition("bob", "Ready")[0] == "True")
            entry = run.entry(ALICE)
            assert isinstance(entry, Unavailable)
            assert entry.reason == "NameTaken"
            assert not on.app("alice").secrets
            assert not on.app("alice").machines


async def test_routes_outlive_the_api_and_work_goes_on_when_it_is_back() -> None:
    """While Fly's API is down for an hour no route is lost; a user added meanwhile is there soon after."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        route = run.entry(ALICE)
        on.line.is_cut = True
        await asyncio.sleep(600)
        run.save(fleet_of("alice", "bob"))
        await asyncio.sleep(3000)
        assert all(table.hosts.get(ALICE) == route for table in run.tables[-5:])
        on.line.is_cut = False
        await run.converged(within_s=60)
        assert on.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1)}


async def test_an_api_that_is_down_at_the_start_is_waited_for() -> None:
    """The loop starts without Fly, publishes nothing it does not know, and converges once it answers."""
    async with stage("alice") as on:
        on.line.is_cut = True
        async with on.running() as run:
            await asyncio.sleep(300)
            assert run.tables == []
            on.line.is_cut = False
            await run.converged(within_s=90)
            assert on.shape == {"acme-alice": (1, 1)}


async def test_a_route_changes_within_two_seconds_whatever_the_api_does() -> None:
    """A host that moves in a document moves in the table at once, although Fly does not answer."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        on.line.is_cut = True
        saved_at = now()
        run.save({**on.files, "users/alice.yaml": user("alice").replace(ALICE, "new.example.com")})
        await run.until(lambda: run.entry("new.example.com"))
        assert now() - saved_at < 2
        assert run.entry(ALICE) is None


async def test_a_secret_that_changes_here_reaches_its_machine() -> None:
    """A new value in the environment is set on the app, and the machine restarts with it."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        machine = on.machine("alice")
        version = machine.instance_id
        assert machine.secrets["OPENAI_API_KEY"].value == SECRET
        on.environ["FLEET_SECRET_OPENAI_API_KEY"] = "another-value"
        await run.until(lambda: machine.instance_id != version)
        await run.converged()
        assert on.machine("alice").secrets["OPENAI_API_KEY"].value == "another-value"
        assert (await on.plan()).plan.action_count == 0


async def test_a_missing_secret_stalls_its_user_alone() -> None:
    """An app whose secret has no value here waits and says so; when the value comes it is created."""
    async with stage("alice", "bob") as on:
        on.files["users/bob.yaml"] = user("bob").replace("  secrets: [OPENAI_API_KEY]\n", "")
        del on.environ["FLEET_SECRET_OPENAI_API_KEY"]
        async with on.running() as run:
            await run.until(lambda: run.condition("bob", "Ready")[0] == "True")
            await run.until(lambda: run.condition("alice", "Stalled") == ("True", "SecretMissing"))
            assert "acme-alice" not in on.fly.world.apps  # nothing was begun
            on.environ["FLEET_SECRET_OPENAI_API_KEY"] = SECRET
            await run.converged()
            assert on.shape == {"acme-alice": (1, 1), "acme-bob": (1, 1)}


async def test_two_reconcilers_at_once_make_nothing_twice() -> None:
    """Both work on the same ten users from nothing; each user ends with one app, machine and volume."""
    names = [f"user-{n}" for n in range(10)]
    async with stage(*names) as on, on.running() as one, on.running() as other:
        await one.converged(within_s=600)
        await other.converged(within_s=600)
        await asyncio.sleep(120)
        assert on.shape == {f"acme-{name}": (1, 1) for name in sorted(names)}
        assert (await on.plan()).plan.action_count == 0


async def test_a_saved_template_reaches_every_user_and_keeps_their_volumes() -> None:
    """One file that all users depend on moves all of them, in place."""
    async with stage("alice", "bob") as on, on.running() as run:
        await run.converged()
        volumes = {name: on.machine(name).mount for name in ("alice", "bob")}
        run.save({**on.files, "machine.yaml": MACHINE.replace("hello", "good morning")})
        await run.until(lambda: not run.census.has_converged)
        await run.converged()
        for name in ("alice", "bob"):
            assert on.machine(name).config["env"] == {"GREETING": "good morning"}
            assert on.machine(name).mount == volumes[name]


async def test_a_route_never_breaks_while_its_machine_is_updated() -> None:
    """From the first convergence on, each published table has the user's route, through an update."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        first = len(run.tables)
        run.save({**on.files, "machine.yaml": MACHINE.replace("studio:1", "studio:2")})
        await run.until(lambda: not run.census.has_converged)
        await run.converged()
        assert on.machine("alice").config["image"] == "registry.fly.io/studio:2"
        reasons = [
            entry.reason
            for table in run.tables[first:]
            if isinstance(entry := table.hosts[ALICE], Unavailable)
        ]
        assert set(reasons) <= {"Updating"}


async def test_regions_that_do_not_answer_lose_no_route_and_make_nothing_twice() -> None:
    """Machines missing from a list that names silent regions are not taken for gone."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        route = run.entry(ALICE)

        def silent(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
            if request.url.path == "/v1/orgs/acme/machines":
                return {**body, "machines": [], "error_regions": ["iad"]}
            return body

        on.line.distort = silent
        await asyncio.sleep(600)
        assert run.entry(ALICE) == route
        assert on.shape == {"acme-alice": (1, 1)}
        assert run.condition("alice", "Ready")[0] == "True"


async def test_an_end_asked_for_in_the_middle_of_work_comes_within_fifteen_seconds() -> None:
    """What is under way is finished or let go, no lease is left, and the next life completes it."""
    names = [f"user-{n}" for n in range(20)]
    async with stage(*names, pace=Rates()) as on:
        async with on.running() as run:
            await run.until(lambda: len(on.shape) >= 5)
            asked_at = now()
        assert now() - asked_at < 15
        assert len(on.shape) < 20
        assert not [m for m in on.fly.world.machines.values() if m.lease]
        async with on.running() as run:
            await run.converged(within_s=600)
        assert on.shape == {f"acme-{name}": (1, 1) for name in sorted(names)}


async def test_a_sleeping_machine_is_as_good_as_a_running_one() -> None:
    """A machine that Fly put to sleep stays asleep, routed and Ready: the proxy wakes it."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        machine = on.machine("alice")
        await on.by_hand("POST", f"/apps/acme-alice/machines/{machine.id}/stop")
        await asyncio.sleep(600)
        assert machine.state == "stopped"
        assert run.entry(ALICE) == Route("acme-alice", {"web-0": machine.id})
        assert run.condition("alice", "Ready")[0] == "True"


async def test_an_app_of_somebody_else_in_our_organisation_is_left_alone() -> None:
    """Same name, wrong network: it is reported as foreign, not routed and not touched."""
    async with stage("alice") as on:
        on.fly.world.add_app("acme-alice", org="acme", network="default")
        async with on.running() as run:
            await run.until(lambda: run.condition("alice", "Stalled")[0] == "True")
            await asyncio.sleep(600)
            assert isinstance(run.entry(ALICE), Unavailable)
            assert not on.app("alice").secrets
            assert not on.app("alice").machines


async def test_without_the_root_key_a_plan_compares_no_secrets_and_says_so() -> None:
    """In CI, where no key and no value is known, a converged fleet still has nothing to do."""
    async with stage("alice", "bob") as on:
        async with on.running() as run:
            await run.converged()
        on.environ.clear()
        found = await on.plan(has_root_key=False)
        assert found.plan.action_count == 0
        assert found.plan.not_compared == 2


async def test_a_secret_that_loses_its_value_is_told_and_its_machines_stay() -> None:
    """Once, by name and with the reason; what is set on Fly stays set, and no machine restarts."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        version = on.machine("alice").instance_id
        with capture_logs() as events:
            on.environ.clear()
            await asyncio.sleep(600)
        told = [event for event in events if event["event"] == "secret.missing"]
        assert [(event["name"], event["because"]) for event in told] == [
            ("OPENAI_API_KEY", "the variable FLEET_SECRET_OPENAI_API_KEY is not set here")
        ]
        assert on.machine("alice").instance_id == version
        assert "OPENAI_API_KEY" in on.app("alice").secrets
        assert (await on.plan()).missing_secrets == ((told[0]["name"], told[0]["because"]),)


async def test_documents_that_hold_again_are_told() -> None:
    """Whoever was called for a rejected document hears that it is mended."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        with capture_logs() as events:
            run.save({**on.files, "users/bob.yaml": "kind: ["})
            await asyncio.sleep(5)
            run.save({**on.files, "users/bob.yaml": user("bob")})
            await run.converged()
        heard = [event["event"] for event in events if event["event"].startswith("source.")]
        assert heard == ["source.rejected", "source.mended", "source.changed"]


async def test_a_router_document_that_moves_its_doors_waits_for_the_next_start() -> None:
    """Domains apply at once; listeners and auth stay what this process opened with, keys included."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        run.save(
            {
                **on.files,
                "fleet.yaml": FLEET.replace("domains: [example.com]", "domains: [example.com, example.org]")
                .replace("acme-router", "acme-other")
                .replace("  listeners", "  auth: none\n  listeners"),
                "users/bob.yaml": user("bob").replace("bob.example.com", "bob.example.org"),
            }
        )
        await run.until(lambda: isinstance(run.entry("bob.example.org"), Route))
        assert run.intent.router is not None
        assert run.intent.router.auth == "signed"
        assert [each.app for each in run.intent.router.listeners] == ["acme-router"]
        assert "PRESHARED_KEY" in on.app("bob").secrets


async def test_the_terms_of_replays_change_with_the_document_and_survive_its_mistakes() -> None:
    """A saved `replay` holds from the next answer on; one that does not hold leaves the last in force."""
    async with stage("alice") as on, on.running() as run:
        await run.converged()
        for said in ("timeout: 8s, fallback: prefer_self, region: [eu, any]", "timeout: 8"):
            fleet = FLEET.replace("  listeners", f"  replay: {{{said}}}\n  listeners")
            before = run.tables[-1]
            run.save({**on.files, "fleet.yaml": fleet})
            await run.until(partial(is_newer, run, before))
            assert run.tables[-1].terms == Terms(8_000, "prefer_self", ("eu", "any"))
            assert isinstance(run.entry(ALICE), Route)


def is_newer(run: Running, before: Table) -> bool:
    """Whether a table was published after that one."""
    return run.tables[-1].revision > before.revision


async def test_a_user_that_vanishes_right_after_its_creation_stays_routed() -> None:
    """The lists have not shown the app yet, and the route holds all the same."""
    async with stage("alice") as on, on.running() as run:
        await run.until(lambda: isinstance(run.entry(ALICE), Route))
        first = len(run.tables)
        run.save(fleet_of())
        await asyncio.sleep(120)
        assert run.condition("alice", "Unclaimed") == ("True", "DocumentGone")
        assert all(isinstance(table.hosts[ALICE], Route) for table in run.tables[first:])
