"""Ids and addresses in the forms that Fly gives them.

Answers for their shape, and that one seed gives the same ids again; what they belong to is `world`'s.
"""

import random
import secrets
from collections.abc import Sequence
from typing import TypeVar

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

T = TypeVar("T")


class Ids:
    """Where a world's ids, nonces and invented names come from; without a seed nobody can guess them."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = secrets.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - a seed is asked for to be repeatable

    def ulid(self, now: float) -> str:
        """26 characters like Fly's instance ids: 48 bits of milliseconds, then 80 random ones."""
        number = (int(now * 1000) << 80) | self._random.getrandbits(80)
        return "".join(_DIGITS[(number >> shift) & 31] for shift in range(125, -5, -5))

    def hex(self, digits: int) -> str:
        """That many lower-case hex digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def number(self, below: int) -> int:
        """One of 0 … below - 1."""
        return self._random.randrange(below)

    def choice(self, of: Sequence[T]) -> T:
        """One of them."""
        return self._random.choice(of)


def private_ip(network: int, machine_id: str) -> str:
    """The 6PN address: the network's number in the 32 bits after `fdaa`, then host and machine."""
    host, high, low = machine_id[2:6], machine_id[6:10], machine_id[10:14]
    groups = ("fdaa", f"{network >> 16:x}", f"{network & 0xFFFF:x}", "a7b")
    return ":".join((*groups, *(f"{int(group, 16):x}" for group in (host, high, low)), "2"))
