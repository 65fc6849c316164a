"""One request's dealings with the replay cache: what it finds, what of it is kept, what it invalidates.

Answers for who may have a replay remembered or invalidated, and why one is not. Keeping is `cache`'s.
Source: behaviour.md §3.
"""

from localfly.proxy.cache import Kept, ReplayCache
from localfly.proxy.cache_key import Place, Session, parse
from localfly.proxy.header import Headers
from localfly.proxy.replay import Replay
from localfly.proxy.select import Candidate


class Recall:
    """For one request; `status` is what the target of a fresh replay hears."""

    def __init__(self, cache: ReplayCache, at: Place, session: Session | None, headers: Headers) -> None:
        self.status = b"miss"
        self._cache = cache
        self._at = at
        self._session = session
        self._skips = (b"fly-replay-cache-control", b"skip") in headers

    def find(self) -> Kept | None:
        """The replay that is remembered, unless the client skips it and may."""
        kept = self._cache.find(self._at, self._session)
        if kept is not None and self._skips and kept.allows_bypass:
            self.status = b"bypass"
            return None
        return kept

    def judge(self, replay: Replay, issuer: Candidate) -> tuple[bool, str | None]:
        """Whether a replay just answered is to be kept once its target is reached, and a complaint.

        A target's replay back to the app of the door, with the word for it, invalidates at once.
        """
        wish, is_of_the_door = replay.cache, issuer.app.name == self._at.app
        if wish and wish.invalidates:
            if not is_of_the_door and replay.app == self._at.app:
                self.forget()
                return False, None
            return False, f"nothing is invalidated: only a target can, by a replay to {self._at.app}"
        if wish is None and (self._session is None or not is_of_the_door):
            return False, None
        if self.status == b"bypass":
            return False, None
        why = self._flaw(replay) if is_of_the_door else f"app {self._at.app} is asked first, and only it can"
        return why is None, why and f"the replay is not cached: {why}"

    def keep(self, replay: Replay, *, target: str, avoids: str | None) -> None:
        """Remember a replay whose target was reached."""
        if replay.cache is not None:
            prefix = parse(replay.cache.pattern)
            if prefix is not None:
                ttl_s, allows = replay.cache.ttl_s, replay.cache.allows_bypass
                self._cache.keep_path(self._at, prefix, self._kept(replay, target, avoids, ttl_s, allows))
        elif self._session is not None:
            ttl_s, allows = self._session[0].ttl_s, self._session[0].allows_bypass
            kept = self._kept(replay, target, avoids, ttl_s, allows)
            self._cache.keep_session(self._at, self._session, kept)

    def forget(self) -> None:
        """Drop what this request found or would find."""
        self._cache.invalidate(self._at, self._session)

    def _kept(self, replay: Replay, target: str, avoids: str | None, ttl_s: float, allows: bool) -> Kept:
        return Kept(replay, target, avoids, self._cache.clock() + ttl_s, allows)

    def _flaw(self, replay: Replay) -> str | None:
        if replay.uncacheable:
            return f"{', '.join(replay.uncacheable)} excludes it"
        if replay.cache is None:
            return None
        if replay.cache.flaw:
            return replay.cache.flaw
        prefix = parse(replay.cache.pattern)
        if prefix is None:
            return "its pattern is not of the form [HOST]/PATH[/*]"
        return None if prefix.covers(self._at) else "its pattern does not match the request"
