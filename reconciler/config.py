"""What the process was told by flags and environment, checked once at the start.

Answers for taking tokens and root keys out of the environment, so that neither a child process nor a
document can read them. What a spec says is `core.spec`'s matter.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.age import AgeError, AgeIdentities
from reconciler.core.keys import RootKey
from reconciler.core.secret import SecretText

DEFAULT_API_URL = "https://api.machines.dev"
LAST_PORT = 65_535
PLAIN_HTTP_HOSTS = ("localhost", "127.0.0.1", "::1", "_api.internal")


class ConfigError(Exception):
    """A flag or a variable that cannot be used; str() is the one line to show."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What was found in the environment; tokens, root key and age identity are no longer there."""

    token: SecretText | None
    root_key: SecretText | None
    age_identity: SecretText | None
    org: str | None  # FLY_ORG: the only organisation that this process may work for
    offered: Mapping[str, str] = field(repr=False)  # everything else, for `from: {env: …}` behind its prefix
    git_token: SecretText | None = None


def take_environment(environ: MutableMapping[str, str]) -> Environment:
    """Read our variables and remove the secret ones from `environ`."""
    token = environ.pop("FLY_API_TOKEN", "").strip()
    root_key = environ.pop("RECONCILER_ROOT_KEY", "").strip()
    age_identity = environ.pop("RECONCILER_AGE_IDENTITY", "").strip()
    git_token = environ.pop("RECONCILER_GIT_TOKEN", "").strip()
    return Environment(
        token=SecretText(token) if token else None,
        root_key=SecretText(root_key) if root_key else None,
        age_identity=SecretText(age_identity) if age_identity else None,
        org=environ.get("FLY_ORG", "").strip() or None,
        offered=dict(environ),
        git_token=SecretText(git_token) if git_token else None,
    )


def api_url(environment: Environment) -> str:
    """FLY_API_HOSTNAME as a base URL. Without a scheme: https, or plain HTTP where the token crosses no
    open network. Raises ConfigError.
    """
    text = environment.offered.get("FLY_API_HOSTNAME", "").strip()
    if not text:
        return DEFAULT_API_URL
    try:
        if "://" not in text:
            host = urlsplit(f"//{text}").hostname
            text = f"{'http' if host in PLAIN_HTTP_HOSTS else 'https'}://{text}"
        url = urlsplit(text)
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        is_usable = is_usable and not any(c.isspace() for c in text)
        is_usable = is_usable and not (url.path.strip("/") or url.query or url.fragment or "@" in url.netloc)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigError(
            "FLY_API_HOSTNAME: it takes a host or a base URL without path, as https://api.machines.dev"
        )
    return f"{url.scheme}://{url.netloc}"


def read_root_key(environment: Environment, file: Path | None) -> RootKey | None:
    """The root key from `file` (the flag wins) or RECONCILER_ROOT_KEY; None when neither is given."""
    if file is None:
        text, where = environment.root_key, "RECONCILER_ROOT_KEY"
    else:
        where = f"--root-key-file {file}"
        try:
            text = SecretText(file.read_text(encoding="ascii").strip())
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"{where}: {why}; give a file that holds 64 hex digits") from None
    if text is None:
        return None
    try:
        return RootKey(text.reveal())
    except ValueError:
        raise ConfigError(
            f"{where}: not a root key; it takes 64 hex digits, as `openssl rand -hex 32` prints"
        ) from None


def read_age_identities(environment: Environment, file: Path | None) -> AgeIdentities | None:
    """From `file` (the flag wins) or RECONCILER_AGE_IDENTITY; None when neither is given."""
    if file is None:
        text, where = environment.age_identity, "RECONCILER_AGE_IDENTITY"
    else:
        where = f"--age-identity-file {file}"
        try:
            text = SecretText(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"{where}: {why}; give a file as age-keygen writes it") from None
    if text is None:
        return None
    try:
        return AgeIdentities(text.reveal())
    except AgeError as error:
        raise ConfigError(f"{where}: {error}") from None


def listen_overrides(texts: Iterable[str]) -> dict[str, tuple[str, int]]:
    """`NAME=HOST:PORT` flags by listener name; port 0 asks for a free one. Raises ConfigError."""
    overrides: dict[str, tuple[str, int]] = {}
    for text in texts:
        name, _, address = text.partition("=")
        host, _, port = address.rpartition(":")
        if not (name and host and port.isascii() and port.isdigit() and int(port) <= LAST_PORT):
            raise ConfigError(f"--listen {text}: it takes NAME=HOST:PORT, as public=127.0.0.1:8080")
        if name in overrides:
            raise ConfigError(f"--listen {text}: {name} is given twice")
        overrides[name] = (host.strip("[]"), int(port))
    return overrides
