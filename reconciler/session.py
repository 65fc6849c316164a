"""What a command works with: the documents, what they want, and the way to Fly.

Answers for checking all of it before anything is done. The environment and flags are read by `config`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from reconciler.config import (
    PLAIN_HTTP_HOSTS,
    ConfigError,
    Environment,
    api_url,
    read_age_identities,
    read_root_key,
)
from reconciler.core.keys import RootKey
from reconciler.core.secret import SecretText
from reconciler.core.spec import Specs
from reconciler.fly.client import FlyClient
from reconciler.fly.pace import Ceiling, Pace, Rates
from reconciler.intent import Intent
from reconciler.secret_file import unusable_folder
from reconciler.secret_source import SecretSource
from reconciler.source import Source

CONNECTIONS = 64


class PaceChoice(StrEnum):
    """Which rate limits are kept."""

    FLY = "fly"
    OFF = "off"


class Followed(Protocol):
    """Documents that tell when they changed."""

    def watch(self, stop: asyncio.Event) -> AsyncIterator[Specs]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOptions:
    """Where documents are that are in no folder here; nothing of it is checked yet."""

    url: str
    branch: str
    path: str
    poll_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The flags that every command with a Fly behind it takes."""

    specs: Path  # says nothing where there is `git`
    git: GitOptions | None = None
    root_key_file: Path | None
    secrets_dir: Path | None
    age_identity_file: Path | None = None
    secret_env_prefix: str
    pace: PaceChoice
    max_rate: float | None = None  # calls a second, all together


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Checked and complete; `intent` has taken the documents."""

    source: Followed
    intent: Intent
    root_key: RootKey | None
    _api_url: str
    _token: SecretText
    _pace: PaceChoice
    _max_rate: float | None

    @asynccontextmanager
    async def fly(self) -> AsyncIterator[FlyClient]:
        """A client for as long as the block. Raises ConfigError and FlyError."""
        async with self._http() as http:
            rates = Rates() if self._pace is PaceChoice.FLY else None
            ceiling = Ceiling(self._max_rate, CONNECTIONS)
            yield FlyClient(http, token=self._token.reveal(), pace=Pace(rates, ceiling))

    def _http(self) -> httpx.AsyncClient:
        from reconciler.fly.transport import Transport  # noqa: PLC0415 - slow, and few commands ask Fly

        is_here = urlsplit(self._api_url).hostname in PLAIN_HTTP_HOSTS
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        try:
            return httpx.AsyncClient(
                base_url=self._api_url,
                headers={"user-agent": "fly-reconciler"},
                limits=limits,
                trust_env=not is_here,  # a proxy in the environment leads out, not back to this host
                # Only httpx's own transport knows its way through a proxy.
                transport=Transport(limits=limits) if is_here or not getproxies() else None,
            )
        except (ImportError, OSError, ValueError, httpx.InvalidURL):  # whose texts may show a password
            raise ConfigError(
                "the variables for the way to Fly cannot be used: check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY "
                "and NO_PROXY (a proxy is http://HOST:PORT), and SSL_CERT_FILE and SSL_CERT_DIR"
            ) from None

    def require_root_key(self) -> None:
        """Raises ConfigError when replays must be proven and there is nothing to prove them with."""
        if self.root_key is None and self.intent.specs.auth != "none":
            raise ConfigError(
                f"the Router's auth is {self.intent.specs.auth}, which needs the root key: set "
                "RECONCILER_ROOT_KEY or --root-key-file; make one, once, with: openssl rand -hex 32"
            )


def read_source(
    specs: Path, *, secret_env_prefix: str, progress: Callable[[int, int], None] | None = None
) -> tuple[Source, Specs]:
    """The documents and where they came from. Raises ConfigError."""
    check_prefix(secret_env_prefix)
    source = Source(specs, env_prefix=secret_env_prefix)
    return source, source.read(progress)


def check_prefix(secret_env_prefix: str) -> None:
    """Raises ConfigError."""
    if not secret_env_prefix:
        raise ConfigError("--secret-env-prefix: an empty one would offer the whole environment to documents")


def begin(options: Options, environment: Environment, *, source: Followed, specs: Specs) -> Session:
    """Put everything together; asks nothing of Fly. Raises ConfigError and NotUsable."""
    root_key = read_root_key(environment, options.root_key_file)
    identities = read_age_identities(environment, options.age_identity_file)
    if options.secrets_dir is not None and (why := unusable_folder(options.secrets_dir)):
        raise ConfigError(f"--secrets-dir {options.secrets_dir}: {why}")
    url = api_url(environment)
    intent = Intent(
        secrets=SecretSource(
            environ=environment.offered,
            env_prefix=options.secret_env_prefix,
            directory=options.secrets_dir,
            derive=root_key.derive if root_key else None,
            decrypt=identities.decrypt if identities else None,
        ),
        root_key=root_key,
    )
    intent.take(specs)
    if environment.token is None:
        raise ConfigError("FLY_API_TOKEN is not set; make one with: fly tokens create org")
    if environment.org not in (None, intent.fleet.org):
        raise ConfigError(
            f"FLY_ORG is {environment.org}, and the Fleet document says {intent.fleet.org}; "
            "one of them is meant for somewhere else"
        )
    return Session(
        source=source,
        intent=intent,
        root_key=root_key,
        _api_url=url,
        _token=environment.token,
        _pace=options.pace,
        _max_rate=options.max_rate,
    )
