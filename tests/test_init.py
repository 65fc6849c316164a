"""`init`: from an empty folder to a fleet that holds, with next steps that work as printed."""

import re
import shlex
from pathlib import Path

import pytest

from reconciler.cli import command
from reconciler.core.spec import load
from reconciler.exit import Exit
from tests import wire
from tests.journeys.hosted import TOKEN, Handle, hosted_api


def init(capture: pytest.CaptureFixture[str], *arguments: object, **environ: str) -> tuple[int, str, str]:
    code = command(["init", *map(str, arguments)], environ=environ)
    return code, *capture.readouterr()


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_writes_a_fleet_that_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With one user, and not a single problem."""
    folder = tmp_path / "specs"
    code, out, err = init(capsys, folder, "--org", "acme", "--domain", "example.com")
    assert (code, err) == (Exit.OK, "")
    written = files(folder)
    assert set(written) == {"fleet.yaml", "machines.yaml", "router.yaml", "schema.json", "users/alice.yaml"}
    assert out.startswith("wrote fleet.yaml, router.yaml, machines.yaml, users/alice.yaml, schema.json in ")
    specs = load({path: text for path, text in written.items() if path.endswith(".yaml")})
    assert specs.problems == ()
    assert list(specs.users) == ["alice"]
    assert specs.fleet is not None
    assert specs.fleet.spec.org == "acme"
    assert specs.router is not None
    assert specs.router.domains == ("example.com",)


def test_every_fleet_is_another_installation(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two fleets in one organisation never take each other's apps for their own."""
    minted = set()
    for number in range(8):
        assert init(capsys, tmp_path / str(number), "--org", "acme", "--domain", "example.com")[0] == Exit.OK
        text = (tmp_path / str(number) / "fleet.yaml").read_text("utf-8")
        (found,) = re.findall(r"^  installation: ([a-z][a-z0-9]{7}) ", text, re.MULTILINE)
        minted.add(found)
    assert len(minted) == 8


def test_editors_find_the_schema(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each document's first line leads to the schema that was written beside them."""
    init(capsys, tmp_path, "--org", "acme", "--domain", "example.com")
    for path in tmp_path.rglob("*.yaml"):
        named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text("utf-8"))
        assert named
        assert (path.parent / named[1]).resolve() == tmp_path / "schema.json"


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A folder that holds anything stays as it is, and is listed; git's own does not count."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    code, out, err = init(capsys, tmp_path, "--org", "acme", "--domain", "example.com")
    assert (code, out) == (Exit.ERROR, "")
    assert err.startswith(
        f"reconciler: {tmp_path} is not empty, and nothing in it is overwritten: notes.txt;"
    )
    assert files(tmp_path) == {"notes.txt": "mine"}
    (tmp_path / "notes.txt").unlink()
    assert init(capsys, tmp_path, "--org", "acme", "--domain", "example.com")[0] == Exit.OK


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "init needs --org and --domain; it asks only on a terminal"),
        (("--domain", "example.com"), "init needs --org; it asks only on a terminal"),
        (("--org", "acme"), "init needs --domain; it asks only on a terminal"),
        (("--org", "Acme Inc", "--domain", "example.com"), '--org: "Acme Inc" is not a name'),
        (("--org", "x: {y", "--domain", "example.com"), '--org: "x: {y" is not a name'),
        (("--org", "acme", "--domain", "http://example.com"), '--domain: "http://example.com" is not a host'),
    ],
)
def test_what_it_needs_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    """Without a terminal nobody is asked, and nothing is written."""
    code, _, err = init(capsys, tmp_path / "specs", *arguments)
    assert code == Exit.ERROR
    assert err.startswith(f"reconciler: {complaint}")
    assert not (tmp_path / "specs").exists()


@pytest.mark.parametrize("org", ["123", "1e5", "null", "true", "off"])
def test_a_name_that_yaml_would_misread_stays_a_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, org: str
) -> None:
    """FLY_ORG is taken when no flag says otherwise."""
    assert init(capsys, tmp_path, "--domain", "example.com", FLY_ORG=org)[0] == Exit.OK
    specs = load({"fleet.yaml": (tmp_path / "fleet.yaml").read_text("utf-8")})
    assert specs.fleet is not None
    assert specs.fleet.spec.org == org


async def straight(_method: str, _path: str, handle: Handle) -> None:
    await handle()


@pytest.mark.wire
async def test_the_next_steps_work_as_printed(tmp_path: Path) -> None:
    """Each command that it prints ends well, the last one with a plan that makes one user's app."""
    folder = tmp_path / "my specs"
    reconciler = f"{shlex.quote(wire.PYTHON)} -m reconciler"
    done = await wire.finished(
        *(wire.PYTHON, "-m", "reconciler", "init", folder, "--org", "acme", "--domain", "example.com")
    )
    assert done.code == Exit.OK, done.err
    steps = [line.strip() for line in done.out.partition("Next:\n")[2].splitlines()]
    script = "set -e\nreconciler() { " + reconciler + ' "$@"; }\nfly() { echo ' + TOKEN + "; }\n"
    async with hosted_api(straight) as fly:
        ran = await wire.finished("sh", "-c", script + "\n".join(steps), env={"FLY_API_HOSTNAME": fly.url})
    assert (ran.code, [line for line in ran.err.splitlines() if ": warning: " not in line]) == (0, [])
    assert "create" in ran.out
    assert len(steps) == 5
