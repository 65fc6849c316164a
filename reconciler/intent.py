"""What every user app should be, as of the last source that could be read, and the values of its secrets.

Answers for the last good state: a document that stops holding keeps what it last said, for as long as this
process lives. Reading files is `source`'s, resolving `core.desired`'s, a secret's value `secret_source`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.core.desired import DesiredApp, resolve
from reconciler.core.keys import RootKey
from reconciler.core.kinds import FleetSpec, RouterSpec, SecretSpec
from reconciler.core.secret import SecretText
from reconciler.core.spec import FleetDoc, Specs
from reconciler.secret_source import SecretSource

FIXED_FIELDS = ("org", "installation", "app_name")  # of a Fleet: they say which apps are ours


class NotUsable(Exception):  # noqa: N818 - named by what was found
    """A source that says nothing usable as a whole; str() is one line."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a reading of the source, or of the secrets, changed; document names."""

    moved: frozenset[str] = frozenset()  # new ones, and those that should now be something else
    vanished: frozenset[str] = frozenset()  # complete sources only: the document is gone

    def __bool__(self) -> bool:
        return bool(self.moved or self.vanished)


class Intent:
    """The wanted fleet. `apps` and `specs` are replaced whole, so whoever holds one may keep it."""

    def __init__(self, *, secrets: SecretSource, root_key: RootKey | None) -> None:
        self._secrets = secrets
        self._root_key = root_key
        self.specs = Specs()
        self.apps: Mapping[str, DesiredApp] = {}  # by document name
        self.kept: frozenset[str] = frozenset()  # of `apps`: their documents do not hold now
        self.missing_secrets: dict[str, str] = {}  # name → why there is no value of it here
        self.last_hosts: dict[str, tuple[str, ...]] = {}  # also of documents that are gone

    @property
    def fleet(self) -> FleetSpec:
        """Raises NotUsable before the first `take`."""
        if self.specs.fleet is None:
            raise NotUsable("there is no Fleet document that holds")
        return self.specs.fleet.spec

    @property
    def router(self) -> RouterSpec | None:
        return self.specs.router

    def take(self, specs: Specs) -> Change:
        """Want what `specs` say from now on, and the last good state of what they cannot say.

        Raises NotUsable, with everything kept as it was, when there is no fleet or it would be another one.
        """
        fleet = self._checked(specs.fleet)
        specs = replace(specs, fleet=fleet, router=_as_bound(specs.router, self.specs.router))
        key_id = self._root_key.kid if self._root_key else None
        self.missing_secrets = {}
        apps = {
            name: self._with_digest(resolve(specs, name, secrets_digest=None, key_id=key_id), specs.secrets)
            for name in specs.users
        }
        kept = {
            name: app
            for name, app in self.apps.items()
            if name not in apps and (name in specs.broken or not specs.complete)
        }
        self.specs = specs
        return self._want({**apps, **kept}, kept=frozenset(kept))

    def look_at_secrets(self) -> Change:
        """Read the values of all secrets again: an edited file or variable moves the apps that use it."""
        self.missing_secrets = {}
        apps = {
            name: app if name in self.kept else self._with_digest(app, self.specs.secrets)
            for name, app in self.apps.items()
        }
        return self._want(apps, kept=self.kept)

    def values(self, app: DesiredApp) -> dict[str, SecretText]:
        """Every secret that `app` may be given: label, keys and its own, as far as known here."""
        values = {app.owner_label: SecretText(app.name)}
        if self._root_key is not None:
            keys = self._root_key.app_keys(app.app_name, app.key_names)
            values |= {name: SecretText(key) for name, key in keys.items()}
        known = [name for name in app.secret_names if name in self.specs.secrets]
        return {
            **values,
            **self._secrets.values(known, self.specs.secrets, app_name=app.app_name).known,
        }

    def _with_digest(self, app: DesiredApp, documents: Mapping[str, SecretSpec]) -> DesiredApp:
        """`app` with the digest that its secrets have now; without one when a value is not known here."""
        if self._root_key is None:
            return app
        values = self._secrets.values(app.secret_names, documents, app_name=app.app_name)
        self.missing_secrets |= values.missing
        digest = None if values.missing else self._root_key.digest(values.known)
        return app if digest == app.secrets_digest else replace(app, secrets_digest=digest)

    def _want(self, apps: dict[str, DesiredApp], *, kept: frozenset[str]) -> Change:
        before = self.apps
        self.apps, self.kept = dict(sorted(apps.items())), kept
        self.last_hosts |= {name: app.hosts for name, app in apps.items()}
        return Change(
            moved=frozenset(name for name, app in apps.items() if before.get(name) != app),
            vanished=frozenset(before.keys() - apps.keys()),
        )

    def _checked(self, fleet: FleetDoc | None) -> FleetDoc:
        before = self.specs.fleet
        if fleet is None:
            raise NotUsable(
                "there is no Fleet document that holds, so everything stays as it is"
                if before
                else "there is no Fleet document that holds, so there is nothing to work for"
            )
        if before is None:
            return fleet
        for field in FIXED_FIELDS:
            old, new = getattr(before.spec, field), getattr(fleet.spec, field)
            if old != new:
                raise NotUsable(
                    f"Fleet {fleet.name}: {field} was {old} and is now {new}; it cannot change, since that "
                    "would abandon every app, so everything stays as it is: put it back"
                )
        return fleet


def _as_bound(router: RouterSpec | None, before: RouterSpec | None) -> RouterSpec | None:
    """The new Router, but behind the doors and the proof that this process has opened with."""
    if router is None or before is None:
        return router or before
    return router.model_copy(update={"listeners": before.listeners, "auth": before.auth})
