"""A saved plan's file: whole or not there, for its owner alone, and only as it was written."""

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler import plan_file
from reconciler.config import ConfigError
from reconciler.core.keys import RootKey
from reconciler.core.saved_plan import SavedAction, SavedApp, SavedPlan

ROOT_KEY = RootKey("1f" * 32)
PLAN = SavedPlan(
    source="specs",
    org="acme",
    installation="teststage",
    salt="00" * 16,
    apps=(
        SavedApp("alice", "acme-alice", "ab" * 32, (SavedAction("app", "create-app", "create", "é", "cd"),)),
    ),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "fleet.plan"
    plan_file.write(found, PLAN, ROOT_KEY)
    return found


def test_what_was_written_is_read(path: Path) -> None:
    """Every field, and the file is recognised as no document."""
    assert plan_file.read(path, ROOT_KEY) == PLAN
    assert plan_file.is_saved_plan(path)


def test_it_is_for_its_owner_alone_also_over_another_file(path: Path) -> None:
    """Mode 0600, whatever was there before, and no unfinished file beside it."""
    path.chmod(0o644)
    plan_file.write(path, PLAN, ROOT_KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_put_in_its_place_leaves_nothing_behind(path: Path) -> None:
    """What was there stays, and no unfinished file is beside it."""
    taken = path.parent / "taken"
    taken.mkdir()
    with pytest.raises(ConfigError, match=r"--out .*taken: cannot be written: Is a directory"):
        plan_file.write(taken, PLAN, ROOT_KEY)
    assert sorted(path.parent.iterdir()) == [path, taken]


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}))


@pytest.mark.parametrize("cut", [0, 1, 20, 200, -2])
def test_a_file_that_was_cut_off_is_told(path: Path, cut: int) -> None:
    """Wherever it ends, it is one line, and nothing of it is used."""
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ConfigError, match="it is no saved plan, or not as it was written"):
        plan_file.read(path, ROOT_KEY)


@pytest.mark.parametrize(
    "changes",
    [{"org": "rivals"}, {"apps": []}, {"salt": "11"}, {"more": 1}, {"seal": "0" * 64}, {"seal": None}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_file_that_somebody_edited_is_told(path: Path, changes: dict[str, Any]) -> None:
    """The seal is over all of it."""
    edited(path, **changes)
    with pytest.raises(ConfigError, match="not as it was written"):
        plan_file.read(path, ROOT_KEY)


@pytest.mark.parametrize("text", ["[]", "{}", '{"reconciler_plan": "1"}', "[" * 100_000, "\x00"])
def test_anything_else_is_no_saved_plan(path: Path, text: str) -> None:
    """A list, another program's JSON, nonsense: one line."""
    path.write_text(text)
    with pytest.raises(ConfigError, match="it is no saved plan"):
        plan_file.read(path, ROOT_KEY)


def test_another_version_or_root_key_is_told_as_that(path: Path) -> None:
    """The line says what it was made with, and what is given here."""
    with pytest.raises(ConfigError, match=r"made with root key [0-9a-f]{8}, and the one given here is"):
        plan_file.read(path, RootKey("2e" * 32))
    with pytest.raises(ConfigError, match="sealed with the root key, which is not given"):
        plan_file.read(path, None)
    edited(path, reconciler_plan=7)
    with pytest.raises(ConfigError, match="of version 7, and this program reads version 1"):
        plan_file.read(path, ROOT_KEY)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plan.yaml", "does not end in .yaml"),
        ("nowhere/fleet.plan", "there is no folder"),
        ("", "not an ordinary"),
    ],
)
def test_a_place_where_no_plan_should_be_saved_is_told(tmp_path: Path, name: str, told: str) -> None:
    """Before anything is asked of Fly."""
    with pytest.raises(ConfigError, match=told):
        plan_file.check_name(tmp_path / name)
