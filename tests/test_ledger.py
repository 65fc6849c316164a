"""The record: what it remembers, that one process at a time works with it, and when it is not believed."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import state_folder
from reconciler.core.action import Class
from reconciler.core.budget import HOUR_S, Bucket, Kind
from reconciler.core.guard import Record, Standing, decide
from reconciler.core.item import WHOLE, Item, batch
from reconciler.core.policy import BudgetSpec
from reconciler.ledger import Ledger, LedgerError
from tests import wire

NOW = 1_800_000_000.0
USERS = [f"u{number:03}" for number in range(20)]


def creates(*users: str) -> list[Item]:
    return [Item(user, f"acme-{user}", Class.CREATE, WHOLE) for user in users]


def standing(record: Record, now: float) -> Standing:
    return Standing(now=now, limits=BudgetSpec(), users=frozenset({"other"}), size=100, record=record)


def begin(ledger: Ledger, items: list[Item], now: float) -> frozenset[Item]:
    """Decide by the record, write down what begins, and tell what that is."""
    at = standing(ledger.record(now), now)
    verdict = decide(items, at)
    ledger.begin(verdict, at)
    return verdict.admitted


@contextlib.contextmanager
def working(folder: Path, now: float = NOW) -> Iterator[Ledger]:
    with state_folder.working(folder, "acme01", now) as ledger:
        yield ledger


def test_what_was_begun_is_known_to_the_next_process_and_to_the_plan(tmp_path: Path) -> None:
    with working(tmp_path) as ledger:
        assert begin(ledger, creates(*USERS), NOW) == frozenset()
        assert begin(ledger, creates(*USERS), NOW + 360) == set(creates(*USERS))  # a tenth of 200
    with working(tmp_path) as ledger:
        record = ledger.record(NOW + 360)
        assert record.begun[Kind.CREATE] == set(USERS)
        assert record.unapproved[Kind.CREATE] == 20
        assert record.buckets[Kind.CREATE] == Bucket(0.0, NOW + 360)
    assert state_folder.look(tmp_path, "acme01", NOW + 360) == record
    with working(tmp_path) as ledger:
        assert ledger.record(NOW + 360 + HOUR_S).begun[Kind.CREATE] == frozenset()


def test_an_approval_is_for_exactly_its_items_and_for_an_hour(tmp_path: Path) -> None:
    with working(tmp_path) as ledger, state_folder.beside(tmp_path, "acme01", NOW) as operator:
        asked = batch("OverBudget", "20 creates over the budget", creates(*USERS))
        ledger.hold([asked], NOW)
        (pending,) = operator.pending(NOW + 60)
        assert (pending.batch, pending.since) == (asked, NOW)
        operator.approve(pending.batch.items, NOW + 60)
        assert ledger.record(NOW + 61).approved == set(creates(*USERS))
        assert ledger.record(NOW + 60 + HOUR_S).approved == frozenset()


def test_what_is_not_held_any_more_is_not_offered_and_what_stays_keeps_its_age(tmp_path: Path) -> None:
    with working(tmp_path) as ledger:
        one, other = batch("OverBudget", "…", creates("u1")), batch("OverBudget", "…", creates("u2"))
        ledger.hold([one, other], NOW)
        ledger.hold([one], NOW + 600)
        assert [(each.batch, each.since) for each in ledger.pending(NOW + 600)] == [(one, NOW)]
        ledger.hold([other], NOW + 700, are_all=False)
        assert {each.batch for each in ledger.pending(NOW + 700)} == {one, other}
        assert ledger.pending(NOW + 700 + HOUR_S) == ()


def test_a_clock_that_is_set_back_grants_nothing(tmp_path: Path) -> None:
    with working(tmp_path) as ledger:
        ledger.record(NOW)
        begin(ledger, creates(*USERS), NOW + HOUR_S)
        ledger.approve(creates("u1"), NOW + HOUR_S)
        before = NOW - 365 * 24 * HOUR_S
        record = ledger.record(before)
        assert record.begun[Kind.CREATE] == set(USERS)
        assert record.approved == frozenset()
        assert record.buckets[Kind.CREATE] == Bucket(180.0, before)


def test_two_cannot_work_with_one_record_and_approving_is_possible_meanwhile(tmp_path: Path) -> None:
    with working(tmp_path):
        with pytest.raises(LedgerError, match="another reconciler works with") as refused, working(tmp_path):
            pass
        assert "\n" not in str(refused.value)
        with state_folder.beside(tmp_path, "acme01", NOW) as operator:
            operator.approve(creates("u1"), NOW)
    with working(tmp_path) as ledger:
        assert ledger.record(NOW).approved == set(creates("u1"))


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    with working(folder) as ledger:
        ledger.record(NOW)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (folder, *folder.iterdir())}
    assert modes.pop("here") == 0o700
    assert {mode & 0o077 for name, mode in modes.items() if not name.endswith(("-wal", "-shm"))} == {0}


@pytest.mark.parametrize("harm", ["garbage", "cut", "foreign", "newer", "other", "empty"])
def test_a_strange_file_counts_as_no_record_and_is_kept_for_whoever_wants_to_look(
    tmp_path: Path, harm: str
) -> None:
    with working(tmp_path) as ledger:
        ledger.record(NOW - HOUR_S)
        ledger.approve(creates("u1"), NOW)
    path = tmp_path / state_folder.FILE
    spoil(path, harm)
    assert state_folder.look(tmp_path, "acme01", NOW) is None
    with working(tmp_path) as ledger:
        record = ledger.record(NOW)
        assert record.buckets == {kind: Bucket(0.0, NOW) for kind in Kind}
        assert (record.approved, record.begun[Kind.CREATE]) == (frozenset(), frozenset())
        assert len(list(tmp_path.glob("*.aside"))) == (harm != "empty")


def spoil(path: Path, harm: str) -> None:
    """What may have become of the file."""
    match harm:
        case "garbage":
            path.write_bytes(b"this is not a database" * 1000)
        case "cut":
            path.write_bytes(path.read_bytes()[:6000])
        case "empty":
            path.write_bytes(b"")
        case "foreign":
            path.unlink()
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("CREATE TABLE t (x)")
        case "newer":
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA user_version = 99")
        case "other":
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("UPDATE owner SET installation = 'rivals'")
                database.commit()


def test_whoever_approves_never_sets_a_working_record_aside(tmp_path: Path) -> None:
    with working(tmp_path):
        with (
            pytest.raises(LedgerError, match="record of installation acme01"),
            state_folder.beside(tmp_path, "rivals", NOW),
        ):
            pass
        assert not list(tmp_path.glob("*.aside"))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(LedgerError) as refused, working(tmp_path / "file"):
        pass
    assert str(refused.value).startswith(f"--state {tmp_path}/file: ")


def test_a_record_that_breaks_at_work_begins_nothing(tmp_path: Path) -> None:
    with working(tmp_path) as ledger:
        at = standing(replace(ledger.record(NOW), buckets={}), NOW + 2 * HOUR_S)
        with contextlib.closing(sqlite3.connect(tmp_path / state_folder.FILE)) as other:
            other.execute("DROP TABLE begun")
        verdict = decide(creates("u1"), replace(at, record=Record(buckets={Kind.CREATE: Bucket(9.0, NOW)})))
        assert verdict.admitted
        with pytest.raises(LedgerError, match="nothing is begun without it"):
            ledger.begin(verdict, at)


SPENDER = """
import sys, pathlib
from tests.test_ledger import *
with working(pathlib.Path(sys.argv[1])) as ledger:
    ledger.record(NOW)
    for number, user in enumerate(USERS):
        begin(ledger, creates(user), NOW + HOUR_S + number)
        print(user, flush=True)
        if user == "u010":
            sys.stdin.read()
"""


@pytest.mark.wire
async def test_what_was_written_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    """Whoever was told that they may begin is in the record, whatever became of the process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SPENDER,
        str(tmp_path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=wire.ROOT,
        env={**os.environ, "PYTHONPATH": str(wire.ROOT)},
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        told = [(await process.stdout.readline()).decode().strip() for _ in range(11)]
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert told == USERS[:11]
    with working(tmp_path, NOW + 2 * HOUR_S - 60) as ledger:
        record = ledger.record(NOW + 2 * HOUR_S - 60)
        assert record.begun[Kind.CREATE] == set(told)
