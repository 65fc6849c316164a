"""`git` itself against repositories on this computer: what is fetched, what is refused, what never shows."""

import base64
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest

from reconciler.config import ConfigError
from reconciler.core.secret import SecretText
from reconciler.core.spec import Specs
from reconciler.git_mirror import GitError, GitMirror
from reconciler.git_remote import folder_in, git_remote
from reconciler.git_source import GitSource
from reconciler.source import Source
from tests.core import sample
from tests.git_objects import git

TOKEN = "canary-of-git"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A clone with a fleet of two, pushed to `origin.git` beside it."""
    folder = tmp_path / "work"
    (folder / "specs" / "users").mkdir(parents=True)
    git(folder, "init")
    git(tmp_path, "init", "--bare", "origin.git")
    git(folder, "remote", "add", "origin", str(tmp_path / "origin.git"))
    (folder / "specs" / "base.yaml").write_text(sample.BASE)
    for name in ("alice", "bob"):
        (folder / "specs" / "users" / f"{name}.yaml").write_text(sample.user(name))
    push(folder)
    return folder


def push(work: Path) -> str:
    git(work, "add", "--all")
    git(work, "commit", "--allow-empty", "--message", "m")
    git(work, "push", "--force", "origin", "HEAD:main")
    return git(work, "rev-parse", "HEAD")


def mirror(work: Path, url: str = "", *, branch: str = "main", token: str = "") -> GitMirror:
    remote = git_remote(
        url or f"file://{work.parent}/origin.git", branch, SecretText(token) if token else None
    )
    return GitMirror(work.parent / "state" / "specs.git", remote, os.environ)


def source(objects: GitMirror) -> GitSource:
    return GitSource(objects, path="specs", random=Random(1))  # noqa: S311 - jitter, not a secret


def lines(specs: Specs) -> list[str]:
    return [str(problem) for problem in specs.problems]


@pytest.mark.wire
def test_a_branch_is_read_as_the_folder_that_was_committed(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its links, its broken documents, and names that are no ASCII; no work tree, no checkout."""
    users = work / "specs" / "users"
    (users / "again.yaml").symlink_to("bob.yaml")
    (users / "folder").symlink_to("..")
    (users / "zoë ö.yaml").write_text(sample.user("carol", more="  x: 1\n"))
    commit = push(work)
    specs = source(mirror(work)).read()
    monkeypatch.chdir(work)
    assert specs == Source("specs").read()
    assert lines(specs)[0].startswith("specs/users/zoë ö.yaml:6:3: spec.x: unknown field")
    assert commit.startswith(specs.revision)
    assert not list((work.parent / "state").rglob("*.yaml"))


@pytest.mark.wire
def test_a_branch_that_was_rewritten_or_begun_anew_is_followed(work: Path) -> None:
    """Content decides: back to an earlier commit, and to a history without any commit of the old one."""
    followed = source(mirror(work))
    first = followed.read()
    (work / "specs" / "users" / "carol.yaml").write_text(sample.user("carol"))
    push(work)
    assert list(followed.read().users) == ["alice", "bob", "carol"]
    git(work, "reset", "--hard", "HEAD~1")
    git(work, "push", "--force", "origin", "HEAD:main")
    assert followed.read() == first
    git(work, "checkout", "--orphan", "other")
    (work / "specs" / "users" / "alice.yaml").unlink()
    push(work)
    specs = followed.read()
    assert list(specs.users) == ["bob"]
    assert specs.complete


@pytest.mark.wire
def test_a_branch_that_is_gone_leaves_the_last_revision(work: Path) -> None:
    """And a restart meanwhile has it from its copy; one without a copy has nothing."""
    followed = source(mirror(work))
    first = followed.read()
    git(work, "push", "origin", "HEAD:refs/heads/kept")
    git(work.parent / "origin.git", "update-ref", "-d", "refs/heads/main")
    specs = followed.read()
    assert specs.users == first.users
    assert not specs.complete
    url = f"file://{work.parent}/origin.git"
    assert lines(specs) == [
        f"specs: cannot be fetched: there is no branch main at {url}; "
        f"revision {first.revision} stays in force [unreadable]"
    ]
    assert source(mirror(work)).read() == specs
    assert source(mirror(work, branch="gone")).read().fleet is None
    git(work, "push", "origin", "HEAD:main")
    assert followed.read() == first


@pytest.mark.wire
@pytest.mark.parametrize("damage", ["locked", "objects", "HEAD"])
def test_a_copy_that_is_damaged_or_locked_is_made_anew(work: Path, damage: str) -> None:
    """Whatever a crash left behind costs one attempt."""
    source(mirror(work)).read()
    copy = work.parent / "state" / "specs.git"
    (work / "specs" / "users" / "carol.yaml").write_text(sample.user("carol"))
    push(work)
    if damage == "locked":
        (copy / "shallow.lock").touch()
    elif damage == "objects":
        for path in copy.rglob("objects/*/*"):
            path.chmod(0o600)
            path.write_bytes(b"")
    else:
        (copy / "HEAD").write_text("nothing")
    followed = source(mirror(work))
    followed.read()
    specs = followed.read()
    assert lines(specs) == []
    assert list(specs.users) == ["alice", "bob", "carol"]


@pytest.mark.wire
def test_a_submodule_is_not_followed(work: Path) -> None:
    """Nothing of another repository is fetched, and what it may hold is not taken for gone."""
    head = git(work, "rev-parse", "HEAD")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{head},specs/more")
    git(work, "commit", "--message", "m")
    git(work, "push", "origin", "HEAD:main")
    specs = source(mirror(work)).read()
    (line,) = lines(specs)
    assert line.startswith("specs/more: cannot be read: it is a submodule")
    assert list(specs.users) == ["alice", "bob"]
    assert not specs.complete


@pytest.mark.wire
def test_a_remote_that_never_answers_holds_up_no_end(work: Path) -> None:
    """git is ended with what it was doing, and nothing more is begun."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as pool:
        held_up = mirror(work, f"http://127.0.0.1:{silent.getsockname()[1]}/x.git")
        fetching = pool.submit(held_up.fetch, "specs")
        connection, _ = silent.accept()
        with connection:
            held_up.stop()
            with pytest.raises(GitError, match="this process is ending"):
                fetching.result(timeout=5)
        with pytest.raises(GitError, match="this process is ending"):
            held_up.fetch("specs")


class Smart(BaseHTTPRequestHandler):
    """git's own `http-backend`, behind a password."""

    origin: Path
    seen: list[str]

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["content-length"])))

    def _answer(self, body: bytes) -> None:
        given = self.headers.get("authorization", "")
        self.seen.append(base64.b64decode(given.removeprefix("Basic ")).decode())
        if not given.endswith(base64.b64encode(f"bot:{TOKEN}".encode()).decode()):
            self.send_response(401)
            self.send_header("www-authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": str(self.origin),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "bot",
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, check=True, env=variables
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        self.send_response(next((int(value[:3]) for name, value in fields if name == "Status"), 200))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Nobody reads it."""


@contextmanager
def served(work: Path) -> Iterator[tuple[str, list[str]]]:
    """The repository over HTTP: its URL, and who said to be who."""

    class Handler(Smart):
        origin = work.parent
        seen: list[str] = []  # noqa: RUF012 (of the class: each request is another object)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/origin.git", Handler.seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.wire
def test_a_token_opens_the_door_and_shows_nowhere(work: Path) -> None:
    """It goes to the URL's host, and stands neither in the copy nor in a message."""
    with served(work) as (url, seen):
        specs = source(mirror(work, url, token=f"bot:{TOKEN}")).read()
        assert list(specs.users) == ["alice", "bob"]
        assert lines(specs) == []
        assert f"bot:{TOKEN}" in seen
        for path in (work.parent / "state").rglob("*"):
            assert path.is_dir() or TOKEN.encode() not in path.read_bytes()
        refused = mirror(work, url, token=f"wrong-{TOKEN}")
        with pytest.raises(GitError) as error:
            refused.fetch("specs")
        assert f"x-access-token:wrong-{TOKEN}" in seen
        assert "Authentication failed" in str(error.value)
        assert "RECONCILER_GIT_TOKEN" in str(error.value)
        assert TOKEN not in str(error.value)
        with pytest.raises(GitError, match="RECONCILER_GIT_TOKEN"):
            mirror(work, url).fetch("specs")


def test_a_token_stands_in_no_argument_and_goes_to_no_other_host() -> None:
    """git gets it as a variable, for the URL's host alone; where a key opens the door, not at all."""
    remote = git_remote("https://git.example.com:8443/fleet", "main", SecretText(TOKEN))
    flags = " ".join(remote.settings())
    assert TOKEN not in flags
    assert "credential.https://git.example.com:8443.helper=" in flags
    assert TOKEN in remote.environment({}).values()
    assert TOKEN not in repr(remote)
    by_key = git_remote("git@git.example.com:fleet", "main", SecretText(TOKEN))
    assert TOKEN not in by_key.environment({}).values()
    assert "FLEET_SECRET_X" not in by_key.environment({"FLEET_SECRET_X": "1", "PATH": "/bin"})


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/acme/fleet.git",
        "https://git.example.com:8443/acme/fleet",
        "ssh://git@git.example.com:2222/acme/fleet.git",
        "git@git.example.com:acme/fleet.git",
        "file:///srv/git/fleet.git",
        "http://127.0.0.1:8080/fleet.git",
    ],
)
def test_a_url_that_leads_somewhere_is_taken_as_it_is(url: str) -> None:
    assert str(git_remote(url, "main", None)) == f"{url} main"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://bot:canary@git.example.com/fleet", "no user or password in the URL"),
        ("https://canary@git.example.com/fleet", "no user or password in the URL"),
        ("ssh://git:canary@git.example.com/fleet", "no user or password in the URL"),
        ("http://git.example.com/fleet", "plain http leads to this host alone"),
        ("git://git.example.com/fleet", "it takes https://"),
        ("ext::sh -c canary", "it takes https://"),
        ("ext::canary", "it takes https://"),
        ("--upload-pack=canary", "it takes https://"),
        ("-oProxyCommand=canary:x", "it takes https://"),
        ("ssh://-oProxyCommand=canary/x", "it takes https://"),
        ("https://git.example.com/fleet?canary=1", "it takes https://"),
        ("https://git.example.com/fle et", "it takes https://"),
        ("https://git.example.com:canary/fleet", "it takes https://"),
        ("file://host/canary", "it takes https://"),
        ("../canary", "it takes https://"),
        ("", "it takes https://"),
    ],
)
def test_any_other_url_is_refused_without_being_repeated(url: str, why: str) -> None:
    """A transport that runs a command, one that anybody can write to, a password that all can read."""
    with pytest.raises(ConfigError, match=why) as refused:
        git_remote(url, "main", None)
    assert str(refused.value).startswith("--git: ")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "branch", ["", "-x", "a b", "a..b", "a:b", "*", "x.lock", "a//b", ".a", "a/", "a@{1}", "a\n"]
)
def test_a_branch_that_git_would_not_have_is_refused(branch: str) -> None:
    with pytest.raises(ConfigError, match="--branch"):
        git_remote("https://git.example.com/fleet", branch, None)


def test_a_folder_is_named_as_git_names_it() -> None:
    """And never one outside."""
    named = {text: folder_in(text) for text in ("specs", "specs/", "./a//b", ".", "")}
    assert named == {"specs": "specs", "specs/": "specs", "./a//b": "a/b", ".": ".", "": "."}
    for text in ("/etc", "..", "a/../..", "a\nb"):
        with pytest.raises(ConfigError, match="--path"):
            folder_in(text)
