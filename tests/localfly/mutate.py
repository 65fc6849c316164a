"""Break each row of the list of edge behaviours by one line, and see its tests go red.

Run it as `python -m tests.localfly.mutate [ROW…]`. It works in a temporary copy of the tree, never in this
one; a row that stays green, or was red before, is named, and the exit status is 1.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.localfly.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("localfly", "router", "reconciler", "tests", "pyproject.toml")
LONGEST_S = 120.0  # a test that hangs is red too


def main(rows: Sequence[int]) -> int:
    """Try the mutations of these rows, or all; 0 when every one was noticed."""
    chosen = [one for one in MUTATIONS if not rows or one.row in rows]
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(folder)
        for name in COPIED:
            _copy(ROOT / name, copy / name)
        survivors = [one for one in chosen if not _is_noticed(one, copy)]
    noticed, in_all = len(chosen) - len(survivors), len({one.row for one in chosen})
    print(f"{noticed} of {len(chosen)} mutations, of {in_all} rows, were noticed")
    return 1 if survivors else 0


def _is_noticed(one: Mutation, copy: Path) -> bool:
    """Whether the row's tests are green without the mutation and red with it."""
    file = copy / one.file
    before = file.read_text()
    if before.count(one.old) != 1:
        print(f"row {one.row:2}: {one.file} has {one.old!r} {before.count(one.old)} times, not once")
        return False
    was_green = _is_green(one.row, copy)
    file.write_text(before.replace(one.old, one.new))
    is_green = _is_green(one.row, copy)
    file.write_text(before)
    verdict = "red before" if not was_green else "not noticed" if is_green else "noticed"
    print(f"row {one.row:2}: {verdict}: {one.file}: {one.old.strip()} → {one.new.strip()}", flush=True)
    return was_green and not is_green


def _is_green(row: int, copy: Path) -> bool:
    files = [str(path.relative_to(copy)) for path in copy.glob("tests/localfly/test_edge_rows_*.py")]
    flags = ("-q", "-x", "-k", f"test_row_{row:02}_")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *sorted(files), *flags],
            cwd=copy,
            check=False,
            capture_output=True,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    else:
        shutil.copy2(source, target)


if __name__ == "__main__":
    sys.exit(main([int(text) for text in sys.argv[1:]]))
