"""Golden plans: a plan as text in a file, so that a change of behaviour is reviewed by reading a diff."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from reconciler.core.plan import AppPlan

PLANS = Path(__file__).parent / "plans"


def text(says: str, plan: AppPlan) -> str:
    """What the plan shows to be true, and everything that was decided, actions by kind in their order."""
    fields = asdict(plan)
    fields["actions"] = [{"kind": action.kind, **asdict(action)} for action in plan.actions]
    return json.dumps({"says": says, **fields}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def check(name: str, says: str, plan: AppPlan) -> None:
    """Compare with `plans/{name}.json`; WRITE_PLANS=1 in the environment writes it instead, for review."""
    file = PLANS / f"{name}.json"
    if os.environ.get("WRITE_PLANS"):
        file.write_text(text(says, plan))
    expected = file.read_text() if file.exists() else ""
    assert text(says, plan) == expected, f"the plan differs from {file.name}; WRITE_PLANS=1 rewrites it"
