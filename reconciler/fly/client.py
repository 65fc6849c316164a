"""The Machines API, one method per endpoint that we use, typed.

Leaves sending and retry to `call`, rate limits to `pace`, holding a lease to `lease`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import httpx
from pydantic import TypeAdapter

from reconciler.fly import lease, models
from reconciler.fly.call import Caller, on_app, on_machine, on_org, part
from reconciler.fly.errors import FlyError, Garbled
from reconciler.fly.lease import Lease
from reconciler.fly.pace import Pace

Json = Any
T = TypeVar("T")

LONGEST_WAIT_S = 60  # Fly refuses more
PAGE_ROWS = 1000  # Fly's maximum
NOT_OFFERED = frozenset({404, 501})

_APP = TypeAdapter(models.App)
_APPS = TypeAdapter(models.AppsPage)
_MACHINE = TypeAdapter(models.Machine)
_MACHINES = TypeAdapter(list[models.Machine])
_VERSIONS = TypeAdapter(list[models.MachineVersion])
_ORG_MACHINES = TypeAdapter(models.OrgMachinesPage)
_VOLUME = TypeAdapter(models.Volume)
_VOLUMES = TypeAdapter(list[models.Volume])
_SECRETS = TypeAdapter(models.AppSecrets)
_SECRETS_SET = TypeAdapter(models.SecretsSet)
_ADDRESSES = TypeAdapter(models.IPAssignments)
_WAITED = TypeAdapter(models.Waited)
_LEASE = TypeAdapter(models.LeaseGrant)
_ANYTHING: TypeAdapter[Json] = TypeAdapter(Any)


class Secret(Protocol):
    """A value that shows itself only when asked."""

    def reveal(self) -> str: ...


@dataclass(frozen=True, slots=True)
class OrgMachines:
    """Every page of the org-wide list, duplicates included; `error_regions` did not answer."""

    rows: tuple[models.OrgMachine, ...]
    error_regions: tuple[str, ...]


class FlyClient:
    """Every method raises `FlyError` and nothing else; facts: Machines API contract."""

    def __init__(
        self, http: httpx.AsyncClient, *, token: str, pace: Pace, wall: Callable[[], float] = time.time
    ) -> None:
        """`http` carries the base URL, without `/v1`; `wall` gives unix seconds, to judge lease expiries.

        Raises `Unauthorized` when the token cannot be a token.
        """
        self._calls = Caller(http, token=token, pace=pace)
        self._wall = wall

    async def list_apps(self, org: str) -> tuple[models.App, ...]:
        """Every app of the organisation, with its network."""
        call = on_org("GET", org, "/v1/apps", "list apps", params={"org_slug": org})
        return (await self._calls.ask(call, _APPS)).apps

    async def get_app(self, app: str) -> models.App:
        """`NotFound`: the name is free, or too new to be seen; `Forbidden`: another organisation's."""
        return await self._calls.ask(on_app("GET", app, "", "get app"), _APP)

    async def create_app(self, *, name: str, org: str, network: str) -> None:
        """Repeated on a lost answer, since names are unique: `NameTaken` may mean our own first try."""
        body = {"name": name, "org_slug": org, "network": network}
        call = on_org("POST", org, "/v1/apps", "create app", subject=name, json=body)
        await self._calls.ask(call, _ANYTHING)

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
        body = _given(name=name, region=region, config=config, min_secrets_version=min_secrets_version)
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
        body = _given(config=config, current_version=current_version, min_secrets_version=min_secrets_version)
        call = on_machine(
            "POST",
            app,
            machine,
            "",
            "update machine",
            json={**body, "skip_launch": skip_launch},
            headers=_nonce(nonce),
            is_repeatable=False,
            names_version=True,
        )
        return await self._calls.ask(call, _MACHINE)

    async def start_machine(self, app: str, machine: str, *, nonce: str | None = None) -> None:
        """`NotNow` while it is still being created, updated or stopped."""
        call = on_machine("POST", app, machine, "/start", "start machine", headers=_nonce(nonce))
        await self._calls.ask(call, _ANYTHING)

    async def wait(
        self, app: str, machine: str, *, states: Sequence[str], version: str | None, timeout_s: float
    ) -> models.Waited:
        """Return once the machine is in one of `states`; `WaitExpired` after `timeout_s`, cut to 1 to 60."""
        seconds = min(max(int(timeout_s), 1), LONGEST_WAIT_S)
        params = _given(state=",".join(states), version=version, timeout=str(seconds))
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
            json=_given(metadata=dict(metadata), machine_version=machine_version),
            names_version=machine_version is not None,
        )
        await self._calls.ask(call, _ANYTHING)

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
            json={**(create or {}), **_given(name=name, region=region, size_gb=size_gb, compute=compute)},
            is_repeatable=False,
        )
        return await self._calls.ask(call, _VOLUME)

    async def list_secrets(self, app: str) -> frozenset[str]:
        """The names."""
        answer = await self._calls.ask(on_app("GET", app, "/secrets", "list secrets"), _SECRETS)
        return frozenset(secret.name for secret in answer.secrets)

    async def set_secrets(self, app: str, values: Mapping[str, Secret | None]) -> int:
        """Set all in one call, None unsets; answers the secrets version that later launches must see.

        A value that Fly quotes in a refusal is blanked out in the error.
        """
        revealed = {name: value.reveal() if value is not None else None for name, value in values.items()}
        hidden = tuple(value for value in revealed.values() if value)
        call = on_app("POST", app, "/secrets", "set secrets", json={"values": revealed}, hidden=hidden)
        return (await self._calls.ask(call, _SECRETS_SET)).version

    async def list_addresses(self, app: str) -> tuple[models.IPAssignment, ...]:
        """Public, private and egress addresses alike."""
        return (
            await self._calls.ask(on_app("GET", app, "/ip_assignments", "list addresses"), _ADDRESSES)
        ).ips

    async def org_machines(self, org: str) -> OrgMachines:
        """Follow the org-wide list to its end: pages may be short or empty, only a missing cursor ends it."""
        rows: list[models.OrgMachine] = []
        error_regions: set[str] = set()
        params = {"limit": str(PAGE_ROWS)}
        while True:
            call = on_org("GET", org, f"/v1/orgs/{part(org)}/machines", "list machines", params=params)
            page = await self._calls.ask(call, _ORG_MACHINES)
            rows += page.machines
            error_regions.update(page.error_regions)
            if not page.next_cursor:
                return OrgMachines(tuple(rows), tuple(sorted(error_regions)))
            if page.next_cursor == params.get("cursor"):
                raise Garbled(call.operation, "the list repeats its cursor and would never end")
            params = {**params, "cursor": page.next_cursor}


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
        headers = _nonce(nonce)
        return await self._ask(
            "POST", "refresh lease of machine", _LEASE, json={"ttl": ttl_s}, headers=headers
        )

    async def look(self) -> models.LeaseGrant:
        return await self._ask("GET", "get lease of machine", _LEASE)

    async def release(self, nonce: str) -> None:
        await self._ask("DELETE", "release lease of machine", _ANYTHING, headers=_nonce(nonce))

    async def _ask(self, method: str, action: str, into: TypeAdapter[T], **more: Any) -> T:
        call = on_machine(method, self.app, self.machine, "/lease", action, **more)
        return await self.calls.ask(call, into)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _nonce(nonce: str | None) -> dict[str, str]:
    return {} if nonce is None else {"fly-machine-lease-nonce": nonce}
