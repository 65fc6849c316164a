"""How many points the matrices of crashes and faults covered, for the line at the end of a test run.

Tests record it as a property of their report, which also comes from a worker process.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import pytest

POINTS = "points of a matrix"
Record = Callable[[str, object], None]  # the fixture `record_property`


def count(record: Record, what: str, points: int) -> None:
    """Add points that ended as they should."""
    record(POINTS, [what, points])


def line(reports: Iterable[pytest.TestReport]) -> str | None:
    """The closing line; none when no matrix ran."""
    covered: Counter[str] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name == POINTS and isinstance(value, list):
                what, points = value
                covered[what] += points
    if not covered:
        return None
    return "matrices: " + ", ".join(f"{points} {what}" for what, points in sorted(covered.items()))
