"""No secret is ever shown or stored: planted ones are looked for in all that every command says and writes.

Each command of the program has a line in COMMANDS; a new one without it fails here. Flags that all share, and
every format, are added by what the command takes.
"""

import base64
import io
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import typer

from reconciler.cli import app, command
from reconciler.exit import Exit
from tests import canary, wire
from tests.canary import Fly

pytestmark = pytest.mark.wire

# What is given to each command besides the flags that many share. What stands in {} is a path.
COMMANDS: dict[str, Sequence[str]] = {
    "validate": ["{specs}"],
    "plan": ["{specs}", "{specs} --summary", "{specs} --expand"],
    "apply": ["{specs}"],
    "approve": ["", "0123456789ab"],
    "status": ["{specs}"],
    "render": ["{specs}"],
    "explain": ["Secret.spec.from", "secret-ciphertext"],
    "schema": [""],
    "init": ["{new} --org acme --domain example.com"],
    "adopt": ["alice --specs {specs}", "acme-* --specs {specs} --write {adopted}"],
    "orphans": ["{specs}"],
    "secret encrypt": [f"API_KEY --recipient {canary.RECIPIENT}"],
    "run": [],  # has a test of its own: it does not end
}
VALUES = {  # of flags, where a command takes them
    "--pace": "off",
    "--yes": "",
    "--secrets-dir": "{secrets}",
    "--age-identity-file": "{identity}",
    "--state": "{state}",
    "--out": "{out}",
}


@dataclass(slots=True)
class Place:
    """A folder with specs, secrets and whatever commands write; and their last words."""

    folder: Path
    fly: Fly
    capture: pytest.CaptureFixture[str]
    by_variable: bool = False  # age identity and root key: by variables, else by files
    environ: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def paths(self) -> dict[str, Path]:
        names = ("specs", "secrets", "identity", "state", "new", "out", "adopted")
        return {name: self.folder / ("planted" if name in PLANTED else "written") / name for name in names}

    def __call__(self, *words: str) -> int:
        """Run a command and look through what it says."""
        sys.stdin = io.TextIOWrapper(io.BytesIO(canary.ENV.encode()))
        code = command([word.format_map(self.paths) for word in words], environ=dict(self.environ))
        out, err = self.capture.readouterr()
        self.said += [out, err]
        self.check(f"$ {' '.join(words)}\n{out}\n{err}")
        return code

    def check(self, text: str) -> None:
        found = canary.traces(text, self.fly.secrets())
        assert found == [], text[:2000]

    def check_files(self) -> None:
        """Nothing that was written holds a secret."""
        assert canary.in_files(self.folder / "written", self.fly.secrets()) == []


PLANTED = ("specs", "secrets", "identity")  # hold secrets, or their ciphertext, as they should


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """Everything planted, and a Fly with nothing on it."""
    before = sys.stdin
    with canary.fly_on_a_thread() as fly:
        here = Place(tmp_path, fly, capsys)
        canary.write_specs(here.paths["specs"])
        (here.paths["secrets"] / "folder").mkdir(parents=True)
        (here.paths["secrets"] / "folder" / "key").write_text(canary.FILE)
        here.paths["identity"].write_text(f"{canary.IDENTITY}\n")
        (tmp_path / "written" / "home").mkdir(parents=True)
        for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR"):
            monkeypatch.setenv(name, str(tmp_path / "written" / "home"))
        here.environ = {
            "FLY_API_TOKEN": canary.TOKEN,
            "FLY_API_HOSTNAME": fly.url,
            "RECONCILER_ROOT_KEY": canary.ROOT_KEY,
            "FLEET_SECRET_FROM_ENV": canary.ENV,
        }
        yield here
    sys.stdin = before


@cache
def commands() -> dict[str, Any]:
    """Every command of the program by its full name."""

    def below(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
        for name, each in group.commands.items():
            if hasattr(each, "commands"):
                yield from below(each, (*path, name))
            else:
                yield " ".join((*path, name)), each

    return dict(below(typer.main.get_command(app)))


def lines(name: str) -> list[tuple[str, ...]]:
    """Every way to drive a command: each line in every format, and each of both with and without --debug."""
    taken = flags(name)
    formats: list[tuple[str, ...]] = [()]
    if "--format" in taken:
        formats = [("--format", each.value) for each in type(taken["--format"].default)]
    shared = [word for flag, value in VALUES.items() if flag in taken for word in (flag, *value.split())]
    plain = [
        (*name.split(), *line.split(), *shared, *form) for line, form in product(COMMANDS[name], formats)
    ]
    if len(COMMANDS[name]) > 1 and len(formats) == 3:  # then every other one has each of them both ways
        return [("--debug", *words) if number % 2 else words for number, words in enumerate(plain)]
    return [(*debug, *words) for debug, words in product([(), ("--debug",)], plain)]


def flags(name: str) -> dict[str, Any]:
    return {flag: parameter for parameter in commands()[name].params for flag in parameter.opts}


def drive(place: Place, names: Sequence[str] = ()) -> dict[str, set[int]]:
    """Run them all; the exit codes of each."""
    return {name: {place(*words) for words in lines(name)} for name in names or COMMANDS}


def test_every_command_is_driven() -> None:
    """A command that is new in the program needs a line in COMMANDS."""
    assert sorted(commands()) == sorted(COMMANDS)


@pytest.mark.parametrize("spelling", ["plain", "reversed", "in JSON", "hexadecimal", "base64 +1", "in a URL"])
def test_a_trace_is_found(tmp_path: Path, spelling: str) -> None:
    """A few characters of any spelling are enough, in text and in a file; else nothing is found."""
    parts = canary._parts(canary.ENV)[spelling]
    part = min(parts, key=len)
    text = f"something {part} something"
    assert any(trace.startswith("environment secret") for trace in canary.traces(text, canary.planted()))
    (tmp_path / "file").write_text(text)
    assert canary.in_files(tmp_path, canary.planted()) != []
    (tmp_path / "file").write_text("something innocent, AGE-SECRET-KEY-1 and all")
    assert canary.in_files(tmp_path, canary.planted()) == []


def test_nothing_is_shown_or_stored_while_all_goes_well(place: Place) -> None:
    """Every command in every format, before an apply, after it, and after one that changes machines."""
    before = drive(place)
    assert all(
        codes <= {0, 1, 2, 3} and (Exit.OK in codes or name == "run") for name, codes in before.items()
    )
    secrets = place.fly.world.apps["acme-alice"].secrets
    assert secrets["ENCRYPTED"].value == canary.AGE
    assert secrets["FROM_FILE"].value == canary.FILE
    assert len(secrets["GENERATED"].value) == 43
    fleet = place.paths["specs"] / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace("studio:1", "studio:2"))
    drive(place, ["plan", "apply", "plan", "status"])
    assert place.fly.handed_out, "no lease was taken: nothing was updated"
    assert "studio:2" in "".join(place.said)
    place.check_files()


def test_the_root_key_and_the_identity_may_come_by_variable_or_file(place: Place) -> None:
    """Either way they show nowhere."""
    root = place.paths["secrets"] / "root"
    root.write_text(canary.ROOT_KEY)
    place.environ["RECONCILER_AGE_IDENTITY"] = str(canary.IDENTITY)
    shared = ("--secrets-dir", "{secrets}", "--root-key-file", str(root), "--pace", "off")
    assert place("plan", "{specs}", *shared) == Exit.OK
    assert place("apply", "{specs}", "--yes", *shared) == Exit.OK
    assert place.fly.world.apps["acme-bob"].secrets["ENCRYPTED"].value == canary.AGE


async def test_nothing_is_shown_while_it_runs_for_ever(place: Place) -> None:
    """From nothing to a fleet as documented, over a saved template, to the end on SIGTERM, with --debug."""
    paths = {name: str(path) for name, path in place.paths.items()}
    given = [word for flag, value in VALUES.items() if flag in flags("run") for word in (flag, value) if word]
    shared = [word.format_map(paths) for word in given]
    argv = (sys.executable, "-m", "reconciler", "--debug", "run", paths["specs"], *shared)
    async with wire.started(*argv, env=place.environ) as program:
        await program.said(r'"fleet\.converged"')
        fleet = place.paths["specs"] / "fleet.yaml"
        fleet.write_text(fleet.read_text().replace("studio:1", "studio:2"))
        await wire.until(lambda: all(_runs(place, user, "studio:2") for user in canary.USERS))
        program.send(signal.SIGTERM)
        assert await program.ended(within_s=15) == 0
    assert place.fly.handed_out
    place.check("\n".join([*program.out, *program.err]))
    place.check_files()


def _runs(place: Place, user: str, image: str) -> bool:
    return any(image in str(machine.config) for machine in place.fly.world.apps[f"acme-{user}"].living())


def quoting(form: Callable[[bytes], object], status: int, *, reads: bool) -> canary.Answer:
    """Refuse every write, and every read when told, and quote what was sent, headers and all."""

    def answer(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes] | None:
        if not reads and (method == "GET" or path == "/v1/apps"):
            return None
        whole = body + json.dumps(headers).encode() + path.encode()
        said = form(whole)
        return status, said if isinstance(said, bytes) else json.dumps(said).encode()

    return answer


QUOTING: dict[str, Callable[[bytes], object]] = {
    "as it came": lambda body: body,
    "in a message": lambda body: {"error": f"cannot take {body.decode()}", "status": body.decode()},
    "as base64": lambda body: {"error": base64.b64encode(body).decode()},
    "as hex": lambda body: {"message": body.hex()},
    "as a URL": lambda body: {"error": f"GET /?{quote(body)}"},
    "cut off": lambda body: {"error": body.decode()[: len(body) // 3]},
    "as values": lambda body: {"error": _first_value(body)},
    "as repr": lambda body: {"error": repr(_first_value(body))},
}


def _first_value(body: bytes) -> str:
    try:
        values = json.JSONDecoder().raw_decode(body.decode())[0]["values"]
    except (ValueError, KeyError, TypeError):
        return body.decode()
    return " ".join(str(value) for value in values.values())


@pytest.mark.parametrize(("form", "status"), [*((form, 422) for form in QUOTING), ("in a message", 400)])
def test_nothing_is_shown_when_fly_quotes_the_request(place: Place, form: str, status: int) -> None:
    """Whatever Fly repeats of what it was sent, in whichever spelling, no part of a secret is passed on."""
    place.fly.answer = quoting(QUOTING[form], status, reads=False)
    codes = drive(place, ["apply"])
    assert codes["apply"] == {Exit.ERROR}
    assert "cannot set secrets of acme-alice" in "".join(place.said)
    place.check_files()


@pytest.mark.parametrize("form", ["in a message", "as hex"])
def test_nothing_is_shown_when_fly_quotes_an_update(place: Place, form: str) -> None:
    """The nonce of the lease stands in its headers."""
    assert Exit.OK in drive(place, ["apply"])["apply"]
    fleet = place.paths["specs"] / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace("studio:1", "studio:2"))
    quoted = quoting(QUOTING[form], 422, reads=False)
    machines = re.compile(r"/v1/apps/[^/]+/machines/[^/]+")
    place.fly.answer = lambda method, path, body, headers: (
        quoted(method, path, body, headers) if machines.fullmatch(path) else None
    )
    drive(place, ["apply"])
    assert place.fly.handed_out
    assert "cannot update machine" in "".join(place.said)
    place.check_files()


@pytest.mark.parametrize("form", ["in a message", "as base64"])
def test_nothing_is_shown_when_fly_quotes_what_it_is_asked(place: Place, form: str) -> None:
    """The token stands in every request."""
    place.fly.answer = quoting(QUOTING[form], 403, reads=True)
    drive(place, [name for name in COMMANDS if "--pace" in flags(name)])  # the others ask nothing
    assert "Fly answered 403" in "".join(place.said)
    place.check_files()


def nonsense(method: str, path: str, _body: bytes, _headers: Mapping[str, str]) -> tuple[int, bytes] | None:
    """Machines whose marks are a list: nothing that Fly could answer, and a fault to trip over."""
    if method != "GET" or not (path.startswith("/v1/apps/") and path.endswith("/machines")):
        return None
    machine = {"id": "1", "name": "web-0", "state": "started", "region": "iad", "instance_id": "v1"}
    return 200, json.dumps([{**machine, "config": {"metadata": ["x"]}}]).encode()


def test_nothing_is_shown_when_the_program_itself_is_at_fault(place: Place) -> None:
    """A crash in the middle of a pass shows with --debug where it was, and no value that was at hand."""
    for user in canary.USERS:
        place.fly.world.add_app(f"acme-{user}", org="acme", network=f"canaries1-{user}")
    place.fly.answer = nonsense
    drive(place, ["plan", "apply", "status"])
    assert "Traceback" in "".join(place.said)
    assert "this is a fault of the program itself" in "".join(place.said)
    place.check_files()


@pytest.mark.parametrize("words", [("secret", "encrypt", "API_KEY"), ("validate", "{specs}"), ("schema",)])
def test_nothing_is_shown_of_an_argument_too_many(place: Place, words: tuple[str, ...]) -> None:
    """A value that was typed where no argument belongs is not repeated into a log."""
    assert command([word.format_map(place.paths) for word in words] + [canary.ENV], environ={}) == Exit.ERROR
    said = "reconciler: there are more arguments than this command takes (see reconciler --help)\n"
    assert place.capture.readouterr() == ("", said)


class Deaf(io.StringIO):
    """A stream that breaks in the middle of a result."""

    def write(self, text: str) -> int:
        raise RuntimeError(f"nobody reads {len(text)} characters")


@pytest.mark.parametrize("name", sorted(name for name in COMMANDS if COMMANDS[name]))
def test_nothing_is_shown_when_the_result_cannot_be_told(place: Place, name: str) -> None:
    """Even so the traceback holds no value."""
    for words in lines(name):
        before, sys.stdout = sys.stdout, Deaf()
        try:
            place(*words)
        finally:
            sys.stdout = before
    place.check_files()


# What somebody may paste where it does not belong; VALUE stands for it.
PASTED = {  # {S}, {U} and {M} begin the document
    "as the source": "{S}spec: {from: VALUE}}",
    "as the spec": "{S}spec: VALUE}",
    "as a field of its own": "{S}spec: {value: VALUE}}",
    "as a variable": "{S}spec: {from: {env: VALUE}}}",
    "as a file": "{S}spec: {from: {file: /VALUE}}}",
    "as ciphertext": "{S}spec: {from: {age: VALUE}}}",
    "as a version": "{S}spec: {from: {generate: {version: VALUE}}}}",
    "as what is derived": "{S}spec: {from: {derive: VALUE}}}",
    "as a list": "{S}spec: {from: [VALUE]}}",
    "as the name": "{kind: Secret, metadata: {name: VALUE}, spec: {from: {derive: {}}}}",
    "as a label": "{kind: Secret, metadata: {name: A, labels: {a: [VALUE]}}, spec: {from: {derive: {}}}}",
    "in a user's secrets": "{U}secrets: [VALUE]}}",
    "as NAME=VALUE": "{U}secrets: [A=VALUE]}}",
    "as a user's secrets": "{U}secrets: {A: VALUE}}}",
    "in an env that is a list": "{M}env: [VALUE]}}}",
    "as an env": "{M}env: VALUE}}}",
    "deep in an env": "{M}env: {A: {B: VALUE}}}}}",
    "as a file's content": "{M}files: [{guest_path: /a, raw_value: [VALUE]}]}}}",
    "as a command": "{M}init: {cmd: VALUE}}}}",
    "in a header": (
        "{kind: Service, metadata: {name: s}, spec: {internal_port: 80, "
        "http_options: {response: {headers: {a: {b: VALUE}}}}}}"
    ),
}
BROKEN = {
    "a quote left open": 'kind: Secret\nspec:\n  value: "VALUE\n',
    "a tab": "kind: Secret\nspec:\n\tvalue: VALUE\n",
    "a brace left open": "{kind: Secret, value: VALUE",
    "a colon too many": "value: a: VALUE\n",
    "an alias": "value: *VALUE\n",
    "an anchor": "value: &VALUE x\n",
    "a tag": "value: !VALUE x\n",
    "text alone": "VALUE\n",
    "twice": "a: VALUE\na: VALUE\n",
    "no YAML at all": "%VALUE\n",
}
LETTERS = {
    "plain": canary.AGE,
    "NAME-like": "SkLiveCanary5Tz9Kq",
    "quoted": json.dumps(canary.ENV),
    "many lines": json.dumps(canary.FILE),
}


BEGIN = {
    "{S}": "{kind: Secret, metadata: {name: A}, ",
    "{U}": "{kind: UserApp, metadata: {name: u}, spec: {machines: [{name: w, template: studio}], ",
    "{M}": "{kind: Machine, metadata: {name: m}, spec: {config: {image: i, ",
    "{kind": "{apiVersion: reconciler/v1alpha1, kind",
}


@pytest.mark.parametrize("letters", LETTERS)
def test_a_secret_pasted_into_a_document_is_not_repeated(place: Place, letters: str) -> None:
    """The line that says what is wrong goes to logs of CI, where a pasted secret would stay for ever."""
    pasted = LETTERS[letters]
    value = json.loads(pasted) if pasted.startswith('"') else pasted
    repeated = {}
    for where, text in (PASTED | BROKEN).items():
        whole = reduce(lambda begun, each: begun.replace(*each), BEGIN.items(), text)
        (place.paths["specs"] / "pasted.yaml").write_text(whole.replace("VALUE", pasted))
        said_before = len(place.said)
        for words in (*lines("validate"), *lines("render")):
            if "--debug" not in words:
                place(*words)
        said = "".join(place.said[said_before:])
        assert "pasted.yaml:" in said or (where, letters) == ("as the name", "NAME-like"), where
        if canary.traces(said, {"pasted": value}):
            repeated[where] = said
    assert repeated == {}
