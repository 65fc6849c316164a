"""Writes marks on machines: no restart, no new version, and only on the version that was looked at."""

from collections.abc import Mapping
from typing import Any

from reconciler.apply import health
from reconciler.apply.bench import Bench
from reconciler.core import mark as marks
from reconciler.core.action import CreateMachine, MarkMachine, UpdateMachine, WithdrawRoute
from reconciler.fly.models import Machine

Json = Any


async def mark(bench: Bench, action: MarkMachine) -> None:
    """As planned, or `ConcurrentUpdate` when the machine has another version by now.

    A version is verified only once it serves, or sleeps: an earlier try may have left it because it did not.
    Other marks say nothing of that, so a check that fails for long holds no machine that was verified.
    """
    if bench.is_judging and action.metadata.get(marks.VERSION):
        found = await bench.fly.get_machine(action.app_name, action.machine_id)
        if found.instance_id == action.expected_version:
            await health.judge(bench.fly, action, found)
    await bench.fly.patch_metadata(
        action.app_name, action.machine_id, action.metadata, machine_version=action.expected_version
    )


async def verify(bench: Bench, action: CreateMachine | UpdateMachine, found: Machine) -> None:
    """Write down that this version was looked at: the mark that later lets a mere row be believed."""
    await bench.fly.patch_metadata(
        action.app_name,
        found.id,
        {marks.VERSION: found.instance_id},
        machine_version=found.instance_id,
    )


async def withdraw(bench: Bench, action: WithdrawRoute) -> None:
    """Every machine says that nobody is to be sent there any more."""
    for machine, version in action.machines:
        await bench.fly.patch_metadata(
            action.app_name, machine, {marks.WITHDRAWN: "true"}, machine_version=version
        )


def is_made_from(config: Mapping[str, Json], machine: Machine) -> bool:
    """Whether its marks are those of `config`; the mark of verification comes later and says nothing here."""
    ours = {key: value for key, value in config["metadata"].items() if key.startswith("reconciler_")}
    return all(machine.metadata.get(key) == value for key, value in ours.items())
