"""Waits for what Fly finishes after it has answered: something new seen everywhere, a machine come to rest.

Leaves what it should have come to, and what to do otherwise, to `apply`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from reconciler.fly.client import FlyClient
from reconciler.fly.errors import NotFound, Unauthorized, WaitExpired
from reconciler.fly.machines import LONGEST_WAIT_S
from reconciler.fly.models import Machine

T = TypeVar("T")

VISIBLE_WITHIN_S = 60.0  # other API servers may not know a new app or machine for so long
SETTLED_WITHIN_S = 300.0  # Fly itself calls a machine stuck after so long in passage
GONE_WITHIN_S = 180.0  # a destroyed machine lets go of its volume within two minutes
LOOK_EVERY_S = 1.0

AT_REST = frozenset({"started", "stopped", "suspended", "failed", "destroyed"})


async def visible(ask: Callable[[], Awaitable[T]]) -> T:
    """Repeat `ask` while something made moments ago answers 404, or 401 as new apps do; at most a minute."""
    give_up_at = _now() + VISIBLE_WITHIN_S
    while True:
        try:
            return await ask()
        except (NotFound, Unauthorized):
            if _now() >= give_up_at:
                raise
        await asyncio.sleep(LOOK_EVERY_S)


async def settled(
    fly: FlyClient, app: str, machine: str, *, version: str, is_new: bool = False, is_asleep: bool = False
) -> Machine:
    """The machine as it is once `version` has stopped changing, whichever version it then has.

    `is_new`: a 404 means not visible yet. `is_asleep`: made with `skip_launch`, so `created` is rest too.
    Raises `WaitExpired` after five minutes.
    """
    give_up_at = _now() + SETTLED_WITHIN_S
    visible_at = _now() + VISIBLE_WITHIN_S
    while True:
        try:
            return await _look(fly, app, machine, version, give_up_at - _now(), is_asleep=is_asleep)
        except NotFound:
            if not is_new or _now() >= visible_at:
                raise
        except WaitExpired:
            if _now() >= give_up_at:
                raise
        await asyncio.sleep(LOOK_EVERY_S)


async def gone(fly: FlyClient, app: str, machine: str, *, version: str) -> None:
    """Return once a machine that is being destroyed is gone. Raises `WaitExpired` after three minutes."""
    give_up_at = _now() + GONE_WITHIN_S
    while True:
        with contextlib.suppress(NotFound, WaitExpired):
            timeout_s = min(give_up_at - _now(), LONGEST_WAIT_S)
            await fly.wait(app, machine, states=("destroyed",), version=version, timeout_s=timeout_s)
        try:
            if (await fly.get_machine(app, machine)).state == "destroyed":  # `wait` may be early
                return
        except NotFound:
            return
        if _now() >= give_up_at:
            raise WaitExpired(f"wait for machine {machine} of {app}", "it is still being destroyed")
        await asyncio.sleep(LOOK_EVERY_S)


async def _look(
    fly: FlyClient, app: str, machine: str, version: str, left_s: float, *, is_asleep: bool
) -> Machine:
    try:
        timeout_s = min(left_s, LONGEST_WAIT_S)
        await fly.wait(app, machine, states=("settled",), version=version, timeout_s=timeout_s)
    except WaitExpired:
        found = await fly.get_machine(app, machine)
        if found.instance_id == version:
            raise
        return found  # another version took its place: no wait for this one can end well
    found = await fly.get_machine(app, machine)
    if found.state in AT_REST or (is_asleep and found.state == "created"):
        return found
    raise WaitExpired(f"wait for machine {machine} of {app}", f"it says settled, and is {found.state}")


def _now() -> float:
    return asyncio.get_running_loop().time()
