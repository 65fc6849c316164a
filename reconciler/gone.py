"""An app of ours whose document is gone, read whole: the basis of everything that is decided about it.

Leaves which proofs a deletion needs to `core.removal`, and doing it to `removals`.
"""

from collections.abc import Collection
from dataclasses import replace

from reconciler.core import label
from reconciler.core.app_name_claim import claimant
from reconciler.core.kinds import FleetSpec
from reconciler.core.observed import ObservedApp
from reconciler.core.plan import AppPlan
from reconciler.core.removal import plan_removal, removal_of
from reconciler.core.spec import Specs
from reconciler.core.users import users_of
from reconciler.fly.client import FlyClient
from reconciler.observe import observe_app, observe_snapshots


async def observe_gone(
    fly: FlyClient, fleet: FleetSpec, name: str, app_name: str, *, approved: Collection[str]
) -> ObservedApp:
    """Read it, and the snapshots of the volumes that may be lost. Raises FlyError."""
    observed = await observe_app(
        fly,
        org=fleet.org,
        app_name=app_name,
        network=f"{fleet.installation}-{name}",
        owner_label=label.owner(fleet.installation),
    )
    return await observe_snapshots(fly, observed, approved) if approved else observed


async def look_at_gone(
    fly: FlyClient,
    specs: Specs,
    name: str,
    app_name: str,
    *,
    approved: Collection[str],
    error_regions: tuple[str, ...],
    rows: frozenset[str],
    homeless: frozenset[str],
) -> AppPlan:
    """What keeps it, as far as one look tells: how long its document is gone only a process that stays knows.

    Raises FlyError, and KeyError without a fleet.
    """
    if specs.fleet is None:
        raise KeyError(name)
    fleet = specs.fleet.spec
    observed = await observe_gone(fly, fleet, name, app_name, approved=approved)
    removal = removal_of(
        fleet,
        name,
        app_name,
        absent_for_s=0.0,
        source_complete=specs.complete,
        source_why="; ".join(specs.incomplete_because) or "any name may be in what is missing",
        claimant=claimant(app_name, users_of(specs), homeless),
        error_regions=error_regions,
        rows=rows,
        withdrawn_for_s=None,
        withdraw_s=0.0,
        approved=frozenset(approved),
    )
    plan = plan_removal(removal, observed, now=fly.now())
    holds = [
        replace(hold, message=f"{hold.message}; only `reconciler run` counts that")
        if hold.reason == "Grace"
        else hold
        for hold in plan.holds
    ]
    return replace(plan, holds=tuple(sorted(holds)))
