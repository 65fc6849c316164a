"""The calls for one app's machines, their metadata and their leases.

Leaves holding a lease to `lease`, and waiting for what comes of a call to `settle`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter

from reconciler.fly import lease, models
from reconciler.fly.call import ANYTHING, Caller, given, on_app, on_machine
from reconciler.fly.errors import FlyError
from reconciler.fly.lease import Lease

Json = Any
T = TypeVar("T")

LONGEST_WAIT_S = 60  # Fly refuses more
NOT_OFFERED = frozenset({404, 501})

_MACHINE = TypeAdapter(models.Machine)
_MACHINES = TypeAdapter(list[models.Machine])
_VERSIONS = TypeAdapter(list[models.MachineVersion])
_WAITED = TypeAdapter(models.Waited)
_LEASE = TypeAdapter(models.LeaseGrant)


class MachineCalls:
    """Every method raises `FlyError` and nothing else."""

    _calls: Caller
    _wall: Callable[[], float]

    async def list_machines(self, app: str, *, include_deleted: bool = False) -> list[models.Machine]:
        """May lag behind the last writes: an empty list proves nothing."""
        params = {"include_deleted": "true"} if include_deleted else {}
        call = on_app("GET", app, "/machines", "list machines", params=params)
        return await self._calls.ask(call, _MACHINES)

    async def get_machine(self, app: str, machine: str) -> models.Machine:
        """A destroyed machine reads as `destroyed` for a while, then `NotFound`."""
        return await self._calls.ask(on_machine("GET", app, machine, "", "get machine"), _MACHINE)

    async def create_machine(
        self,
        app: str,
        *,
        name: str,
        region: str,
        config: Mapping[str, Json],
        skip_launch: bool = False,
        min_secrets_version: int | None = None,
    ) -> models.Machine:
        """Never repeated after a lost answer (`Ambiguous`): the caller looks before it asks again."""
        body = given(name=name, region=region, config=config, min_secrets_version=min_secrets_version)
        call = on_app(
            "POST",
            app,
            "/machines",
            "create machine",
            subject=f"{name} of {app} in {region}",
            json={**body, "skip_launch": skip_launch},
            is_repeatable=False,
        )
        return await self._calls.ask(call, _MACHINE)

    async def update_machine(
        self,
        app: str,
        machine: str,
        *,
        config: Mapping[str, Json],
        current_version: str,
        nonce: str | None = None,
        skip_launch: bool = False,
        min_secrets_version: int | None = None,
    ) -> models.Machine:
        """Replace the whole config; `ConcurrentUpdate` when `current_version` is no longer the live one.

        Never repeated after a lost answer. Answers before the swap is done: `wait` for it.
        """
        body = given(config=config, current_version=current_version, min_secrets_version=min_secrets_version)
        call = on_machine(
            "POST",
            app,
            machine,
            "",
            "update machine",
            json={**body, "skip_launch": skip_launch},
            headers=nonce_header(nonce),
            is_repeatable=False,
            names_version=True,
        )
        return await self._calls.ask(call, _MACHINE)

    async def start_machine(self, app: str, machine: str, *, nonce: str | None = None) -> None:
        """`NotNow` while it is still being created, updated or stopped."""
        call = on_machine("POST", app, machine, "/start", "start machine", headers=nonce_header(nonce))
        await self._calls.ask(call, ANYTHING)

    async def stop_machine(self, app: str, machine: str, *, nonce: str | None = None) -> None:
        """Answers before it has stopped; one that is stopped already stays so."""
        call = on_machine("POST", app, machine, "/stop", "stop machine", headers=nonce_header(nonce))
        await self._calls.ask(call, ANYTHING)

    async def restart_machine(self, app: str, machine: str, *, nonce: str | None = None) -> None:
        """Same version, same config. Never repeated after a lost answer: that would be two restarts."""
        call = on_machine(
            "POST",
            app,
            machine,
            "/restart",
            "restart machine",
            headers=nonce_header(nonce),
            is_repeatable=False,
        )
        await self._calls.ask(call, ANYTHING)

    async def destroy_machine(
        self, app: str, machine: str, *, nonce: str | None = None, force: bool = False
    ) -> None:
        """Answers before it is gone; without `force` only from rest (`NotNow`). `NotFound`: it is gone."""
        call = on_machine(
            "DELETE",
            app,
            machine,
            "",
            "destroy machine",
            headers=nonce_header(nonce),
            params={"force": "true"} if force else {},
        )
        await self._calls.ask(call, ANYTHING)

    async def wait(
        self, app: str, machine: str, *, states: Sequence[str], version: str | None, timeout_s: float
    ) -> models.Waited:
        """Return once the machine is in one of `states`; `WaitExpired` after `timeout_s`, cut to 1 to 60."""
        seconds = min(max(int(timeout_s), 1), LONGEST_WAIT_S)
        params = given(state=",".join(states), version=version, timeout=str(seconds))
        call = on_machine("GET", app, machine, "/wait", "wait for machine", params=params, is_wait=True)
        return await self._calls.ask(call, _WAITED)

    async def list_versions(self, app: str, machine: str) -> list[models.MachineVersion] | None:
        """What each version was made from; None where this API does not offer it."""
        call = on_machine("GET", app, machine, "/versions", "list versions of machine")
        try:
            return await self._calls.ask(call, _VERSIONS)
        except FlyError as error:
            if error.status in NOT_OFFERED:
                return None
            raise

    async def patch_metadata(
        self,
        app: str,
        machine: str,
        metadata: Mapping[str, str | None],
        *,
        machine_version: str | None = None,
    ) -> None:
        """Merge: None removes a key. No restart, no new version; `ConcurrentUpdate` on a stale version."""
        call = on_machine(
            "PATCH",
            app,
            machine,
            "/metadata",
            "mark machine",
            json=given(metadata=dict(metadata), machine_version=machine_version),
            names_version=machine_version is not None,
        )
        await self._calls.ask(call, ANYTHING)

    def lease(
        self, app: str, machine: str, *, description: str, ttl_s: int = 15
    ) -> AbstractAsyncContextManager[Lease]:
        """Hold the machine's lease while the block runs; see `fly.lease.held`."""
        return lease.held(
            _MachineLease(self._calls, app, machine),
            operation=f"keep the lease of machine {machine} of {app}",
            description=description,
            ttl_s=ttl_s,
            wall=self._wall,
        )


@dataclass(frozen=True, slots=True)
class _MachineLease:
    """The lease endpoints of one machine, as `fly.lease.held` wants them."""

    calls: Caller
    app: str
    machine: str

    async def take(self, *, ttl_s: int, description: str) -> models.LeaseGrant:
        # Not repeatable: after a lost answer the second try would be refused by our own lease.
        body = {"ttl": ttl_s, "description": description}
        return await self._ask("POST", "take lease of machine", _LEASE, json=body, is_repeatable=False)

    async def refresh(self, nonce: str, *, ttl_s: int) -> models.LeaseGrant:
        headers = nonce_header(nonce)
        return await self._ask(
            "POST", "refresh lease of machine", _LEASE, json={"ttl": ttl_s}, headers=headers
        )

    async def look(self) -> models.LeaseGrant:
        return await self._ask("GET", "get lease of machine", _LEASE)

    async def release(self, nonce: str) -> None:
        await self._ask("DELETE", "release lease of machine", ANYTHING, headers=nonce_header(nonce))

    async def _ask(self, method: str, action: str, into: TypeAdapter[T], **more: Any) -> T:
        call = on_machine(method, self.app, self.machine, "/lease", action, **more)
        return await self.calls.ask(call, into)


def nonce_header(nonce: str | None) -> dict[str, str]:
    """What shows that the lease is ours; without one no header, since a stale one may be refused."""
    return {} if nonce is None else {"fly-machine-lease-nonce": nonce}
