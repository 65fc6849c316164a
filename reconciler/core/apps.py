"""Every wanted user app by name, each resolved when somebody asks for it.

Answers for a million of them in little room: only what was asked for lately is kept resolved.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from reconciler.core.desired import DesiredApp, Resolver

MOST_RESOLVED = 20_000  # kept at a time, about 2 KB each

Digest = Callable[[DesiredApp], str | None]


class Apps(Mapping[str, DesiredApp]):
    """Sorted by name, and never changed: whoever holds one may keep it."""

    def __init__(self, resolver: Resolver, digest: Digest, kept: Mapping[str, "Apps"]) -> None:
        """`kept`: by name, the earlier apps that still say what a user app should be."""
        self.resolver = resolver
        self.kept = kept
        self._digest = digest
        self._resolved: dict[str, DesiredApp] = {}

    def __getitem__(self, name: str) -> DesiredApp:
        found = self._resolved.get(name)
        if found is None:
            earlier = self.kept.get(name)
            found = self._own(name) if earlier is None else earlier[name]
            if len(self._resolved) >= MOST_RESOLVED:
                self._resolved.clear()
            self._resolved[name] = found
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.resolver.specs.users or name in self.kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self.resolver.specs.users) + len(self.kept)

    def with_digest(self, digest: Digest) -> "Apps":
        """The same apps after their secrets changed."""
        return Apps(self.resolver, digest, self.kept)

    def origin(self, name: str) -> "Apps":
        """The apps that say themselves what `name` should be: these, or the earlier ones it is kept from."""
        return self.kept.get(name, self)

    def _own(self, name: str) -> DesiredApp:
        app = self.resolver.app(name, secrets_digest=None)
        digest = self._digest(app)
        return app if digest is None else replace(app, secrets_digest=digest)

    @cached_property
    def _names(self) -> Sequence[str]:
        users = self.resolver.specs.users
        return sorted([*users, *self.kept]) if self.kept else list(users)
