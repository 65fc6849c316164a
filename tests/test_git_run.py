"""`run --git`: from a push to the router, through a remote that goes away, to an end that leaves nothing."""

import re
import signal
import sys
from pathlib import Path

import pytest

from reconciler.exit import Exit
from tests import wire
from tests.git_objects import git
from tests.journeys.hosted import hosted_api
from tests.stage import user
from tests.test_cli import CANARIES, Shell, at, environ, events, is_routed, shell, specs, straight

__all__ = ("environ", "shell", "specs")  # fixtures

GIT_TOKEN = "canary-of-git"


@pytest.fixture
def work(specs: Path) -> Path:
    """A clone whose documents are in `specs`, pushed to `origin.git` beside it."""
    folder = specs.parent
    git(folder, "init")
    git(folder, "init", "--bare", "origin.git")
    (folder / ".gitignore").write_text("/origin.git\n/state\n")
    push(folder)
    return folder


def push(work: Path) -> str:
    git(work, "add", "--all")
    git(work, "commit", "--message", "m")
    git(work, "push", str(work / "origin.git"), "HEAD:main")
    return git(work, "rev-parse", "HEAD")


@pytest.mark.wire
async def test_a_push_moves_a_route_and_a_remote_that_is_gone_moves_nothing(work: Path, specs: Path) -> None:
    """SIGHUP asks at once; the commit is told; while the remote is away all goes on; SIGTERM exits 0."""
    url = f"file://{work}/origin.git"
    async with hosted_api(straight) as fly:
        argv = (sys.executable, "-m", "reconciler", "run", "--git", url, "--poll", "3600", "--yes")
        more = ("--pace", "off", "--listen", "public=127.0.0.1:0", "--state", str(work / "state"))
        env = at(fly, RECONCILER_GIT_TOKEN=GIT_TOKEN)
        async with wire.started(*argv, *more, env=env) as program:
            await program.said(r'"fleet\.converged"', within_s=20)
            port = next(e["port"] for e in events(program) if e["event"] == "router.listening")
            (specs / "users" / "alice.yaml").write_text(user("alice").replace("alice.ex", "art.ex"))
            commit = push(work)
            program.send(signal.SIGHUP)
            await wire.until(lambda: is_routed(port, "art.example.com"), within_s=5)
            await program.said(rf'"revision":\s*"{commit[:12]}"')
            (work / "origin.git").rename(work / "moved.git")
            program.send(signal.SIGHUP)
            await program.said(rf"cannot be fetched: .*revision {commit[:12]} stays in force")
            assert await is_routed(port, "art.example.com")
            (work / "moved.git").rename(work / "origin.git")
            program.send(signal.SIGHUP)
            await program.said(r'"source\.mended"')
            program.send(signal.SIGTERM)
            assert await program.ended(within_s=15) == 0
            said = "\n".join((*program.out, *program.err))
            assert not any(canary in said for canary in (*CANARIES, GIT_TOKEN))
    assert len(fly.world.apps) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give SPECS, a folder of YAML or one file, or else --git URL; one of the two"),
        (("{specs}", "--git", "file:///x"), "give SPECS, .* or else --git URL; one of the two"),
        (("{specs}", "--branch", "main"), "--branch goes with --git URL"),
        (("{specs}", "--path", "specs"), "--path goes with --git URL"),
        (("{specs}", "--poll", "30"), "--poll goes with --git URL"),
        (("--git", "https://u:canary-of-git@host/x"), "--git: no user or password in the URL"),
        (("--git", "file:///x", "--branch", "a b"), "--branch a b: git allows no branch of that name"),
        (("--git", "file:///x", "--path", "../x"), "--path ../x: it takes a folder in the repository"),
        (("--git", "file:///x", "--secret-env-prefix", ""), "--secret-env-prefix: .*whole environment"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wrong_flag_is_one_line(shell: Shell, specs: Path, arguments: tuple[str, ...], said: str) -> None:
    """Before anything is fetched."""
    told = shell("run", *(each.replace("{specs}", str(specs)) for each in arguments))
    assert told.code == Exit.ERROR
    assert re.search(said, told.complaint)
    assert GIT_TOKEN not in told.err


@pytest.mark.wire
def test_a_remote_that_is_not_there_at_the_start_is_told(shell: Shell, tmp_path: Path) -> None:
    """Without a fleet there is nothing to work for."""
    told = shell("run", "--git", f"file://{tmp_path}/nowhere.git")
    assert told.code == Exit.ERROR
    fetched, ended = told.err.splitlines()
    assert re.match(r"specs: cannot be fetched: git ls-remote: .*nowhere.git.*; nothing is known", fetched)
    assert "there is no Fleet document that holds" in ended
