"""An `async def` test runs on its own virtual-time loop; one marked `wire` runs on a real one."""

import asyncio
import inspect

import pytest

from tests import matrix_report, virtual_time


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    main = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    if pyfuncitem.get_closest_marker("wire"):
        asyncio.run(main)
    else:
        virtual_time.run(main)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if said := matrix_report.line(terminalreporter.getreports("passed")):
        terminalreporter.write_line(said)
