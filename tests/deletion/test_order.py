"""Deletion does happen, in order, when every proof is there; so the scenes of this folder are real."""

import asyncio

from router.table import Route
from tests.deletion.scene import GRACE_S, HOUR_S, SOON_S, changes, scene


async def test_without_anything_strange_a_gone_documents_app_goes_with_its_volume_in_order() -> None:
    """Route, snapshot, machine, volume, app: what the other tests of this folder keep from happening."""
    async with scene() as at:
        on, run = at.on, at.run
        machine = on.machine("alice")
        (volume,) = on.app("alice").volumes.values()
        others = {name: lived for name, lived in at.lives.items() if name != "acme-alice"}
        on.fly.journal.requests.clear()
        at.save(users__alice=None)
        await run.until(lambda: "acme-alice" not in on.shape, within_s=SOON_S)
        base = "/v1/apps/acme-alice"
        assert changes(on) == [
            f"PATCH {base}/machines/{machine.id}/metadata",
            f"POST {base}/volumes/{volume.id}/snapshots",
            f"POST {base}/machines/{machine.id}/stop",
            f"DELETE {base}/machines/{machine.id}",
            f"DELETE {base}/volumes/{volume.id}",
            f"DELETE {base}",
        ]
        await asyncio.sleep(HOUR_S)
        assert at.lives == others
        assert all(isinstance(run.entry(f"{name}.example.com"), Route) for name in ("bob", "carol"))
        assert GRACE_S < SOON_S
