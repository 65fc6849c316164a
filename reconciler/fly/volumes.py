"""The calls for one app's volumes and their snapshots."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from reconciler.fly import models
from reconciler.fly.call import ANYTHING, Call, Caller, given, on_app, part

Json = Any

_VOLUME = TypeAdapter(models.Volume)
_VOLUMES = TypeAdapter(list[models.Volume])
_EXTENDED = TypeAdapter(models.Extended)
_SNAPSHOTS = TypeAdapter(list[models.Snapshot])


class VolumeCalls:
    """Every method raises `FlyError` and nothing else."""

    _calls: Caller

    async def list_volumes(self, app: str) -> list[models.Volume]:
        """Lags like every list."""
        return await self._calls.ask(on_app("GET", app, "/volumes", "list volumes"), _VOLUMES)

    async def create_volume(
        self,
        app: str,
        *,
        name: str,
        region: str,
        size_gb: int,
        create: Mapping[str, Json] | None = None,
        compute: Mapping[str, Json] | None = None,
    ) -> models.Volume:
        """`create`: further fields of the call. Never repeated after a lost answer: names are not unique."""
        call = on_app(
            "POST",
            app,
            "/volumes",
            "create volume",
            subject=f"{name} of {app} in {region}",
            json={**(create or {}), **given(name=name, region=region, size_gb=size_gb, compute=compute)},
            is_repeatable=False,
        )
        return await self._calls.ask(call, _VOLUME)

    async def get_volume(self, app: str, volume: str) -> models.Volume:
        """One volume; one that was deleted reads as on its way out for a day."""
        return await self._calls.ask(_on_volume("GET", app, volume, "", "get volume"), _VOLUME)

    async def extend_volume(self, app: str, volume: str, *, size_gb: int) -> models.Extended:
        """Volumes only grow; asking for the size that it has does nothing."""
        call = _on_volume("PUT", app, volume, "/extend", "extend volume", json={"size_gb": size_gb})
        return await self._calls.ask(call, _EXTENDED)

    async def delete_volume(self, app: str, volume: str) -> None:
        """`NotNow` while a machine holds it, up to two minutes after that is destroyed. `NotFound`: gone."""
        await self._calls.ask(_on_volume("DELETE", app, volume, "", "delete volume"), ANYTHING)

    async def list_snapshots(self, app: str, volume: str) -> list[models.Snapshot]:
        """Of a deleted volume too, as long as its id is known."""
        return await self._calls.ask(
            _on_volume("GET", app, volume, "/snapshots", "list snapshots of volume"), _SNAPSHOTS
        )

    async def create_snapshot(self, app: str, volume: str) -> None:
        """Answers before it is written; `NotNow` while another one is. Never repeated after a lost answer."""
        call = _on_volume("POST", app, volume, "/snapshots", "create snapshot of volume", is_repeatable=False)
        await self._calls.ask(call, ANYTHING)


def _on_volume(method: str, app: str, volume: str, path: str, action: str, **more: Any) -> Call:
    """A call limited per volume."""
    call = on_app(method, app, f"/volumes/{part(volume)}{path}", action, subject=f"{volume} of {app}", **more)
    return replace(call, identifier=volume)
