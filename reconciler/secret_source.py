"""Looks up the values of secrets: in the environment, in files, in age ciphertext, or made from the root key.

Answers for reading only what the process was told to offer. Which names a document may give is checked
in `core.kinds`; it is checked here again, because a value once read cannot be unread.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.age import AgeError
from reconciler.core.kinds import SecretSpec
from reconciler.core.secret import SecretText, fault_in
from reconciler.core.spec import ENV_PREFIX
from reconciler.secret_file import SecretFileError, read_below

Derive = Callable[[str, str], str]  # app name, secret name → value, always the same


class _NoValueError(Exception):
    """There is no value here; the text says why and never holds one."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one app's secrets, as far as they are known here; generated ones are known to nobody."""

    known: Mapping[str, SecretText] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)  # name → why there is no value


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """What the process offers to documents."""

    environ: Mapping[str, str] = field(repr=False)
    env_prefix: str = ENV_PREFIX
    directory: Path | None = None  # --secrets-dir; None: no files are offered
    derive: Derive | None = field(default=None, repr=False)  # None: there is no root key here
    decrypt: Callable[[str], str] | None = field(default=None, repr=False)  # None: no age identity; AgeError

    def values(self, names: Iterable[str], secrets: Mapping[str, SecretSpec], *, app_name: str) -> Values:
        """The values of `names` for one app; never fails: a name without a value comes with the reason."""
        known: dict[str, SecretText] = {}
        missing: dict[str, str] = {}
        for name in sorted(names):
            spec = secrets.get(name)
            if spec is None:
                missing[name] = "its Secret document does not hold"
            elif spec.from_.generate is None:
                try:
                    known[name] = SecretText(self._value(name, spec, app_name))
                except _NoValueError as reason:
                    missing[name] = str(reason)
        return Values(known, missing)

    def _value(self, name: str, spec: SecretSpec, app_name: str) -> str:
        source = spec.from_
        if source.env is not None:
            return _usable(self._from_environment(source.env), f"the variable {source.env}")
        if source.file is not None:
            return _usable(self._from_file(source.file), "its file")
        if source.age is not None:
            return _usable(self._from_ciphertext(source.age), "what is encrypted")
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
            raise _NoValueError("its file is not offered; set --secrets-dir")
        try:
            text = read_below(self.directory, name).decode()
        except SecretFileError as reason:
            raise _NoValueError(f"its file {reason}") from None
        except UnicodeDecodeError:  # whose text would show the bytes
            raise _NoValueError("its file is not UTF-8 text") from None
        return text.removesuffix("\n").removesuffix("\r")

    def _from_ciphertext(self, armored: str) -> str:
        if self.decrypt is None:
            raise _NoValueError("it is encrypted, and there is no identity here; set --age-identity-file")
        try:
            return self.decrypt(armored)
        except AgeError as reason:
            raise _NoValueError(str(reason)) from None


def _usable(value: str, where: str) -> str:
    if fault := fault_in(value):
        raise _NoValueError(f"{where} {fault}")
    return value
