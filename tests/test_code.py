"""What a contributor would check by hand: lint, format, types, and that no check is silenced unexplained."""

import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SILENCED = re.compile(r"#\s*(noqa|ruff: ?noqa|fmt: ?(off|skip)|type: ?ignore|pyright: ?ignore)(?P<rest>.*)")
CODES_AND_REASON = re.compile(r"(: ?[A-Z]+\d+(, ?[A-Z]+\d+)*|\[[a-z-]+(, ?[a-z-]+)*\])\W+\w+\W+\w+")
FOLDERS = ("reconciler", "router", "localfly", "specs", "tests", "bench")


def run(*argv: str) -> str:
    """What a checker has to say; empty when it is content."""
    done = subprocess.run(
        [sys.executable, "-m", *argv], cwd=ROOT, check=False, capture_output=True, text=True, timeout=300
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("argv", [("ruff", "check", "."), ("ruff", "format", "--check", ".")], ids=" ".join)
def test_ruff_is_content(argv: tuple[str, ...]) -> None:
    """Lint and format hold for every Python file."""
    assert run(*argv) == ""


def test_the_type_checker_is_content_in_strict_mode() -> None:
    """Types hold for the packages, the sample fleet's programs and the tests."""
    assert run("mypy", "reconciler", "router", "localfly", "specs", "tests") == ""


def silenced_without_reason(path: Path) -> list[str]:
    """Comments that silence a checker wholesale, or do not say why."""
    found = []
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            match = SILENCED.search(token.string) if token.type == tokenize.COMMENT else None
            if match and not CODES_AND_REASON.match(match["rest"]):
                found.append(f"{path.name}:{token.start[0]}: {token.string}")
    return found


def test_no_check_is_silenced_without_its_code_and_reason() -> None:
    """Every `noqa` and `type: ignore` names what it silences and says why on the same line."""
    tracked = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert [line for path in sorted(tracked) for line in silenced_without_reason(path)] == []


@pytest.mark.parametrize(
    ("comment", "is_fine"),
    [
        ("# noqa", False),
        ("# type: ignore", False),
        ("# noqa: S310", False),
        ("# type: ignore[arg-type]", False),
        ("# noqa: S310 (the address is ours)", True),
        ("# type: ignore[arg-type]  # httpx accepts it", True),
        ("# a comment about something else", True),
    ],
)
def test_a_blanket_ignore_is_seen(tmp_path: Path, comment: str, is_fine: bool) -> None:
    """A code without a reason is as silent as no code."""
    path = tmp_path / "module.py"
    path.write_text(f"x = 1  {comment}\n", "utf-8")
    assert (silenced_without_reason(path) == []) is is_fine
