"""Replays that an edge remembers, so that it need not ask the router again until they expire.

Answers for keeping, finding, invalidating and forgetting. It is an optimisation only: the edge may ask the
router at any time, and with `forgets` it does so by chance. Source: behaviour.md §3.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from localfly.proxy.cache_key import Place, Prefix, Session
from localfly.proxy.replay import Replay

MOST = 10_000  # entries; beyond that the oldest go
FORGETS = 0.5  # how likely a forgetful cache does not know what it kept

_Key = tuple[object, ...]  # app, public port and host; then a path prefix, or a session's rule and value


@dataclass(frozen=True, slots=True)
class Kept:
    """A remembered replay."""

    replay: Replay
    target: str  # app
    avoids: str | None  # the machine that answered with `elsewhere`
    expires_at: float
    allows_bypass: bool


class ReplayCache:
    """The cache of one edge; `seed` makes it forgetful, in the same way in every run."""

    def __init__(self, clock: Callable[[], float], *, seed: int | None = None) -> None:
        self.clock = clock
        self._chance = None if seed is None else random.Random(seed)  # noqa: S311 - chance, not a secret
        self._kept: dict[_Key, Kept] = {}

    def find(self, at: Place, session: Session | None) -> Kept | None:
        """What is remembered for a request: by the longest path prefix, else by its session."""
        key = next((key for key in _keys(at, session) if key in self._kept), None)
        if key is None:
            return None
        kept = self._kept[key]
        if kept.expires_at > self.clock() and not self._forgets():
            return kept
        del self._kept[key]
        return self.find(at, session)

    def keep_path(self, at: Place, prefix: Prefix, kept: Kept) -> None:
        """Remember a replay for the request's host and everything at or below the prefix."""
        self._keep((at.app, at.port, at.host, prefix.path), kept)

    def keep_session(self, at: Place, session: Session, kept: Kept) -> None:
        """Remember a replay for the request's host and the value of its cookie or header."""
        self._keep((at.app, at.port, at.host, *session), kept)

    def invalidate(self, at: Place, session: Session | None) -> None:
        """Forget everything, of both kinds, that a request like this one would find."""
        for key in _keys(at, session):
            self._kept.pop(key, None)

    def _keep(self, key: _Key, kept: Kept) -> None:
        self._kept.pop(key, None)  # so that it counts as the newest
        self._kept[key] = kept
        if len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def _forgets(self) -> bool:
        return self._chance is not None and self._chance.random() < FORGETS


def _keys(at: Place, session: Session | None) -> Iterator[_Key]:
    """What a request may be found by, best first."""
    for path in at.prefixes:
        yield at.app, at.port, at.host, path
    if session is not None:
        yield at.app, at.port, at.host, *session
