"""A plan for programs, with what the look at Fly could not see besides what the plan itself tells."""

from typing import Any

from reconciler.core.plan_json import to_json
from reconciler.report.wording import effort
from reconciler.survey import Survey

Json = Any


def survey_json(found: Survey) -> dict[str, Json]:
    """Values that json.dumps takes."""
    told = to_json(found.plan)
    takes = effort(found.plan)
    summary = {**told["summary"], "api_calls": takes.calls, "at_least_s": round(takes.at_least_s, 1)}
    return {
        **told,
        "summary": summary,
        "batches": [
            {
                "id": batch.id,
                "reason": batch.reason,
                "because": batch.because,
                "items": [
                    {"user": item.user, "app": item.app_name, "class": item.klass.value, "what": item.what}
                    for item in batch.items
                ],
            }
            for batch in found.judgement.batches
        ],
        "silent_regions": list(found.silent_regions),
        "missing_secrets": [{"name": name, "why": why} for name, why in found.missing_secrets],
    }
