"""`plan` and `apply` as people and CI use them: exit codes, formats, saved plans, a terminal."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from reconciler.exit import Exit
from tests.journeys.hosted import Handle, hosted_api
from tests.screen import on_a_terminal
from tests.stage import FLEET, MACHINE, user
from tests.test_cli import at, reconciler, straight
from tests.test_revision import commit, git

pytestmark = pytest.mark.wire

QUICK = ("--pace", "off")


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A folder with a fleet of two that holds."""
    folder = tmp_path / "specs"
    (folder / "users").mkdir(parents=True)
    (folder / "fleet.yaml").write_text(FLEET)
    (folder / "machine.yaml").write_text(MACHINE)
    for name in ("alice", "bob"):
        (folder / "users" / f"{name}.yaml").write_text(user(name))
    return folder


def moved_to(folder: Path, place: Path) -> Path:
    return folder.rename(place)


async def test_of_several_exit_codes_the_first_that_holds_is_taken(specs: Path) -> None:
    """1 an error, 4 not all could be read, 3 held, 2 changes (when asked for), 0."""
    async with hosted_api(straight, orgs=("acme", "rivals")) as fly:
        env = at(fly)
        detailed = ("plan", specs, "--detailed-exitcode", *QUICK)
        assert (await reconciler("plan", specs, *QUICK, env=env)).code == Exit.OK
        assert (await reconciler(*detailed, env=env)).code == Exit.CHANGES
        fly.world.add_app("acme-alice", org="rivals")
        assert (await reconciler(*detailed, env=env)).code == Exit.BLOCKED
        (specs / "users" / "carol.yaml").write_text("kind: [")
        assert (await reconciler(*detailed, env=env)).code == Exit.PARTIAL
        assert (await reconciler(*detailed, env=at(fly, FLY_API_TOKEN="wrong"))).code == Exit.ERROR


async def test_apply_fails_before_it_is_partial_or_held(specs: Path) -> None:
    """One user's failure is exit 1, whatever else is true; the others are done."""
    (specs / "users" / "bob.yaml").write_text(
        user("bob").replace("[OPENAI_API_KEY]", "[OPENAI_API_KEY, OTHER]")
    )
    (specs / "other.yaml").write_text(
        "apiVersion: reconciler/v1alpha1\nkind: Secret\nmetadata: {name: OTHER}\n"
        "spec: {from: {env: FLEET_SECRET_OTHER}}\n"
    )
    async with hosted_api(straight) as fly:
        done = await reconciler("apply", specs, "--yes", *QUICK, env=at(fly))
        assert done.code == Exit.ERROR
        assert re.search(r"^reconciler: bob: .*OTHER", done.err, re.MULTILINE)
        assert sorted(fly.world.apps) == ["acme-alice"]
        assert re.search(r"^1 user app done, 1 failed, in \d+ s$", done.out, re.MULTILINE)
        assert re.search(r"^\d/2 alice: done in [\d.]+ s$", done.err, re.MULTILINE)


async def test_a_plan_is_written_for_people_programs_and_pull_requests(specs: Path) -> None:
    """The same plan in each form; --summary is short and --expand is long."""
    async with hosted_api(straight) as fly:
        env = at(fly)
        text = (await reconciler("plan", specs, *QUICK, env=env)).out
        assert text.startswith("2 user apps: 0 as documented, 2 to change (2 create)\n")
        assert "2× alice, bob" in text
        expanded = (await reconciler("plan", specs, "--expand", *QUICK, env=env)).out
        assert "alice (acme-alice)\n" in expanded
        assert len((await reconciler("plan", specs, "--summary", *QUICK, env=env)).out.splitlines()) <= 2
        page = (await reconciler("plan", specs, "--format", "markdown", *QUICK, env=env)).out
        assert page.startswith("### Plan: 2 user apps")
        told = json.loads((await reconciler("plan", specs, "--format", "json", *QUICK, env=env)).out)
        assert (told["version"], told["groups"][0]["users"]) == (2, ["alice", "bob"])


async def test_a_saved_plan_is_carried_out_without_a_question(specs: Path, tmp_path: Path) -> None:
    """`plan --out` and `apply FILE` from another folder, with no --yes; then nothing is left to plan."""
    file = tmp_path / "fleet.plan"
    async with hosted_api(straight) as fly:
        env = at(fly)
        assert (await reconciler("plan", specs, "--out", file, *QUICK, env=env)).code == Exit.OK
        assert "canary" not in file.read_text("utf-8")
        assert "hello" not in file.read_text("utf-8")  # the environment of the template
        done = await reconciler("apply", file, *QUICK, env=env)
        assert done.code == Exit.OK, done.err
        assert sorted(fly.world.apps) == ["acme-alice", "acme-bob"]
        after = await reconciler("plan", specs, "--detailed-exitcode", *QUICK, env=env)
        assert after.code == Exit.OK


async def test_what_moved_since_a_plan_was_saved_is_refused_with_exit_3(specs: Path, tmp_path: Path) -> None:
    """bob's document was edited: alice is done, bob is named with the reason, and the next step is said."""
    file = tmp_path / "fleet.plan"
    async with hosted_api(straight) as fly:
        env = at(fly)
        await reconciler("plan", specs, "--out", file, *QUICK, env=env)
        (specs / "users" / "bob.yaml").write_text(user("bob").replace("size_gb: 1", "size_gb: 2"))
        done = await reconciler("apply", file, *QUICK, env=env)
        assert done.code == Exit.BLOCKED
        assert re.search(
            r"^refused: bob: volume:\S+: its documents, .* changed since$", done.out, re.MULTILINE
        )
        assert "of the saved plan refused; make a new one: reconciler plan --out" in done.out
        assert re.search(r"^1 user app done, 1 refused in part, 0 failed", done.out, re.MULTILINE)
        assert any(not volume.deleted_at for volume in fly.world.apps["acme-alice"].volumes.values())
        assert not fly.world.apps["acme-bob"].machines


async def test_what_is_held_beside_a_saved_plan_is_left_for_the_next_one(specs: Path, tmp_path: Path) -> None:
    """carol came after the plan, and her app's name is taken: all that was saved is done, so exit 0."""
    file = tmp_path / "fleet.plan"
    async with hosted_api(straight, orgs=("acme", "rivals")) as fly:
        env = at(fly)
        await reconciler("plan", specs, "--out", file, *QUICK, env=env)
        (specs / "users" / "carol.yaml").write_text(user("carol"))
        fly.world.add_app("acme-carol", org="rivals")
        done = await reconciler("apply", file, *QUICK, env=env)
        assert (done.code, "NameTaken" in done.out) == (Exit.OK, True), done.err
        assert {"acme-alice", "acme-bob"} <= fly.world.apps.keys()
        again = await reconciler("apply", file, *QUICK, env=env)
        assert again.code == Exit.OK
        assert (await reconciler("plan", specs, *QUICK, env=env)).code == Exit.BLOCKED


async def test_a_saved_plan_that_cannot_be_used_is_one_line(specs: Path, tmp_path: Path) -> None:
    """Damaged, without the root key, or with documents that are elsewhere: exit 1, and nothing is done."""
    file = tmp_path / "fleet.plan"
    async with hosted_api(straight) as fly:
        env = at(fly)
        none = await reconciler("plan", specs, "--out", file, *QUICK, env={**env, "RECONCILER_ROOT_KEY": ""})
        assert (none.code, none.err.count("\n")) == (Exit.ERROR, 1)
        await reconciler("plan", specs, "--out", file, *QUICK, env=env)
        moved = moved_to(specs, tmp_path / "elsewhere")
        lost = await reconciler("apply", file, *QUICK, env=env)
        assert (lost.code, lost.err) == (
            Exit.ERROR,
            f"reconciler: {file}: its documents were at {specs}, and nothing is there, seen from here; "
            "say where they are now: --documents SPECS\n",
        )
        file.write_bytes(file.read_bytes()[:-9])
        damaged = await reconciler("apply", file, "--documents", moved, *QUICK, env=env)
        assert damaged.code == Exit.ERROR
        assert re.fullmatch(r"reconciler: .*fleet\.plan: it is no saved plan, .*\n", damaged.err)
        assert not fly.world.apps


async def test_documents_that_were_moved_are_found_where_they_are_said_to_be(
    specs: Path, tmp_path: Path
) -> None:
    """--documents: the folder of another checkout of the same documents."""
    file = tmp_path / "fleet.plan"
    async with hosted_api(straight) as fly:
        env = at(fly)
        await reconciler("plan", specs, "--out", file, *QUICK, env=env)
        moved = moved_to(specs, tmp_path / "elsewhere")
        assert (await reconciler("apply", file, "--documents", moved, *QUICK, env=env)).code == Exit.OK
        assert sorted(fly.world.apps) == ["acme-alice", "acme-bob"]


async def test_a_plan_of_what_a_commit_touched_leaves_the_others_out(specs: Path) -> None:
    """Two users are to be made; only bob's document is newer than the commit."""
    git(specs, "init")
    commit(specs)
    (specs / "users" / "bob.yaml").write_text(user("bob").replace("size_gb: 1", "size_gb: 2"))
    async with hosted_api(straight) as fly:
        done = await reconciler(
            "plan", specs, "--changed-since", "HEAD", "--format", "json", *QUICK, env=at(fly)
        )
        assert [app["name"] for app in json.loads(done.out)["apps"]] == ["bob"]
        lost = await reconciler("plan", specs, "--changed-since", "nowhere", *QUICK, env=at(fly))
        assert lost.code == Exit.ERROR
        assert lost.err.startswith("reconciler: --changed-since nowhere: there is no such commit")


async def test_a_terminal_shows_how_an_apply_goes_on_and_is_sane_after_ctrl_c(specs: Path) -> None:
    """A live line with what is done and what runs; interrupted, the cursor is back and one line says so."""
    never = asyncio.Event()

    async def bob_hangs(method: str, path: str, handle: Handle) -> None:
        if (method, path) == ("POST", "/v1/apps/acme-bob/machines"):
            await never.wait()
        await handle()

    async with hosted_api(bob_hangs) as fly:
        argv = (sys.executable, "-m", "reconciler", "apply", specs, "--yes", *QUICK)
        async with on_a_terminal(*argv, env=at(fly)) as screen:
            await screen.shows("1/2")
            await screen.shows("1 running (bob)")
            assert "\x1b[1m2 user apps" in screen.text
            screen.interrupt()
            assert await screen.ended() == Exit.ERROR
            await screen.shows("reconciler: stopped; nothing that was begun needs to be undone")
            assert screen.is_sane
            assert "Traceback" not in screen.text
