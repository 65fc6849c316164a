"""Runs one app's actions as soon as those that they wait for are done.

Answers for order, width and ending alone. The doing is `run`'s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from reconciler.core import mark
from reconciler.core.action import Action, MarkMachine, UpdateMachine

AT_ONCE = 8  # of one app; as Fly's own tool does


def looked_at_first(actions: Sequence[Action]) -> list[Action]:
    """The same, but nothing is updated before each machine that an earlier try changed was looked at.

    That is what its mark of verification says. So a version that does not serve stays on the first machine
    that got it, also when the process that sent it there is gone.
    """
    marks = [each for each in actions if isinstance(each, MarkMachine) and each.key]
    keys = tuple(each.key for each in marks if mark.VERSION in each.metadata)
    waited_for = {key for each in marks for key in each.after}
    return [
        replace(each, after=(*each.after, *keys))
        if isinstance(each, UpdateMachine) and each.key not in waited_for
        else each
        for each in actions
    ]


async def run(actions: Sequence[Action], do: Callable[[Action], Awaitable[None]]) -> None:
    """Do each action once all of its `after` are done; of several that may begin, the earlier in the list.

    An action without a key waits for all before it, and all after it wait for it. Once one fails nothing new
    is begun, and what was begun is finished; then the first failure is raised. Raises ValueError, with
    nothing done, when the actions wait for each other.
    """
    waits = _waits(actions)
    left = dict(enumerate(actions))
    done: set[int] = set()
    running: dict[asyncio.Task[None], int] = {}
    failure: BaseException | None = None
    try:
        while left or running:
            if failure is None:
                for number in [each for each in left if waits[each] <= done][: AT_ONCE - len(running)]:
                    running[asyncio.ensure_future(_run(do, left.pop(number)))] = number
            if not running:
                break
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(ended, key=lambda task: running[task]):
                done.add(running.pop(task))
                error = task.exception()
                failure = failure or error
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if failure is not None:
        raise failure


async def _run(do: Callable[[Action], Awaitable[None]], action: Action) -> None:
    await do(action)


def _waits(actions: Sequence[Action]) -> list[set[int]]:
    """For each action the numbers of those that it waits for; a key not in the plan is done already."""
    numbers = {action.key: number for number, action in enumerate(actions) if action.key}
    waits = [{numbers[key] for key in action.after if key in numbers} for action in actions]
    for number, action in enumerate(actions):
        if not action.key:
            waits[number].update(range(number))
            for later in range(number + 1, len(actions)):
                waits[later].add(number)
    ready: set[int] = set()
    while more := {number for number, each in enumerate(waits) if each <= ready} - ready:
        ready |= more
    if len(ready) < len(actions):
        stuck = ", ".join(actions[number].key for number in range(len(actions)) if number not in ready)
        raise ValueError(f"these actions wait for each other: {stuck}")
    return waits
