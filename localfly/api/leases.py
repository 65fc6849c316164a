"""Leases over HTTP, in the wrapped form that the live API uses (contract §7).

Answers for the requests; the rules are `lease`'s.
"""

from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from localfly import lease
from localfly.api.answer import ok
from localfly.api.call import Body, Call, whole_number
from localfly.refusal import Invalid, MachineNotFound, NotFound
from localfly.world import Lease

DEFAULT_TTL_S = 60  # Fly's default is not established


class TakeLease(Body):
    """`ttl` in seconds; Fly's Go client sends it as a query parameter instead."""

    ttl: Annotated[int, Field(ge=1, le=lease.LONGEST_S)] | None = None
    description: str | None = None


async def show(call: Call) -> Response:
    """The lease held now; 404 when there is none."""
    call.query()
    found = lease.held(call.machine(), call.world.clock())
    if found is None:
        raise NotFound("lease not found")
    return ok({"status": "success", "data": lease_json(found)})


async def take(call: Call) -> Response:
    """A new lease, or with its nonce in the header the same one for longer."""
    query = call.query("ttl")
    asked = await call.body(TakeLease)
    ttl_s = asked.ttl or whole_number(query, "ttl", default=DEFAULT_TTL_S)
    if not 1 <= ttl_s <= lease.LONGEST_S:
        raise Invalid(f"invalid query parameter 'ttl': must be inside range [1, {lease.LONGEST_S}]")
    machine = call.machine()
    if machine.state == "destroyed":
        raise MachineNotFound
    taken = lease.take(
        machine,
        nonce=call.nonce,
        ttl_s=ttl_s,
        owner=call.caller.owner,
        description=asked.description or "",
        now=call.world.clock(),
        ids=call.world.ids,
    )
    return ok({"status": "success", "data": lease_json(taken)}, status=201)


async def release(call: Call) -> Response:
    """Give the lease of the header's nonce back."""
    call.query()
    lease.release(call.machine(), nonce=call.nonce, now=call.world.clock())
    return ok({"status": "success", "data": {"ok": True}})


def lease_json(held: Lease) -> dict[str, Any]:
    """The Lease object; `expires_at` in unix seconds."""
    return {
        "nonce": held.nonce,
        "expires_at": int(held.expires_at),
        "owner": held.owner,
        "description": held.description,
        "version": held.version,
    }
