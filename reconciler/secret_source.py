"""Looks up the values of secrets: in the environment, in files, or made from the root key.

Answers for reading only what the process was told to offer. Which names a document may give is checked
in `core.kinds`; it is checked here again, because a value once read cannot be unread.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.core.kinds import SecretSpec
from reconciler.core.secret import SecretText
from reconciler.core.spec import ENV_PREFIX

LARGEST_FILE_BYTES = 64 * 1024

Derive = Callable[[str, str], str]  # app name, secret name → value, always the same


class _NoValueError(Exception):
    """There is no value here; the text says why and never holds one."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one app's secrets, as far as they are known here."""

    known: Mapping[str, SecretText] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)  # name → why there is no value


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """What the process offers to documents."""

    environ: Mapping[str, str] = field(repr=False)
    env_prefix: str = ENV_PREFIX
    directory: Path | None = None  # --secrets-dir; None: no files are offered
    derive: Derive | None = field(default=None, repr=False)  # None: there is no root key here

    def values(self, names: Iterable[str], secrets: Mapping[str, SecretSpec], *, app_name: str) -> Values:
        """The values of `names` for one app; never fails: a name without a value comes with the reason."""
        known: dict[str, SecretText] = {}
        missing: dict[str, str] = {}
        for name in sorted(names):
            try:
                known[name] = SecretText(self._value(name, secrets[name], app_name))
            except _NoValueError as reason:
                missing[name] = str(reason)
        return Values(known, missing)

    def _value(self, name: str, spec: SecretSpec, app_name: str) -> str:
        source = spec.from_
        if source.env is not None:
            return _usable(self._from_environment(source.env), f"the variable {source.env}")
        if source.file is not None:
            return _usable(self._from_file(source.file), f"the file {source.file}")
        if self.derive is None:
            raise _NoValueError("it is derived from the root key, and there is none here")
        return self.derive(app_name, name)

    def _from_environment(self, variable: str) -> str:
        if not self.env_prefix or not variable.startswith(self.env_prefix):
            raise _NoValueError(f"the variable {variable} is not offered; set --secret-env-prefix")
        if variable not in self.environ:
            raise _NoValueError(f"the variable {variable} is not set here")
        return self.environ[variable]

    def _from_file(self, name: str) -> str:
        if self.directory is None:
            raise _NoValueError(f"the file {name} is not offered; set --secrets-dir")
        try:
            root = self.directory.resolve(strict=True)
            path = (root / name).resolve(strict=True)
            if not path.is_relative_to(root) or path == root:
                raise _NoValueError(f"the file {name} is outside the secrets folder")
            content = _read(path)
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop, before Python 3.13
            raise _NoValueError(f"the file {name} cannot be read: {_why(error)}") from None
        if len(content) > LARGEST_FILE_BYTES:
            raise _NoValueError(f"the file {name} is larger than {LARGEST_FILE_BYTES} bytes")
        try:
            text = content.decode()
        except UnicodeDecodeError:  # whose text would show the bytes
            raise _NoValueError(f"the file {name} is not UTF-8 text") from None
        return text.removesuffix("\n").removesuffix("\r")


def _read(path: Path) -> bytes:
    # The path has no links left. One put there since is refused, and a pipe does not block.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not an ordinary file")
        chunks: list[bytes] = []
        while sum(map(len, chunks)) <= LARGEST_FILE_BYTES and (chunk := os.read(descriptor, 65536)):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno != errno.ELOOP:
        return error.strerror or "it cannot be opened"
    if isinstance(error, ValueError):
        return "its name holds a NUL byte"
    return "its links lead in a circle"


def _usable(value: str, where: str) -> str:
    if not value:
        raise _NoValueError(f"{where} is empty")
    if "\0" in value:
        raise _NoValueError(f"{where} holds a NUL byte, which no environment variable can carry")
    try:
        value.encode()
    except UnicodeEncodeError:  # whose text would show a part; Python reads other bytes as half characters
        raise _NoValueError(f"{where} is not UTF-8 text") from None
    return value
