"""Golden plans: a plan as text in a file, so that a change of behaviour is reviewed by reading a diff."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from reconciler.core.plan import AppPlan

PLANS = Path(__file__).parent / "plans"


def text(plan: AppPlan) -> str:
    """Everything that was decided, actions by kind in their order."""
    fields = asdict(plan)
    fields["actions"] = [{"kind": action.kind, **asdict(action)} for action in plan.actions]
    return json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def check(name: str, plan: AppPlan) -> None:
    """Compare with `plans/{name}.json`; WRITE_PLANS=1 in the environment writes it instead, for review."""
    file = PLANS / f"{name}.json"
    if os.environ.get("WRITE_PLANS"):
        file.write_text(text(plan))
    assert text(plan) == file.read_text(), f"the plan differs from {file.name}; WRITE_PLANS=1 rewrites it"
