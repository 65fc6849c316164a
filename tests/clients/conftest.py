"""The run ends with a line that says which independent clients drove localfly."""

import pytest

from tests.clients import report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line, after everything else."""
    if said := report.line(terminalreporter.getreports("passed")):
        terminalreporter.write_line(said)
