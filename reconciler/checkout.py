"""Whether git is at work on a folder: what is there then is half of one commit and half of another."""

from pathlib import Path

_UNDER_WAY = {
    "index.lock": "git holds index.lock",
    "MERGE_HEAD": "a merge is under way",
    "CHERRY_PICK_HEAD": "a cherry-pick is under way",
    "REVERT_HEAD": "a revert is under way",
    "rebase-merge": "a rebase is under way",
    "rebase-apply": "a rebase is under way",
}


def under_way(folder: Path) -> str:
    """What git is doing in the work tree that holds `folder`; "" when nothing, or when there is none."""
    try:
        top = folder.resolve(strict=True)
        for place in (top, *top.parents):
            git = place / ".git"
            if git.exists():
                state = _state_of(git)
                return next((why for name, why in _UNDER_WAY.items() if (state / name).exists()), "")
    except (OSError, RuntimeError):
        return ""  # a folder that cannot be looked at is said where it is read
    return ""


def _state_of(git: Path) -> Path:
    """The folder of git's own files; a second work tree has a file that names it."""
    if git.is_dir():
        return git
    first, _, path = git.read_text("utf-8", "replace").partition("gitdir:")
    return git.parent / path.strip() if not first.strip() and path.strip() else git
