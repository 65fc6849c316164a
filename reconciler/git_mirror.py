"""A bare copy of one branch's last revision, made and read by `git`.

Answers for objects as git has them: nothing is checked out, and a copy that is damaged, or that a killed git
left locked, is made anew. What the files mean is `git_source`'s.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from reconciler.git_remote import GitRemote
from reconciler.git_tree import Entry

LONGEST_S = 300.0
ENDS_WITHIN_S = 5.0  # git, once told to
LONGEST_WORDS = 300


class GitError(Exception):
    """What git could not do; str() is one line that shows no secret."""


@dataclass(frozen=True, slots=True)
class Revision:
    """`tree` is the id of the documents' folder; "": there is no such folder."""

    commit: str
    tree: str


class GitMirror:
    """Below `folder`; may be used by several threads, one after the other."""

    def __init__(self, folder: Path, remote: GitRemote, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._remote = remote
        self._environment = remote.environment(environ)
        key = hashlib.sha256(f"{remote.url}\0{remote.branch}".encode()).hexdigest()[:16]
        self._ref = f"refs/reconciler/{key}"
        self._is_sound = True
        self._turn = threading.RLock()
        self._running: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    def fetch(self, path: str) -> Revision:
        """The branch as it is now, asked of the remote. Raises GitError."""
        with self._turn:
            tip = self._tip()
            if not (self._is_sound and self._have() == tip):
                self._bring()
            last = self.last(path)
            if last is None:
                raise GitError(f"git brought nothing of {self._remote}")
            return last

    def last(self, path: str) -> Revision | None:
        """What the last fetch brought, also in an earlier life of this process; None: nothing yet.

        Raises GitError.
        """
        with self._turn:
            commit = self._have()
            return None if commit is None else Revision(commit, self._tree(commit, path))

    def entries(self, tree: str) -> dict[str, Entry]:
        """All files below it, by path. Raises GitError."""
        with self._turn, self._suspecting():
            listed = self._git("ls-tree", "-r", "-z", "--long", "--full-tree", tree)
        entries = {}
        for line in listed.split(b"\0"):
            if line:
                what, _, path = line.partition(b"\t")
                mode, _, oid, size = what.decode("ascii").split()
                entries[os.fsdecode(path)] = Entry(mode, oid, int(size) if size.isdigit() else 0)
        return entries

    def blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The content of each, by one process for all. Raises GitError."""
        with self._turn, self._suspecting(), tempfile.TemporaryFile() as asked:
            asked.write("".join(f"{oid}\n" for oid in oids).encode("ascii"))
            if not asked.tell():
                return
            asked.seek(0)
            with self._started("cat-file", "--batch", stdin=asked.fileno()) as process:
                answers = process.stdout
                while answers is not None and (head := answers.readline()):
                    oid, kind, *size = head.decode("ascii", "replace").split()
                    content = answers.read(int(size[0])) if size else b""
                    if kind != "blob" or answers.read(1) != b"\n":
                        raise GitError(f"its copy lacks object {oid[:12]}; it is made anew")
                    yield oid, content

    def stop(self) -> None:
        """End what is under way, and begin nothing more."""
        self._is_stopped = True
        if (process := self._running) is not None:
            _end(process)

    def _tip(self) -> str:
        # Without a repository: a broken copy, or one that lies in somebody's clone, has no say in it.
        listed = self._git("ls-remote", "--quiet", self._remote.url, self._remote.ref, GIT_DIR=os.devnull)
        for line in listed.decode("utf-8", "replace").splitlines():
            commit, _, ref = line.partition("\t")
            if ref == self._remote.ref:
                return commit
        raise GitError(f"there is no branch {self._remote.branch} at {self._remote.url}")

    def _bring(self) -> None:
        if self._is_sound and (self._folder / "HEAD").exists():
            with self._suspecting():
                self._fetch_into(self._folder)
            return
        anew = self._folder.with_name(f"{self._folder.name}.new")
        try:
            shutil.rmtree(anew, ignore_errors=True)
            anew.mkdir(mode=0o700, parents=True)
            self._git("init", "--quiet", "--bare", "--template=", GIT_DIR=str(anew))
            self._fetch_into(anew)
            shutil.rmtree(self._folder, ignore_errors=True)
            anew.rename(self._folder)
        except OSError as error:
            raise GitError(f"its copy cannot be kept in {self._folder}: {error.strerror}") from None
        self._is_sound = True

    @contextlib.contextmanager
    def _suspecting(self) -> Iterator[None]:
        """Whatever fails here may lie in the copy: the next one is made from nothing."""
        try:
            yield
        except GitError:
            self._is_sound = False
            raise

    def _fetch_into(self, folder: Path) -> None:
        self._git(
            *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"),
            *("--no-write-fetch-head", self._remote.url, f"+{self._remote.ref}:{self._ref}"),
            GIT_DIR=str(folder),
        )

    def _have(self) -> str | None:
        if not (self._folder / "HEAD").exists():
            return None
        try:
            return self._git("rev-parse", "--verify", "--quiet", f"{self._ref}^{{commit}}").decode().strip()
        except GitError:
            return None

    def _tree(self, commit: str, path: str) -> str:
        with self._suspecting():
            if path == ".":
                return self._git("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()
            listed = self._git("ls-tree", "-z", "--full-tree", commit, "--", path)
        _, kind, oid = (*listed.partition(b"\t")[0].decode("ascii").split(), "", "", "")[:3]
        return oid if kind == "tree" else ""

    def _git(self, *words: str, **variables: str) -> bytes:
        with self._started(*words, variables=variables) as process:
            try:
                out, errors = process.communicate(timeout=LONGEST_S)
            except subprocess.TimeoutExpired:
                raise GitError(f"git {words[0]} did not end within {LONGEST_S:.0f} s") from None
        if process.returncode:
            raise GitError(self._why(words[0], errors.decode("utf-8", "replace")))
        return out

    @contextlib.contextmanager
    def _started(
        self,
        *words: str,
        variables: Mapping[str, str] = MappingProxyType({}),
        stdin: int = subprocess.DEVNULL,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """git for as long as the block, in a session of its own: it has no terminal to ask at."""
        if self._is_stopped:
            raise GitError("this process is ending")
        try:
            process = subprocess.Popen(  # noqa: S603 (words are ours or were checked; no shell)
                ["git", *self._remote.settings(), *words],  # noqa: S607 (found where the user's shell finds it)
                cwd=tempfile.gettempdir(),
                env={**self._environment, "GIT_DIR": str(self._folder), **variables},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if stdin == subprocess.DEVNULL else subprocess.DEVNULL,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise GitError("git is not installed here, which --git needs") from None
        except OSError as error:
            raise GitError(f"git cannot be started: {error.strerror}") from None
        self._running = process
        try:
            with process:
                try:
                    yield process
                finally:
                    _end(process)
        finally:
            self._running = None

    def _why(self, word: str, errors: str) -> str:
        """git's own words in one line, and the next step where they tell which."""
        if self._is_stopped:
            return "this process is ending"
        lines = [line.strip() for line in self._remote.redacted(errors).splitlines() if line.strip()]
        fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
        words = (fatal or lines or ["it says nothing"])[0][:LONGEST_WORDS]
        lower = errors.lower()
        if any(sign in lower for sign in ("could not read username", "authentication failed", "error: 403")):
            words += "; set RECONCILER_GIT_TOKEN, or have git's own credential helper know a token"
        elif "permission denied (publickey" in lower or "host key verification failed" in lower:
            words += "; give git a key and the host's own: GIT_SSH_COMMAND, or ~/.ssh"
        return f"git {word}: {words}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asked first, so that it takes its locks along."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDS_WITHIN_S)
