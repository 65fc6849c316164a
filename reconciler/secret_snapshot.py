"""The values that secrets had at one moment.

Answers for looking up each shared value once, however many user apps are given it. Where values come from is
`secret_source`'s.
"""

from collections.abc import Iterable, Mapping

from reconciler.core.desired import DesiredApp
from reconciler.core.keys import RootKey
from reconciler.core.kinds import SecretSpec
from reconciler.core.secret import SecretText
from reconciler.secret_source import SecretSource, Values


class SecretSnapshot:
    """Values are looked up when they are first asked for, and are the same ever after."""

    def __init__(
        self, source: SecretSource, documents: Mapping[str, SecretSpec], root_key: RootKey | None
    ) -> None:
        self._source = source
        self._documents = documents
        self._root_key = root_key
        self._shared: dict[str, Values] = {}
        self._digests: dict[tuple[str, ...], str | None] = {}  # of names whose values are everybody's

    def values(self, names: Iterable[str], *, app_name: str) -> Values:
        """The values of `names` for one app."""
        known: dict[str, SecretText] = {}
        missing: dict[str, str] = {}
        for name in names:
            found = self._of(name, app_name)
            known |= found.known
            missing |= found.missing
        return Values(known, missing)

    def digest(self, app: DesiredApp) -> str | None:
        """Over all that the app is given; None when a value is not known here."""
        names = app.secret_names
        if self._root_key is None:
            return None
        if any(map(self._is_derived, names)):
            return self._digest(self._root_key, app)
        if names not in self._digests:
            self._digests[names] = self._digest(self._root_key, app)
        return self._digests[names]

    def _digest(self, root_key: RootKey, app: DesiredApp) -> str | None:
        values = self.values(app.secret_names, app_name=app.app_name)
        return None if values.missing else root_key.digest(values.known)

    def missing(self, names: Iterable[str]) -> dict[str, str]:
        """Those of `names` without a value here, and why; nobody asks without a root key."""
        if self._root_key is None:
            return {}
        return {
            name: reason for each in sorted(names) for name, reason in self._of(each, "app").missing.items()
        }

    def differing(self, other: "SecretSnapshot", names: Iterable[str]) -> frozenset[str]:
        """Those of `names` whose values are not the same in `other`."""
        if self._root_key is None:
            return frozenset()
        return frozenset(name for name in names if self.state(name) != other.state(name))

    def state(self, name: str) -> str:
        """Another text when the value is another one; says nothing about it."""
        values = self._of(name, "app")
        if values.missing or self._root_key is None:
            return ""
        return self._root_key.digest(values.known)

    def _of(self, name: str, app_name: str) -> Values:
        if self._is_derived(name):
            return self._source.values([name], self._documents, app_name=app_name)
        if name not in self._shared:
            self._shared[name] = self._source.values([name], self._documents, app_name=app_name)
        return self._shared[name]

    def _is_derived(self, name: str) -> bool:
        """Whether it has another value for each app."""
        spec = self._documents.get(name)
        return spec is not None and spec.from_.derive is not None
