"""Which independent clients ran and how much of the API each drove, for the line at the end of a test run.

Tests record it as a property of their report, which also comes from a worker process.
"""

from collections.abc import Callable, Iterable

import pytest

DROVE = "what an independent client drove"
Record = Callable[[str, object], None]  # the fixture `record_property`


def note(record: Record, client: str, said: str) -> None:
    """Keep what the closing line says about one client."""
    record(DROVE, [client, said])


def line(reports: Iterable[pytest.TestReport]) -> str | None:
    """The closing line; none when no client was meant to run."""
    noted = [value for report in reports for name, value in report.user_properties if name == DROVE]
    said = dict(sorted(each for each in noted if isinstance(each, list)))
    if not said:
        return None
    said.setdefault("fly-go", "fly-go not run (no Go 1.24 or newer here)")
    return "clients: " + ", ".join(said.values())
