"""What every user app should be, as of the last source that could be read, and the values of its secrets.

Answers for the last good state: a document that stops holding keeps what it last said, for as long as this
process lives. Reading files is `source`'s, resolving `core.desired`'s, a secret's value `secret_source`'s.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.core import movement
from reconciler.core.apps import Apps
from reconciler.core.desired import DesiredApp, Resolver
from reconciler.core.keys import RootKey
from reconciler.core.kinds import FleetSpec, RouterSpec
from reconciler.core.row_set import RowSet
from reconciler.core.secret import SecretText
from reconciler.core.shrinking import shrunk
from reconciler.core.spec import FleetDoc, Specs
from reconciler.core.users import Users, users_of
from reconciler.secret_snapshot import SecretSnapshot
from reconciler.secret_source import SecretSource

Accepts = Callable[[str, frozenset[str]], bool]  # a set's name, users that it lost → that is meant

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


def _never(_name: str, _lost: frozenset[str]) -> bool:
    return False


class LastHosts(Mapping[str, tuple[str, ...]]):
    """The hosts of every user app that this process knew, as last known."""

    def __init__(self, apps: Mapping[str, DesiredApp], gone: Mapping[str, tuple[str, ...]]) -> None:
        self._apps = apps
        self._gone = gone

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self._apps[name].hosts if name in self._apps else self._gone[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._apps), **self._gone})

    def __len__(self) -> int:
        return len(self._apps.keys() | self._gone.keys())


class Intent:
    """The wanted fleet. `apps` and `specs` are replaced whole, so whoever holds one may keep it."""

    def __init__(self, *, secrets: SecretSource, root_key: RootKey | None) -> None:
        self._secrets = secrets
        self._root_key = root_key
        self.specs = Specs()
        self.kept: frozenset[str] = frozenset()  # of `apps`: their documents do not hold now
        self.missing_secrets: dict[str, str] = {}  # name → why there is no value of it here
        self.shrunk: Mapping[str, frozenset[str]] = {}  # refused set → the users that it lost
        self._apps: Apps | None = None
        self._snapshot: SecretSnapshot | None = None
        self._in_use: frozenset[str] = frozenset()  # secrets
        self._sets: dict[str, RowSet] = {}  # each as it was last taken
        self._gone_hosts: dict[str, tuple[str, ...]] = {}

    @property
    def apps(self) -> Mapping[str, DesiredApp]:
        """By document name; each is resolved when it is asked for."""
        return {} if self._apps is None else self._apps

    @property
    def last_hosts(self) -> LastHosts:
        """Also of documents that are gone."""
        return LastHosts(self.apps, self._gone_hosts)

    @property
    def fleet(self) -> FleetSpec:
        """Raises NotUsable before the first `take`."""
        if self.specs.fleet is None:
            raise NotUsable("there is no Fleet document that holds")
        return self.specs.fleet.spec

    @property
    def router(self) -> RouterSpec | None:
        return self.specs.router

    def take(self, specs: Specs, *, accepts: Accepts = _never) -> Change:
        """Want what `specs` say from now on, and the last good state of what they cannot say.

        A set that lost more rows than may be deleted within an hour says nothing either, unless somebody
        `accepts` that. Raises NotUsable, with everything kept as it was, when there is no fleet or it would
        be another one.
        """
        fleet = self._checked(specs.fleet)
        specs = replace(specs, fleet=fleet, router=_as_bound(specs.router, self.specs.router))
        specs = self._without_shrunk(specs, accepts)
        before = self._apps
        kept = {} if before is None else _kept(before, specs)
        resolver = Resolver(specs, key_id=self._root_key.kid if self._root_key else None)
        snapshot = SecretSnapshot(self._secrets, specs.secrets, self._root_key)
        after = Apps(resolver, snapshot.digest, kept)
        self._in_use = movement.secrets_in_use(specs)
        self.missing_secrets = snapshot.missing(self._in_use)
        moved = frozenset(movement.moved(before, after)) | self._given_anew(after, snapshot)
        vanished = frozenset(() if before is None else (name for name in before if name not in after))
        for name in vanished:
            self._gone_hosts[name] = before[name].hosts if before else ()
        self.specs, self._apps, self._snapshot = specs, after, snapshot
        self.kept = frozenset(kept)
        sets = {one.name: one for one in users_of(specs).sets}
        self._sets = sets if specs.complete else {**sets, **self._sets}
        return Change(moved, vanished)

    def changed_since(self, before: Specs) -> Change:
        """What is wanted now and was not by other documents of the same fleet, or the other way round."""
        after, snapshot = self._apps, self._snapshot
        if after is None or snapshot is None:
            return Change()
        earlier = Intent(secrets=self._secrets, root_key=self._root_key)
        if before.fleet is not None:
            earlier.take(before)
        moved = set(movement.moved(earlier._apps, after))
        if earlier._snapshot is not None:
            moved.update(movement.using(after, earlier._snapshot.differing(snapshot, self._in_use)))
        gone = earlier.apps.keys() - after.keys() - self.specs.broken
        return Change(frozenset(moved), frozenset(gone if self.specs.complete else ()))

    def look_at_secrets(self) -> Change:
        """Read the values of all secrets again: an edited file or variable moves the apps that use it."""
        if self._apps is None:
            return Change()
        snapshot = SecretSnapshot(self._secrets, self.specs.secrets, self._root_key)
        self.missing_secrets = snapshot.missing(self._in_use)
        moved = self._given_anew(self._apps, snapshot)
        if moved:
            self._apps, self._snapshot = self._apps.with_digest(snapshot.digest), snapshot
        return Change(moved)

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

    def _given_anew(self, apps: Apps, snapshot: SecretSnapshot) -> frozenset[str]:
        if self._snapshot is None:
            return frozenset()
        changed = self._snapshot.differing(snapshot, self._in_use)
        return frozenset(movement.using(apps, changed)) if changed else frozenset()

    def _without_shrunk(self, specs: Specs, accepts: Accepts) -> Specs:
        """`specs` without the sets that lost too many rows."""
        found = [
            one for one in shrunk(self._sets, specs, size=len(self.apps)) if not accepts(one.name, one.lost)
        ]
        self.shrunk = {one.name: one.lost for one in found}
        if not found:
            return specs
        users = users_of(specs)
        return replace(
            specs,
            users=Users(users.documents, [one for one in users.sets if one.name not in self.shrunk]),
            problems=(*specs.problems, *(one.problem for one in found)),
            complete=False,
            incomplete_because=(*specs.incomplete_because, *(one.because for one in found)),
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


def _kept(before: Apps, specs: Specs) -> dict[str, Apps]:
    """The user apps that `specs` cannot say, and who says what they should be."""
    if specs.complete:
        return {
            name: before.origin(name) for name in specs.broken if name in before and name not in specs.users
        }
    return {name: before.origin(name) for name in before if name not in specs.users}


def _as_bound(router: RouterSpec | None, before: RouterSpec | None) -> RouterSpec | None:
    """The new Router, but behind the doors and the proof that this process has opened with."""
    if router is None or before is None:
        return router or before
    return router.model_copy(update={"listeners": before.listeners, "auth": before.auth})
