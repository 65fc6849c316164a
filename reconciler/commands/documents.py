"""Where `run` has its documents from: a folder, or a branch of a git repository."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from reconciler.config import ConfigError, Environment
from reconciler.core.spec import Specs
from reconciler.git_mirror import GitMirror
from reconciler.git_remote import folder_in, git_remote
from reconciler.git_source import GitSource
from reconciler.session import Followed, GitOptions, Options, check_prefix, read_source
from reconciler.source import Source

MIRROR = "specs.git"  # below --state


@dataclass(frozen=True, slots=True)
class Documents:
    """Read once. `again` reads them apart from `source`, so that neither misses what the other has seen."""

    source: Followed
    specs: Specs
    again: Callable[[], Specs]
    nudge: Callable[[], None] | None = None  # look now; None: it needs no telling
    end: Callable[[], None] = lambda: None  # whatever is under way, so that nobody waits for it


@contextlib.contextmanager
def documents(options: Options, environment: Environment, state: Path | None) -> Iterator[Documents]:
    """For as long as the block. Raises ConfigError."""
    if options.git is None:
        source, specs = read_source(options.specs, secret_env_prefix=options.secret_env_prefix)
        yield Documents(source, specs, Source(options.specs, env_prefix=options.secret_env_prefix).read)
        return
    check_prefix(options.secret_env_prefix)
    with contextlib.ExitStack() as stack:
        mirror = _mirror(options.git, environment, state, stack)
        follower, witness = (
            GitSource(
                mirror,
                path=folder_in(options.git.path),
                env_prefix=options.secret_env_prefix,
                random=Random(secrets.randbits(64)),  # noqa: S311 - jitter, not a secret
                poll_s=options.git.poll_s,
            )
            for _ in range(2)
        )
        yield Documents(follower, follower.read(), witness.read, follower.nudge, mirror.stop)


def _mirror(
    git: GitOptions, environment: Environment, state: Path | None, stack: contextlib.ExitStack
) -> GitMirror:
    """Kept where the record is, so that a start while git is away has the last revision; else for now."""
    remote = git_remote(git.url, git.branch, environment.git_token)
    base = state or Path(stack.enter_context(TemporaryDirectory(prefix="reconciler-")))
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--state {base}: {error.strerror}; it must be a folder of your own") from None
    mirror = GitMirror(base.absolute() / MIRROR, remote, environment.offered)
    stack.callback(mirror.stop)
    return mirror
