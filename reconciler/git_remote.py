"""Which repository and branch, and how git may speak to it.

Answers for what a URL may be, and for a token that goes to its host alone and shows nowhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from reconciler.config import PLAIN_HTTP_HOSTS, ConfigError
from reconciler.core.secret import SecretText
from reconciler.git_environment import QUIET, git_environment

EXPECTED = (
    "--git: it takes https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH; plain http "
    "leads to this host alone"
)
DEFAULT_USER = (
    "x-access-token"  # GitHub's; others take any word, or say which: RECONCILER_GIT_TOKEN=user:token
)
_LIKE_SCP = re.compile(r"(?:[A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9][\w.-]*:(?!/?/)[\w./~+-]+", re.ASCII)
_REACHING = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_SSL_CAINFO")
_WAYS = ("https_proxy", "http_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")
# One that answers from the environment: what is in it stands in no argument, log or file.
_HELPER = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" '
    '"$RECONCILER_GIT_USER" "$RECONCILER_GIT_PASSWORD"; }; f'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRemote:
    """Checked; `url` holds no secret and may be shown."""

    url: str
    branch: str
    token: SecretText | None = None

    def __str__(self) -> str:
        return f"{self.url} {self.branch}"

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0] if "://" in self.url else "ssh"

    def settings(self) -> tuple[str, ...]:
        """Flags of git before its command."""
        flags = [
            *QUIET,
            *("-c", "fetch.recurseSubmodules=false"),
            *("-c", "fetch.unpackLimit=1000"),
            *("-c", "transfer.fsckObjects=true"),
            *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60"),
            *("-c", "gc.autoDetach=false", "-c", "gc.pruneExpire=1.day.ago"),
        ]
        if self._takes_token:
            base = "{0.scheme}://{0.netloc}".format(urlsplit(self.url))
            flags += ["-c", "credential.helper=", "-c", f"credential.{base}.helper={_HELPER}"]
        return tuple(flags)

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """All variables of git's process; it may speak the URL's own protocol and no other."""
        ways = (*_REACHING, *_WAYS, *(name.upper() for name in _WAYS))
        out = {
            **git_environment(environ),
            **{name: environ[name] for name in ways if name in environ},
            "GIT_ALLOW_PROTOCOL": self.scheme,
        }
        if self.token is not None and self._takes_token:
            user, colon, password = self.token.reveal().partition(":")
            out["RECONCILER_GIT_USER"] = user if colon else DEFAULT_USER
            out["RECONCILER_GIT_PASSWORD"] = password if colon else user
        return out

    def redacted(self, text: str) -> str:
        """A text of git's without what nobody is to read: the token, and who stands before an @ in a URL."""
        if self.token is not None:
            for secret in {self.token.reveal(), self.token.reveal().partition(":")[2]} - {""}:
                text = text.replace(secret, "***")
        return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)

    @property
    def _takes_token(self) -> bool:
        return self.token is not None and self.scheme in ("http", "https")


def git_remote(url: str, branch: str, token: SecretText | None) -> GitRemote:
    """What --git and --branch say. Raises ConfigError; a URL that may hold a password is not repeated."""
    if any(not letter.isprintable() or letter.isspace() for letter in url):
        raise ConfigError(EXPECTED)
    if "://" not in url:
        if not _LIKE_SCP.fullmatch(url):
            raise ConfigError(EXPECTED)
    else:
        _check(url)
    if not _is_branch(branch):
        raise ConfigError(f"--branch {branch}: git allows no branch of that name")
    if token is not None and any(letter.isspace() or not letter.isprintable() for letter in token.reveal()):
        raise ConfigError("RECONCILER_GIT_TOKEN: it takes a token, or user:token, without blanks")
    return GitRemote(url=url, branch=branch, token=token)


def folder_in(text: str) -> str:
    """What --path says, as git names it; "." is the whole repository. Raises ConfigError."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or any(not letter.isprintable() for letter in text):
        raise ConfigError(f"--path {text}: it takes a folder in the repository, as specs")
    return "/".join(parts) or "."


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, user, password, _ = parts.hostname, parts.username, parts.password, parts.port
    except ValueError:
        raise ConfigError(EXPECTED) from None
    is_web = parts.scheme in ("http", "https")
    if password is not None or (is_web and user is not None):
        raise ConfigError(
            "--git: no user or password in the URL, which lists of processes show; "
            "set RECONCILER_GIT_TOKEN to the token, or to user:token"
        )
    is_known = parts.scheme in ("https", "ssh") or (parts.scheme == "http" and host in PLAIN_HTTP_HOSTS)
    is_reachable = bool(host) and not (host or "").startswith("-") and is_known
    is_file = parts.scheme == "file" and not parts.netloc
    if not (is_reachable or is_file) or parts.query or parts.fragment or not parts.path.strip("/"):
        raise ConfigError(EXPECTED)
    if user is not None and user.startswith("-"):
        raise ConfigError(EXPECTED)


def _is_branch(name: str) -> bool:
    """git's own rules for the name of a branch."""
    if not name or name.startswith(("-", "/")) or name.endswith(("/", ".")) or "@{" in name or ".." in name:
        return False
    if any(not letter.isprintable() or letter in " ~^:?*[\\" for letter in name):
        return False
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))
