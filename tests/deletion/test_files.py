"""Ways in which files and folders look empty or small while somebody's documents still stand in them."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.deletion.scene import HOUR_S, NAMES, Scene, Way, ground, served, stays, stays_after_a_restart
from tests.stage import user

ALICE = "users/alice.yaml"


def away(at: Scene, path: str) -> None:
    at.path(path).rename(at.path(".").parent / "elsewhere")


async def root_missing(at: Scene) -> None:
    away(at, ".")


async def root_unmounted(at: Scene) -> None:
    away(at, ".")
    at.path(".").mkdir()


async def root_is_a_file(at: Scene) -> None:
    away(at, ".")
    at.path(".").write_text("gone")


async def root_dangles(at: Scene) -> None:
    away(at, ".")
    at.path(".").symlink_to("nowhere")


async def folder_unmounted(at: Scene) -> None:
    away(at, "users")
    at.path("users").mkdir()


async def folder_of_one_unmounted(at: Scene) -> None:
    at.path(ALICE).unlink()
    at.path("users/alice").mkdir()


async def folder_dangles(at: Scene) -> None:
    away(at, "users")
    at.path("users").symlink_to("nowhere.yaml")


async def folder_link_leads_out(at: Scene) -> None:
    away(at, "users")
    at.path("users").symlink_to("../elsewhere")


async def file_is_a_folder(at: Scene) -> None:
    at.path(ALICE).unlink()
    at.path(ALICE).mkdir()


async def file_dangles(at: Scene) -> None:
    at.path(ALICE).unlink()
    at.path(ALICE).symlink_to("nowhere.yaml")


async def file_links_in_a_circle(at: Scene) -> None:
    at.path(ALICE).unlink()
    at.path(ALICE).symlink_to("alice.yaml")


async def file_leads_out(at: Scene) -> None:
    at.path(ALICE).rename(at.path("../alice.yaml"))
    at.path(ALICE).symlink_to("../../alice.yaml")


async def file_is_a_pipe(at: Scene) -> None:
    at.path(ALICE).unlink()
    os.mkfifo(at.path(ALICE))


async def another_file_is_a_pipe(at: Scene) -> None:
    at.path(ALICE).unlink()
    os.mkfifo(at.path("users/dave.yaml"))


async def file_is_not_text(at: Scene) -> None:
    at.write(ALICE, b"\xff\xfe" + user("alice").encode("utf-16-le"))


async def file_is_encrypted(at: Scene) -> None:
    at.write(ALICE, b"\0GITCRYPT\0\x8a\x11\xf0")


async def file_of_zeros(at: Scene) -> None:
    at.write(ALICE, bytes(len(user("alice"))))


async def file_emptied(at: Scene) -> None:
    at.write(ALICE, "")


async def file_of_a_newline(at: Scene) -> None:
    at.write(ALICE, "\n")


async def file_cut(at: Scene) -> None:
    at.write(ALICE, user("alice")[:45])


async def file_cut_to_its_first_line(at: Scene) -> None:
    at.write(ALICE, "apiVersion: reconciler/v1alpha1\n")


async def other_file_cut(at: Scene) -> None:
    at.path(ALICE).unlink()
    at.write("users/bob.yaml", "apiVersion: reconciler/v1alpha1\nkind: UserA")


async def merge_conflict(at: Scene) -> None:
    text = user("alice")
    at.write(ALICE, f"<<<<<<< HEAD\n=======\n{text}>>>>>>> other\n")


async def large_file_pointer(at: Scene) -> None:
    at.write(ALICE, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


async def saved_by_renaming_again_and_again(at: Scene) -> None:
    """An editor moves the file away and puts a new one there, every half minute; the source sees the gap."""
    for _ in range(20):
        at.path(ALICE).rename(at.path("users/alice.yaml~"))
        await asyncio.sleep(20)
        at.write(ALICE, user("alice"))
        await asyncio.sleep(40)


async def copied_name_by_name(at: Scene) -> None:
    """Whoever looks twice while it lasts sees two lists of names; hers comes last."""
    at.path(ALICE).unlink()
    for number in range(1200):
        at.write(f"users/u{number}.yaml", f"kind: UserApp\nmetadata: {{name: u{number}}}\n")
        at.path(f"users/u{number - 3}.yaml").unlink(missing_ok=True)
        await asyncio.sleep(1)
    at.write(ALICE, user("alice"))


def git(at: Scene, name: str, *, is_folder: bool = False) -> None:
    """A folder in git's hands, and files that are not there yet."""
    at.path(".git").mkdir()
    at.path(".git/HEAD").write_text("ref: refs/heads/main\n")
    at.path(f".git/{name}").mkdir() if is_folder else at.path(f".git/{name}").touch()
    at.path(ALICE).unlink()


async def checkout_under_way(at: Scene) -> None:
    git(at, "index.lock")


async def merge_under_way(at: Scene) -> None:
    git(at, "MERGE_HEAD")


async def rebase_under_way(at: Scene) -> None:
    git(at, "rebase-merge", is_folder=True)


async def patches_under_way(at: Scene) -> None:
    git(at, "rebase-apply", is_folder=True)


async def revert_under_way(at: Scene) -> None:
    git(at, "REVERT_HEAD")


async def pick_under_way(at: Scene) -> None:
    git(at, "CHERRY_PICK_HEAD")


async def checkout_of_a_second_work_tree(at: Scene) -> None:
    state = at.path("../main/.git/worktrees/specs")
    state.mkdir(parents=True)
    (state / "index.lock").touch()
    at.path(".git").write_text(f"gitdir: {state}\n")
    at.path(ALICE).unlink()


async def checkout_above(at: Scene) -> None:
    at.path("../.git").mkdir()
    at.path("../.git/index.lock").touch()
    at.path(ALICE).unlink()


async def submodule_not_there(at: Scene) -> None:
    """A clone without its submodules leaves an empty folder for each."""
    shutil.rmtree(at.path("users"))
    at.path("users").mkdir()
    at.path(".gitmodules").write_text('[submodule "users"]\n\tpath = users\n')


WAYS = [
    Way("root-missing", "The folder is not there.", root_missing),
    Way("root-unmounted", "An empty folder is in its place.", root_unmounted),
    Way("root-is-a-file", "A file is in its place, without a document.", root_is_a_file),
    Way("root-dangles", "The folder is a link that leads nowhere.", root_dangles),
    Way("folder-unmounted", "The folder of all users is empty: it is not mounted.", folder_unmounted),
    Way("folder-of-one-unmounted", "A new folder is empty.", folder_of_one_unmounted, "DocumentBroken"),
    Way("folder-dangles", "The folder of all users leads nowhere.", folder_dangles),
    Way("folder-leads-out", "The folder of all users leads out of the documents.", folder_link_leads_out),
    Way("file-is-a-folder", "A folder has the name of her file.", file_is_a_folder, "DocumentBroken"),
    Way("file-dangles", "Her file is a link that leads nowhere.", file_dangles, "DocumentBroken"),
    Way("file-in-a-circle", "Her file is a link to itself.", file_links_in_a_circle, "DocumentBroken"),
    Way("file-leads-out", "Her file is a link out of the folder.", file_leads_out, "DocumentBroken"),
    Way("file-is-a-pipe", "Her file would be waited for for ever.", file_is_a_pipe, "DocumentBroken"),
    Way("another-pipe", "Some other file cannot be read.", another_file_is_a_pipe, "DocumentBroken"),
    Way("file-is-not-text", "Her file is not UTF-8.", file_is_not_text, "DocumentBroken"),
    Way("file-is-encrypted", "Her file was never decrypted.", file_is_encrypted, "DocumentBroken"),
    Way("file-of-zeros", "A crash left her file as zeros.", file_of_zeros, "DocumentBroken"),
    Way("file-emptied", "Her file was cut to nothing: the disk is full.", file_emptied, "DocumentBroken"),
    Way("file-of-a-newline", "Her file has nothing but a newline.", file_of_a_newline, "DocumentBroken"),
    Way("file-cut", "Her file ends before her name.", file_cut, "DocumentBroken"),
    Way("file-cut-early", "Her file has one line.", file_cut_to_its_first_line, "DocumentBroken"),
    Way("other-file-cut", "Any name may be in what is cut off.", other_file_cut, "DocumentBroken"),
    Way("merge-conflict", "Her file has the marks of a conflict.", merge_conflict, "DocumentBroken"),
    Way("large-file-pointer", "Her file is a pointer to a large one.", large_file_pointer, "DocumentBroken"),
    Way("swap-renames", "An editor saves her file again and again.", saved_by_renaming_again_and_again),
    Way("loads-differ", "Two readings list two sets of names.", copied_name_by_name),
    Way("git-index-lock", "Git is writing, her file is not there yet.", checkout_under_way, "DocumentBroken"),
    Way("git-merge", "A merge is half done.", merge_under_way, "DocumentBroken"),
    Way("git-rebase", "A rebase is half done.", rebase_under_way, "DocumentBroken"),
    Way("git-am", "Patches are half applied.", patches_under_way, "DocumentBroken"),
    Way("git-revert", "A revert is half done.", revert_under_way, "DocumentBroken"),
    Way("git-cherry-pick", "A cherry-pick is half done.", pick_under_way, "DocumentBroken"),
    Way("git-work-tree", "It is a second work tree.", checkout_of_a_second_work_tree, "DocumentBroken"),
    Way("git-above", "The documents are a folder of the checkout.", checkout_above, "DocumentBroken"),
    Way("git-submodule", "A submodule was not checked out.", submodule_not_there),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_nobody_is_deleted_when(way: Way, tmp_path: Path) -> None:
    """A file that is cut, hidden or under way says nothing about who is gone, before a restart and after."""
    async with ground(folder=tmp_path) as on:
        async with served(on) as at:
            before = at.lives
            await stays(at, way, for_s=HOUR_S / 2)
            assert all(at.route(name) for name in NAMES)
        await stays_after_a_restart(on, before, way, for_s=HOUR_S / 2)
