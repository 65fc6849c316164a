"""The Machines API, one method per endpoint that we use, typed.

Answers for secrets, addresses and organisation-wide lists. Leaves apps, machines and volumes to the modules
of their names, sending and retry to `call`, rate limits to `pace`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import httpx
from pydantic import TypeAdapter

from reconciler.fly import models
from reconciler.fly.apps import AppCalls
from reconciler.fly.call import Caller, on_app, on_org, part
from reconciler.fly.errors import Garbled
from reconciler.fly.machines import MachineCalls
from reconciler.fly.pace import Pace
from reconciler.fly.volumes import VolumeCalls

PAGE_ROWS = 1000  # Fly's maximum

_ORG_MACHINES = TypeAdapter(models.OrgMachinesPage)
_SECRETS = TypeAdapter(models.AppSecrets)
_SECRETS_SET = TypeAdapter(models.SecretsSet)
_ADDRESSES = TypeAdapter(models.IPAssignments)


class Secret(Protocol):
    """A value that shows itself only when asked."""

    def reveal(self) -> str: ...


@dataclass(frozen=True, slots=True)
class OrgMachines:
    """Every page of the org-wide list, duplicates included; `error_regions` did not answer."""

    rows: tuple[models.OrgMachine, ...]
    error_regions: tuple[str, ...]


class FlyClient(AppCalls, MachineCalls, VolumeCalls):
    """Every method raises `FlyError` and nothing else; facts: Machines API contract."""

    def __init__(
        self, http: httpx.AsyncClient, *, token: str, pace: Pace, wall: Callable[[], float] = time.time
    ) -> None:
        """`http` carries the base URL, without `/v1`; `wall` gives unix seconds, to judge lease expiries.

        Raises `Unauthorized` when the token cannot be a token.
        """
        self._calls = Caller(http, token=token, pace=pace)
        self._wall = wall

    def now(self) -> float:
        """Unix seconds, by the clock that lease expiries are judged by."""
        return self._wall()

    @property
    def waiting(self) -> int:
        """Calls that rate limits keep back just now."""
        return self._calls.waiting

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
