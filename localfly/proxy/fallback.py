"""The `fly-replay-failed` that an app gets when its replay found nobody, beside the original request.

Answers for the text. When a replay counts as failed is `reach`'s, what happens then `exchange`'s.
Source: behaviour.md §2.7.
"""

from localfly.proxy.reach import Unreached
from localfly.proxy.replay import Replay
from localfly.proxy.select import Candidate


def failed(*, replay: Replay, target: str, issuer: Candidate, refused: Unreached, elapsed_s: float) -> bytes:
    """The header's value; parts that do not apply are left out."""
    tried = refused.tried
    region = replay.regions[0] if len(replay.regions) == 1 else None
    parts = {
        "instance": tried.machine_id if tried else replay.instance or replay.prefer_instance,
        "app": target,
        "region": tried.region if tried else region,
        "replay_source": issuer.machine_id,
        "reason": refused.why,
        "elapsed_ms": str(round(elapsed_s * 1000)),
    }
    return ";".join(f"{name}={value}" for name, value in parts.items() if value is not None).encode("ascii")
