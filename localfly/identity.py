"""Ids and addresses in the forms that Fly gives them.

Answers for their shape alone; what they belong to is `world`'s.
"""

import secrets as randomness


def ulid(now: float) -> str:
    """26 characters like Fly's instance ids: 48 bits of milliseconds, then 80 random ones."""
    number = (int(now * 1000) << 80) | randomness.randbits(80)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(number >> shift) & 31] for shift in range(125, -5, -5))


def private_ip(network: int, machine_id: str) -> str:
    """The 6PN address: the network's number in the 32 bits after `fdaa`, then host and machine."""
    host, high, low = machine_id[2:6], machine_id[6:10], machine_id[10:14]
    groups = ("fdaa", f"{network >> 16:x}", f"{network & 0xFFFF:x}", "a7b")
    return ":".join((*groups, *(f"{int(group, 16):x}" for group in (host, high, low)), "2"))
