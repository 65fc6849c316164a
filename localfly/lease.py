"""Leases: the right to change one machine for a while, proven by a nonce.

Answers for taking, refreshing, guarding and giving back. Which calls are guarded is the API's knowledge.
"""

from localfly.identity import Ids
from localfly.refusal import HostUnreachable, LeaseGone, LeaseHeld, NotFound
from localfly.world import Lease, Machine

LONGEST_S = 2**63 // 10**9  # what Go's durations hold; Fly's own maximum is not established


def held(machine: Machine, now: float) -> Lease | None:
    """The lease on it that has not expired."""
    return machine.lease if machine.lease and machine.lease.expires_at > now else None


def guard(machine: Machine, nonce: str | None, now: float) -> None:
    """Let pass: no lease and no nonce, or the nonce of the lease held; otherwise LeaseHeld or LeaseGone."""
    lease = held(machine, now)
    if lease and lease.nonce != nonce:
        raise LeaseHeld(machine.id, lease.owner, lease.expires_at)
    if lease is None and nonce is not None:
        raise LeaseGone(machine.id)


def take(
    machine: Machine, *, nonce: str | None, ttl_s: int, owner: str, description: str, now: float, ids: Ids
) -> Lease:
    """A new lease, or with its nonce the same one until `now + ttl_s`; none on a host that is lost."""
    if machine.host_status == "unreachable":
        raise HostUnreachable(machine.id)
    guard(machine, nonce, now)
    lease = held(machine, now)
    machine.lease = Lease(
        nonce=lease.nonce if lease else ids.hex(12),
        expires_at=now + ttl_s,
        owner=owner,
        description=description or (lease.description if lease else ""),
        version=machine.instance_id,
    )
    return machine.lease


def release(machine: Machine, *, nonce: str | None, now: float) -> None:
    """Give it back; NotFound when none is held, or another one than the nonce's."""
    lease = held(machine, now)
    if lease is None or lease.nonce != nonce:
        raise NotFound("lease not found")
    machine.lease = None
