"""`secret encrypt`: what it prints can be committed, and what it was given appears nowhere."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyrage import x25519

from reconciler.age import AgeIdentities
from reconciler.cli import command
from reconciler.core.spec import load
from reconciler.exit import Exit
from reconciler.secret_source import SecretSource

CANARY = "sk-live-canary-4f1a"
KEY = x25519.Identity.generate()
RECIPIENT = str(KEY.to_public())


@pytest.fixture
def stdin() -> Iterator[io.BytesIO]:
    """What the command reads; no terminal."""
    before, content = sys.stdin, io.BytesIO(CANARY.encode())
    sys.stdin = io.TextIOWrapper(content)
    yield content
    sys.stdin = before


@pytest.mark.usefixtures("stdin")
@pytest.mark.parametrize("by_file", [False, True])
def test_the_printed_document_holds_and_gives_the_value_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, by_file: bool
) -> None:
    """It is a whole document; with the identity the value comes back, without it there is a reason."""
    (tmp_path / "team.txt").write_text(f"# all of us\n{RECIPIENT}\n")
    flags = ["--recipients-file", str(tmp_path / "team.txt")] if by_file else ["--recipient", RECIPIENT]
    assert command(["secret", "encrypt", *flags, "API_KEY"], environ={}) == Exit.OK
    out, err = capsys.readouterr()
    assert (CANARY in out, err) == (False, "")
    specs = load({"secret.yaml": out})
    assert [problem for problem in specs.problems if problem.path] == []
    assert list(specs.secrets) == ["API_KEY"]
    knowing = SecretSource(environ={}, decrypt=AgeIdentities(str(KEY)).decrypt)
    assert knowing.values(["API_KEY"], specs.secrets, app_name="a").known["API_KEY"].reveal() == CANARY
    ignorant = SecretSource(environ={}).values(["API_KEY"], specs.secrets, app_name="a")
    assert ignorant.missing == {
        "API_KEY": "it is encrypted, and there is no identity here; set --age-identity-file"
    }


@pytest.mark.usefixtures("stdin")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("API_KEY",), "secret encrypt needs --recipient age1… or --recipients-file"),
        (("--recipient", RECIPIENT, f"API_KEY={CANARY}"), "secret encrypt: NAME is not usable"),
        (("--recipient", RECIPIENT, "RECONCILER_X"), "secret encrypt: NAME is not usable"),
        (("--recipient", str(KEY), "API_KEY"), "secret encrypt: recipient 1 is none; expected age1…"),
        (("--recipients-file", "/nowhere", "API_KEY"), "--recipients-file /nowhere: No such file"),
    ],
    ids=["no recipient", "the value in argv", "a label's name", "an identity", "no file"],
)
def test_a_slip_is_one_line_without_what_was_given(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    """Nothing is printed that could be committed, and the line repeats no value and no key."""
    assert command(["secret", "encrypt", *arguments], environ={}) == Exit.ERROR
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith(f"reconciler: {told}")
    assert out == ""
    assert CANARY not in line
    assert str(KEY) not in line


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"a\0b", "holds a NUL byte, which no environment variable can carry"),
        (b"\xff", "is not UTF-8 text"),
        (b"x" * 65_537, "is larger than 65536 bytes"),
    ],
    ids=["empty", "NUL", "no text", "huge"],
)
def test_what_can_be_no_value_is_refused(
    capsys: pytest.CaptureFixture[str], stdin: io.BytesIO, content: bytes, why: str
) -> None:
    """As it would be when the value came from elsewhere."""
    stdin.truncate(0)
    stdin.write(content)
    stdin.seek(0)
    assert command(["secret", "encrypt", "--recipient", RECIPIENT, "A"], environ={}) == Exit.ERROR
    assert capsys.readouterr().err.startswith(f"reconciler: secret encrypt: the value {why}")
