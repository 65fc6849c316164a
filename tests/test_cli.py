"""The command as a user meets it: bad input is one line and a non-zero exit, and no secret is ever shown."""

import json
import re
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from reconciler.cli import command
from reconciler.exit import Exit
from tests import wire
from tests.journeys.hosted import TOKEN, Handle, Hosted, hosted_api
from tests.stage import FLEET, MACHINE, SECRET, user

ROOT_KEY = "c0" * 32
CANARIES = (SECRET, TOKEN, ROOT_KEY)
THROUGH_FLY = {"fly-forwarded-port": "80", "fly-client-ip": "192.0.2.1", "fly-region": "iad"}


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr."""
        (line,) = self.err.splitlines()
        return line


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A folder with a fleet of two that holds."""
    folder = tmp_path / "specs"
    (folder / "users").mkdir(parents=True)
    (folder / "fleet.yaml").write_text(FLEET.replace("acme-{name}", "acme-teststage-{name}"))
    (folder / "machine.yaml").write_text(MACHINE.replace("studio:1", f"studio:1@sha256:{'0' * 64}"))
    for name in ("alice", "bob"):
        (folder / "users" / f"{name}.yaml").write_text(user(name))
    return folder


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "FLY_API_TOKEN": TOKEN,
        "FLY_API_HOSTNAME": f"127.0.0.1:{wire.free_port()}",
        "RECONCILER_ROOT_KEY": ROOT_KEY,
        "FLEET_SECRET_OPENAI_API_KEY": SECRET,
    }


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs commands inside this process."""

    capture: pytest.CaptureFixture[str]
    environ: dict[str, str]

    def __call__(self, *arguments: str | Path) -> Said:
        code = command([str(each) for each in arguments], environ=dict(self.environ))
        out, err = self.capture.readouterr()
        return Said(code, out, err)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], environ: dict[str, str]) -> Shell:
    return Shell(capsys, environ)


def test_documents_that_hold_are_valid(shell: Shell, specs: Path) -> None:
    """`validate` needs neither token nor network, and says what it read."""
    shell.environ.clear()
    assert shell("validate", specs) == Said(0, "2 user apps, 1 machine template: no problems\n", "")


def test_warnings_are_told_and_break_nothing(shell: Shell, specs: Path) -> None:
    """What is only inadvisable is one line on stderr that says so, and the exit stays 0."""
    (specs / "fleet.yaml").write_text(FLEET)
    (specs / "machine.yaml").write_text(MACHINE)
    said = shell("validate", specs)
    assert (said.code, said.out) == (0, "2 user apps, 1 machine template: no problems, 2 warnings\n")
    fleet, machine = said.err.splitlines()
    assert re.search(r"fleet\.yaml:5:\d+: warning: spec\.app_name: .* \[predictable-app-name\]$", fleet)
    assert re.search(
        r"machine\.yaml:7:\d+: warning: spec\.config\.image: .* \[image-without-digest\]$", machine
    )


def test_validate_tells_programs_everything_in_one_json(shell: Shell, specs: Path) -> None:
    """`--format json` counts what holds and names each finding's place, path, code and severity."""
    (specs / "users" / "carol.yaml").write_text(user("carol").replace("hosts:", "hots:"))
    said = shell("validate", specs, "--format", "json")
    assert (said.code, said.err) == (Exit.ERROR, "")
    told = json.loads(said.out)
    assert told["version"] == 1
    assert told["counts"]["users"] == 2
    errors = [problem for problem in told["problems"] if problem["severity"] == "error"]
    assert told["counts"]["errors"] == len(errors) == 1
    assert told["counts"]["errors"] + told["counts"]["warnings"] == len(told["problems"])
    assert errors == [
        {
            "file": str(specs / "users" / "carol.yaml"),
            "line": 6,
            "column": 3,
            "path": "spec.hots",
            "message": 'unknown field; did you mean "hosts"?',
            "code": "unknown-field",
            "severity": "error",
            "row": "",
        }
    ]


BROKEN = {
    "unknown field": (user("carol").replace("hosts:", "hots:"), r'carol\.yaml:6:\d+: spec\.hots: .*"hosts"'),
    "wrong type": (user("carol").replace("size_gb: 1", "size_gb: one"), r"carol\.yaml:7:\d+: .*size_gb"),
    "duplicate key": (user("carol") + "  secrets: []\n", r"carol\.yaml:9:\d+: .*secrets"),
    "dangling reference": (user("carol").replace("studio", "stduio"), r'carol\.yaml:7:\d+: .*"studio"'),
    "no YAML": ("kind: [", r"carol\.yaml:\d+:\d+: "),
    "a token asked for": (
        "apiVersion: reconciler/v1alpha1\nkind: Secret\nmetadata: {name: STOLEN}\n"
        "spec: {from: {env: FLY_API_TOKEN}}\n",
        r"carol\.yaml:4:\d+: spec\.from.*FLY_API_TOKEN.*FLEET_SECRET_",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("verb", ["validate", "apply"])
def test_a_bad_document_is_one_line_with_its_place(shell: Shell, specs: Path, name: str, verb: str) -> None:
    """Whatever is wrong in a file is told as `file:line:column`, on one line, with a non-zero exit."""
    text, pattern = BROKEN[name]
    (specs / "users" / "carol.yaml").write_text(text)
    said = shell(verb, specs)
    assert said.code != Exit.OK
    first, *others = said.err.splitlines()
    assert re.search(pattern, first), said.err
    assert len(others) == (0 if verb == "validate" else 1)  # the other: nobody can be asked here


def test_an_unreadable_file_is_one_line(shell: Shell, specs: Path) -> None:
    """A file that is no text is named, with what to do about it."""
    (specs / "users" / "carol.yaml").write_bytes(b"kind: \xff\n")
    said = shell("validate", specs)
    assert said.code == Exit.ERROR
    assert re.search(r"carol\.yaml: .*UTF-8", said.complaint)


def test_a_folder_that_is_not_there_is_told(shell: Shell, tmp_path: Path) -> None:
    """A mistyped path is not an empty fleet."""
    said = shell("plan", tmp_path / "nowhere")
    assert said.code == Exit.ERROR
    assert "nowhere: cannot be read: no such file or directory" in said.err


@pytest.mark.parametrize(
    ("arguments", "environment", "pattern"),
    [
        (("frobnicate",), {}, r"No such command 'frobnicate'"),
        (("plan",), {}, r"Missing argument 'SPECS'"),
        (("plan", "{specs}", "--fromat", "json"), {}, r"No such option.*--fromat"),
        (("plan", "{specs}", "--workers", "0"), {}, r"--workers"),
        (("plan", "{specs}"), {"FLY_API_TOKEN": ""}, r"FLY_API_TOKEN is not set"),
        (("plan", "{specs}"), {"FLY_API_HOSTNAME": "ftp://x"}, r"FLY_API_HOSTNAME: "),
        (
            ("plan", "{specs}"),
            {"FLY_API_TOKEN": "two\nlines"},
            r"characters .*; check the token in FLY_API_TOKEN",
        ),
        (("plan", "{specs}"), {"FLY_ORG": "other"}, r"FLY_ORG is other, and the Fleet document says acme"),
        (("plan", "{specs}"), {"RECONCILER_ROOT_KEY": "zz"}, r"RECONCILER_ROOT_KEY: .*64 hex digits"),
        (("plan", "{specs}", "--root-key-file", "/nowhere"), {}, r"--root-key-file /nowhere: .*No such file"),
        (("plan", "{specs}", "--secrets-dir", "/nowhere"), {}, r"--secrets-dir /nowhere: "),
        (("plan", "{specs}", "--secret-env-prefix", ""), {}, r"--secret-env-prefix: .*whole environment"),
        (("apply", "{specs}"), {}, r"apply needs --yes"),
        (
            ("apply", "{specs}", "--yes"),
            {"RECONCILER_ROOT_KEY": ""},
            r"auth is signed, which needs the root key",
        ),
        (("run", "{specs}"), {"RECONCILER_ROOT_KEY": ""}, r"auth is signed, which needs the root key"),
        (("run", "{specs}", "--listen", "public"), {}, r"--listen public: it takes NAME=HOST:PORT"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wrong_flag_or_variable_is_one_line(
    shell: Shell, specs: Path, arguments: tuple[str, ...], environment: dict[str, str], pattern: str
) -> None:
    """Usage errors exit with 1, say what was wrong and what is right, and show no secret."""
    shell.environ.update(environment)
    said = shell(*(each.replace("{specs}", str(specs)) for each in arguments))
    assert said.code == Exit.ERROR
    assert re.search(pattern, said.complaint)
    assert not any(canary in said.err + said.out for canary in CANARIES)


def test_an_api_that_is_down_is_one_line(shell: Shell, specs: Path) -> None:
    """The line says what was tried, where, why it failed and what to check."""
    said = shell("plan", specs)
    assert said.code == Exit.ERROR
    assert re.search(
        r"cannot list .*acme: no answer from http://127\.0\.0\.1:\d+.*FLY_API_HOSTNAME", said.complaint
    )


def test_no_key_or_token_stays_in_the_environment(specs: Path, environ: dict[str, str]) -> None:
    """Neither a child process nor a document can read the token or the root key once a command has begun."""
    assert command(["validate", str(specs)], environ=environ) == Exit.OK
    assert environ.keys().isdisjoint({"FLY_API_TOKEN", "RECONCILER_ROOT_KEY"})
    assert environ["FLEET_SECRET_OPENAI_API_KEY"] == SECRET


async def straight(_method: str, _path: str, handle: Handle) -> None:
    await handle()


def at(fly: Hosted, **more: str) -> dict[str, str]:
    """The environment that a user would set for this Fly."""
    return {
        "FLY_API_TOKEN": TOKEN,
        "FLY_API_HOSTNAME": fly.url,
        "RECONCILER_ROOT_KEY": ROOT_KEY,
        "FLEET_SECRET_OPENAI_API_KEY": SECRET,
        **more,
    }


async def reconciler(*arguments: str | Path, env: dict[str, str]) -> wire.Finished:
    """Run the program to its end; whatever it says, no secret is in it."""
    done = await wire.finished(sys.executable, "-m", "reconciler", *arguments, env=env)
    assert not any(canary in done.out + done.err for canary in CANARIES)
    assert "Traceback" not in done.err
    return done


@pytest.mark.wire
@pytest.mark.parametrize(
    "variable",
    [
        "ALL_PROXY=socks5://u:canary@127.0.0.1:1",
        "HTTPS_PROXY=ftp://x",
        "NO_PROXY=[::1",
        "SSL_CERT_FILE=/nowhere",
    ],
)
async def test_a_way_out_that_cannot_be_used_is_one_line(
    specs: Path, environ: dict[str, str], variable: str
) -> None:
    """A proxy or a certificate file that is none is a wrong variable, and no fault of the program."""
    name, _, value = variable.partition("=")
    env = {**environ, "FLY_API_HOSTNAME": "https://fly.invalid", name: value}
    done = await reconciler("plan", specs, env=env)
    assert done.code == Exit.ERROR
    (line,) = done.err.splitlines()
    assert name in line
    assert "canary" not in line


@pytest.mark.wire
@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("{reconciler} apply {specs} <&-", Exit.ERROR, r"reconciler: apply needs --yes .*\n"),
        ("{reconciler} validate {specs} >&-", Exit.OK, ""),
        ("{reconciler} validate {specs}/nowhere 2>&-", Exit.ERROR, ""),
        (
            "ulimit -f 0; {reconciler} validate {specs} >{specs}/full",
            Exit.ERROR,
            r"reconciler: the result cannot be written to stdout: File too large\n",
        ),
    ],
)
async def test_streams_that_cannot_be_used_are_no_fault(
    specs: Path, line: str, code: Exit, told: str
) -> None:
    """Closed ones cost nothing but what was to be read or written there; a full disk is not success."""
    words = {"reconciler": f"{shlex.quote(sys.executable)} -m reconciler", "specs": shlex.quote(str(specs))}
    env = {"FLY_API_TOKEN": TOKEN, "RECONCILER_ROOT_KEY": ROOT_KEY}
    done = await wire.finished("/bin/sh", "-c", line.format(**words), env=env)
    assert done.code == code
    assert re.fullmatch(told, done.err)


@pytest.mark.wire
async def test_plan_apply_plan_status_agree_on_what_is_there(specs: Path) -> None:
    """Plan exits with 2, apply does it, plan then exits with 0 and no actions, status shows all ready."""
    async with hosted_api(straight) as fly:
        env = at(fly)
        before = await reconciler("plan", specs, "--detailed-exitcode", env=env)
        assert before.code == Exit.CHANGES
        assert before.out.startswith("2 user apps: 0 as documented, 2 to change (")
        assert not fly.world.apps

        applied = await reconciler("apply", specs, "--yes", "--pace", "off", env=env)
        assert applied.code == Exit.OK, applied.err
        assert sorted(fly.world.apps) == ["acme-teststage-alice", "acme-teststage-bob"]

        after = await reconciler("plan", specs, "--format", "json", "--detailed-exitcode", env=env)
        assert after.code == Exit.OK
        summary = json.loads(after.out)["summary"]
        assert (summary["actions"], summary["in_sync"]) == (0, 2)

        shown = await reconciler("status", specs, env=env)
        assert shown.code == Exit.OK
        assert re.search(
            r"^alice +acme-teststage-alice +True +yes +- +alice\.example\.com$", shown.out, re.MULTILINE
        )
        told = json.loads((await reconciler("status", specs, "--format", "json", env=env)).out)
        assert [each["name"] for each in told["users"] if each["serving"]] == ["alice", "bob"]


@pytest.mark.wire
async def test_a_problem_in_one_document_does_not_hide_the_others_from_the_plan(specs: Path) -> None:
    """The rest is planned, the problem is told on stderr, and the exit code says that not all was read."""
    (specs / "users" / "bob.yaml").write_text("kind: [")
    async with hosted_api(straight) as fly:
        done = await reconciler("plan", specs, "--format", "json", env=at(fly))
    assert done.code == Exit.PARTIAL
    assert [app["name"] for app in json.loads(done.out)["apps"]] == ["alice"]
    assert re.match(r".*bob\.yaml:\d+:\d+: ", done.err)


@pytest.mark.wire
async def test_a_held_change_is_told_by_the_exit_code(specs: Path) -> None:
    """A user whose app name another organisation holds is blocked: exit 3, others are planned."""
    async with hosted_api(straight, orgs=("acme", "rivals")) as fly:
        fly.world.add_app("acme-teststage-alice", org="rivals")
        done = await reconciler("plan", specs, env=at(fly))
    assert done.code == Exit.BLOCKED
    assert "NameTaken" in done.out
    assert "bob" in done.out


@pytest.mark.wire
@pytest.mark.parametrize("verb", ["plan", "run"])
async def test_a_wrong_token_is_one_line(specs: Path, verb: str) -> None:
    """A refused token ends the command at once, and the line names the variable but not the token."""
    async with hosted_api(straight) as fly:
        done = await reconciler(verb, specs, env=at(fly, FLY_API_TOKEN="not-" + TOKEN))
    assert done.code == Exit.ERROR
    complaint = done.err.splitlines()[-1]
    assert complaint.startswith("reconciler: cannot list ")
    assert "FLY_API_TOKEN" in complaint
    assert not fly.world.apps


@pytest.mark.wire
async def test_a_port_that_is_taken_is_one_line(specs: Path) -> None:
    """Nothing is begun when the router's door cannot be opened."""
    async with hosted_api(straight) as fly:
        port = fly.url.rpartition(":")[2]
        done = await reconciler("run", specs, "--yes", "--listen", f"public=127.0.0.1:{port}", env=at(fly))
        assert done.code == Exit.ERROR
        assert re.fullmatch(rf"reconciler: listener public: cannot bind 127\.0\.0\.1:{port}: .+\n", done.err)
        assert not fly.world.apps


@pytest.mark.wire
async def test_run_says_what_happens_as_json_lines_and_ends_on_sigterm(specs: Path) -> None:
    """Each line on stderr is an event; a saved file moves a route within two seconds; SIGTERM exits 0."""
    async with hosted_api(straight) as fly:
        argv = (sys.executable, "-m", "reconciler", "run", specs, "--yes", "--pace", "off")
        async with wire.started(*argv, "--listen", "public=127.0.0.1:0", env=at(fly)) as program:
            await program.said(r'"fleet\.converged"')
            port = next(e["port"] for e in events(program) if e["event"] == "router.listening")
            (specs / "users" / "alice.yaml").write_text(user("alice").replace("alice.ex", "art.ex"))
            await wire.until(lambda: is_routed(port, "art.example.com"), within_s=2)
            program.send(signal.SIGTERM)
            assert await program.ended(within_s=15) == 0
            names = [event["event"] for event in events(program)]
            assert names[0] == "router.listening"
            assert {"fleet.progressed", "fleet.converged", "source.changed", "run.stopped"} <= set(names)
            assert not any(canary in "\n".join(program.err) for canary in CANARIES)


def events(program: wire.Program) -> list[dict[str, object]]:
    return [json.loads(line) for line in program.err]


async def is_routed(port: object, host: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as visitor:
        answer = await visitor.get(f"http://127.0.0.1:{port}/", headers={"host": host, **THROUGH_FLY})
        return "app=acme-" in answer.headers.get("fly-replay", "")
