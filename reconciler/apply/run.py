"""One app's plan, done: each action by the verb that knows how, told when it begins and how it ends.

Leaves the order to `order`, and what follows from a failure to whoever asked.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import structlog

from reconciler.apply import app, destroy, machine, marks, order, secrets, volume
from reconciler.apply.bench import Bench
from reconciler.core.action import (
    Action,
    CreateApp,
    CreateMachine,
    CreateVolume,
    DeleteApp,
    DestroyMachine,
    DestroyVolume,
    ExtendVolume,
    MarkMachine,
    SetSecrets,
    SnapshotVolume,
    StartMachine,
    UpdateMachine,
    WithdrawRoute,
)
from reconciler.core.outcome import StepFailed
from reconciler.fly.client import FlyClient, Secret
from reconciler.fly.errors import FlyError

Failure = FlyError | StepFailed

log = structlog.get_logger()


async def apply(
    actions: Sequence[Action],
    *,
    fly: FlyClient,
    values: Mapping[str, Secret],
    describe: str,
    heard: Callable[[Action, Failure | None], None] = lambda _action, _failure: None,
    is_unproven: Callable[[Action], bool] = lambda _action: False,
    is_judging: bool = True,
) -> None:
    """Do one app's `actions` as their `after` allows; after the first that fails nothing new is begun.

    The plan must come from a read made just before. `values`: every secret that a SetSecrets names;
    `describe`: `{installation}/{process}`, written on leases; `heard` is told how each action ended;
    `is_unproven`: nobody did well with that change yet, so whoever gets it is watched first;
    `is_judging`: a machine that is only marked must serve, too.
    Raises `FlyError` or `StepFailed`.
    """
    actions = order.looked_at_first(actions)
    awaited = frozenset(key for each in actions for key in each.after)
    bench = Bench(fly, values, describe, awaited=awaited, is_unproven=is_unproven, is_judging=is_judging)

    async def do(action: Action) -> None:
        told = log.bind(app=action.app_name, action=action.kind)
        told.info("apply.started", because=action.because)
        try:
            await _do(bench, action)
        except (FlyError, StepFailed) as error:
            told.warning("apply.failed", error=str(error))
            heard(action, error)
            raise
        told.info("apply.done")
        heard(action, None)

    await order.run(actions, do)


async def _do(bench: Bench, action: Action) -> None:  # noqa: C901, PLR0912 - one line for each action there is
    match action:
        case CreateApp():
            await app.create(bench, action)
        case SetSecrets():
            await secrets.set_all(bench, action)
        case CreateVolume():
            await volume.create(bench, action)
        case ExtendVolume():
            await volume.extend(bench, action)
        case CreateMachine():
            await machine.create(bench, action)
        case UpdateMachine():
            await machine.update(bench, action)
        case StartMachine():
            await machine.bring_up(bench, action)
        case MarkMachine():
            await marks.mark(bench, action)
        case WithdrawRoute():
            await marks.withdraw(bench, action)
        case DestroyMachine():
            await destroy.machine(bench, action)
        case SnapshotVolume():
            await volume.snapshot(bench, action)
        case DestroyVolume():
            await destroy.volume(bench, action)
        case DeleteApp():
            await destroy.app(bench, action)
        case _:
            assert_never(action)
