"""One delivery of a request: to whom it may go, what it carries, and which delivery follows it.

Answers for what a replay, a remembered replay, a client's steering and a fallback make of the next delivery.
Pure: connecting is `reach`'s, sending `exchange`'s.
"""

from dataclasses import dataclass, replace

from localfly.proxy import fallback
from localfly.proxy.cache import Kept
from localfly.proxy.header import NOTHING, Hop
from localfly.proxy.reach import Unreached, Wanted
from localfly.proxy.replay import Replay, source
from localfly.proxy.select import Candidate
from localfly.proxy.steering import Steering
from localfly.proxy.transform import Transform
from localfly.world import App


@dataclass(frozen=True, slots=True)
class Leg:
    """One delivery; times in unix seconds on the world's clock."""

    wanted: Wanted  # by the app at hand, until `target` is known to exist
    hop: Hop = NOTHING
    target: str | None = None  # the app that a replay names
    replay: Replay | None = None
    issuer: Candidate | None = None  # the machine that answered with the replay
    begun_at: float = 0.0
    is_remembered: bool = False
    is_to_be_kept: bool = False
    is_fallback: bool = False

    @property
    def transform(self) -> Transform:
        """What this delivery changes about the client's request."""
        return (self.replay and self.replay.transform) or Transform()

    def told(self, answering: Candidate) -> Hop:
        """What the machine hears, with a preferred one that was missed."""
        missed = self.wanted.prefer_instance
        if self.is_fallback or missed in (None, answering.machine_id):
            return self.hop
        return replace(self.hop, missed_instance=missed)


def first(entry: App, *, port: int, steering: Steering) -> Leg:
    """The delivery to the app that the request came for, where the client steers it."""
    return Leg(
        Wanted(
            entry,
            port,
            instance=steering.instance,
            prefer_instance=steering.prefer_instance,
            regions=steering.regions,
        )
    )


def remembered(kept: Kept, entry: App, *, port: int) -> Leg:
    """The delivery that a remembered replay makes: no `fly-replay-src`, for nobody was asked."""
    wanted = _wanted(kept.replay, entry, port, avoids=kept.avoids)
    return Leg(wanted, Hop(cache_status=b"hit"), kept.target, is_remembered=True)


def replayed(
    replay: Replay,
    issuer: Candidate,
    *,
    port: int,
    steering: Steering,
    cache_status: bytes,
    now: float,
) -> Leg:
    """The delivery that a replay asks for; `steering` is what the client's headers may still say there."""
    micros = int(now * 1_000_000)
    src = source(instance=issuer.machine_id, region=issuer.region, micros=micros, state=replay.state)
    wanted = _wanted(replay, issuer.app, port, avoids=issuer.machine_id if replay.elsewhere else None)
    wanted = replace(
        wanted,
        instance=wanted.instance or steering.instance,
        prefer_instance=wanted.prefer_instance or steering.prefer_instance,
        regions=wanted.regions or steering.regions,
        until=None if replay.timeout_s is None else now + replay.timeout_s,
    )
    hop = Hop(src, cache_status)
    return Leg(wanted, hop, replay.app or issuer.app.name, replay, issuer, begun_at=now)


def fallen_back(leg: Leg, refused: Unreached, *, now: float) -> Leg | None:
    """The original request's way back to the machine that replayed it, if its replay asked for that."""
    if leg.replay is None or leg.replay.fallback is None or leg.issuer is None or leg.target is None:
        return None
    told = fallback.failed(
        replay=leg.replay,
        target=leg.target,
        issuer=leg.issuer,
        refused=refused,
        elapsed_s=now - leg.begun_at,
    )
    home = Wanted(leg.issuer.app, leg.wanted.public_port, prefer_instance=leg.issuer.machine_id)
    if leg.replay.fallback == "force_self":
        home = replace(home, instance=leg.issuer.machine_id)
    return Leg(home, Hop(failed=told), issuer=leg.issuer, is_fallback=True)


def _wanted(replay: Replay, app: App, port: int, *, avoids: str | None) -> Wanted:
    return Wanted(
        app,
        port,
        instance=replay.instance,
        prefer_instance=replay.prefer_instance,
        regions=replay.regions,
        avoids=avoids,
        replayed_by=app,
    )
