"""`approve` and what it is for, as somebody at a terminal or a CI job meets it: real commands, a real API."""

import re
import time
from pathlib import Path

import pytest

from reconciler import state_folder
from reconciler.cli import command
from reconciler.core.action import Class
from reconciler.core.item import WHOLE, Item, batch
from reconciler.exit import Exit
from tests import wire
from tests.journeys.hosted import TOKEN, Handle, hosted_api
from tests.stage import FLEET, MACHINE, SECRET, user

HELD = batch(
    "OverBudget",
    "2 creates over the budget of 1 an hour",
    [Item(name, f"acme-{name}", Class.CREATE, WHOLE) for name in ("bob", "carol")],
)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """A command inside this process: exit code, stdout, stderr."""
    code = command([str(each) for each in arguments], environ={})
    return code, *capsys.readouterr()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A record with one batch that waits."""
    folder = tmp_path / "state"
    with state_folder.working(folder, "teststage", time.time()) as ledger:
        ledger.hold([HELD], time.time() - 125)
    return folder


def test_without_a_batch_it_lists_what_is_held_and_for_how_long(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "approve", "--state", state)
    assert (code, err) == (0, "")
    assert out == f"{HELD.id}  2 creates over the budget of 1 an hour  (2 user apps, for 2 min)\n"


def test_a_batch_is_approved_while_the_reconciler_works_and_shown_before(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with state_folder.working(state, "teststage", time.time()) as ledger:
        code, out, _ = run(capsys, "approve", HELD.id, "--yes", "--state", state)
        assert code == 0
        assert "create bob: app of acme-bob" in out
        assert ledger.record(time.time()).approved == set(HELD.items)


def test_an_approved_batch_is_listed_as_approved_with_what_is_left_of_its_hour(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Approved ten minutes ago, it does not look as if it still waited for somebody."""
    with state_folder.beside(state, None, time.time()) as ledger:
        ledger.approve(HELD.items[:1], time.time() - 605)
        assert "for 2 min)" in run(capsys, "approve", "--state", state)[1]
        ledger.approve(HELD.items[1:], time.time())
    code, out, _ = run(capsys, "approve", "--state", state)
    assert code == 0
    assert out == f"{HELD.id}  2 creates over the budget of 1 an hour  (2 user apps, approved, 49 min left)\n"


def test_an_unknown_batch_is_one_line_with_the_known_ones(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "approve", "0123456789ab", "--yes", "--state", state)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert err.endswith(f"held are {HELD.id}\n")


def test_nobody_approves_by_accident_where_nobody_can_be_asked(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "approve", HELD.id, "--state", state)
    assert (code, err) == (1, "reconciler: approve needs --yes when nobody can be asked\n")
    assert state_folder.look(state, "teststage", time.time()) is not None
    with state_folder.beside(state, "teststage", time.time()) as ledger:
        assert ledger.record(time.time()).approved == frozenset()


def test_a_folder_without_a_record_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "approve", "--state", tmp_path)
    assert code == 1
    assert err.startswith(f"reconciler: --state {tmp_path}: there is no record")
    assert err.count("\n") == 1


async def straight(_method: str, _path: str, handle: Handle) -> None:
    await handle()


async def reconciler(url: str, *arguments: object) -> wire.Finished:
    env = {
        "FLY_API_HOSTNAME": url,
        "FLY_API_TOKEN": TOKEN,
        "RECONCILER_ROOT_KEY": "ab" * 32,
        "FLEET_SECRET_OPENAI_API_KEY": SECRET,
    }
    return await wire.finished(wire.PYTHON, "-m", "reconciler", *map(str, arguments), env=env)


@pytest.mark.wire
async def test_what_is_over_the_budget_is_held_with_exit_3_until_its_batch_is_approved(
    tmp_path: Path,
) -> None:
    """plan names the batch, apply leaves all of it, approve and apply make it; CI says it in one command."""
    specs, state = tmp_path / "specs", ("--state", tmp_path / "state")
    specs.mkdir()
    (specs / "fleet.yaml").write_text(
        FLEET.replace("drift: correct}", "drift: correct, budget: {create: {max_count: 1}}}")
    )
    (specs / "machine.yaml").write_text(MACHINE)
    (specs / "alice.yaml").write_text(user("alice"))
    async with hosted_api(straight) as fly:
        apply = ("apply", specs, "--yes", "--pace", "off", *state)
        first = await reconciler(fly.url, *apply)
        assert (first.code, sorted(fly.world.apps)) == (Exit.OK, ["acme-alice"]), first.err
        for name in ("bob", "carol"):
            (specs / f"{name}.yaml").write_text(user(name))

        planned = await reconciler(fly.url, "plan", specs, *state)
        assert planned.code == Exit.BLOCKED
        found = re.search(r"2 creates over the budget of 1 an hour; reconciler approve (\w{12})", planned.out)
        assert found, planned.out
        held = await reconciler(fly.url, *apply)
        assert (held.code, sorted(fly.world.apps)) == (Exit.BLOCKED, ["acme-alice"])

        approved = await reconciler(fly.url, "approve", found[1], "--yes", *state)
        assert approved.code == Exit.OK, approved.err
        done = await reconciler(fly.url, *apply)
        assert (done.code, len(fly.world.apps)) == (Exit.OK, 3), done.err

        for name in ("dora", "eve"):
            (specs / f"{name}.yaml").write_text(user(name))
        fresh = ("apply", specs, "--yes", "--pace", "off", "--state", tmp_path / "ci")
        refused = await reconciler(fly.url, *fresh, "--approve", found[1])
        assert (refused.code, len(fly.world.apps)) == (Exit.ERROR, 3)
        (name,) = re.findall(r"held are (\w{12})", refused.err)
        done = await reconciler(fly.url, *fresh, "--approve", name)
        assert (done.code, len(fly.world.apps)) == (Exit.OK, 5), done.err
