"""Only what lies below the secrets folder is read, even while somebody moves things about in it."""

import os
from pathlib import Path

import pytest
from psutil import Process

from reconciler.secret_file import SecretFileError, _read, read_below, unusable_folder

CANARY = b"sk-live-canary-4f1a"


@pytest.mark.parametrize("folder", ["/", "/proc", "/proc/self", "/sys", "/dev", "/dev/fd", "/proc/self/root"])
def test_the_systems_own_folders_cannot_be_the_secrets_folder(folder: str) -> None:
    """They would offer this process's environment, its neighbours' and every file of the machine."""
    assert unusable_folder(Path(folder)).startswith(("it would offer", "there is no such folder"))


def test_a_link_to_the_systems_folders_is_seen_through(tmp_path: Path) -> None:
    """The folder's real place counts."""
    (tmp_path / "link").symlink_to("/proc")
    assert unusable_folder(tmp_path / "link").startswith("it would offer")
    assert unusable_folder(tmp_path / "nowhere") == "there is no such folder"
    (tmp_path / "file").write_bytes(CANARY)
    assert unusable_folder(tmp_path / "file") == "there is no such folder"
    assert unusable_folder(tmp_path) == ""


def test_even_below_a_folder_that_was_let_through_the_systems_files_are_not_read() -> None:
    """A folder that holds /proc does not offer it."""
    with pytest.raises(SecretFileError, match=r"is one of the system's own|cannot be read"):
        read_below(Path("/"), "proc/self/environ")


def test_a_folder_swapped_for_a_link_after_it_was_checked_leads_nowhere(tmp_path: Path) -> None:
    """Each step of the real path is taken without following a link, whenever it was put there."""
    outside, root = tmp_path / "outside", tmp_path / "secrets"
    outside.mkdir()
    (outside / "key").write_bytes(CANARY)
    root.mkdir()
    (root / "sub").symlink_to(outside)
    with pytest.raises(OSError, match="Not a directory"):
        _read(root, ("sub", "key"))
    (root / "key").symlink_to(outside / "key")
    with pytest.raises(OSError, match="symbolic links"):
        _read(root, ("key",))


def test_reading_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """A reconciler reads its secrets for years."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "key").write_bytes(CANARY)
    os.mkfifo(tmp_path / "a" / "pipe")
    before = Process().num_fds()
    assert read_below(tmp_path, "a/b/key") == CANARY
    for name in ("a/pipe", "a/b", "a/nowhere"):
        with pytest.raises(SecretFileError):
            read_below(tmp_path, name)
    assert Process().num_fds() == before
