"""What tests must not do, read off their source: sleep for real, ask a mock what was called, or not run.

Waiting is `tests.wire.until` and `Program.said`, which have deadlines; the file that holds them may sleep.
"""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
MAY_SLEEP = HERE / "wire.py"
MOCK_MODULES = frozenset({"mock", "pytest_mock", "unittest.mock"})
MOCK_NAMES = frozenset({"AsyncMock", "MagicMock", "Mock", "create_autospec", "mock_open", "mocker"})
MOCK_QUESTIONS = frozenset(
    {"await_args", "call_args", "call_args_list", "call_count", "called", "mock_calls"}
    | {"assert_any_call", "assert_has_calls", "assert_not_called", "assert_not_awaited", "assert_has_awaits"}
)
NOT_RUN = frozenset({"importorskip", "skip", "skipif", "skipIf", "skipTest", "skipUnless", "xfail"})
REPLACES_CODE = frozenset({"delattr", "setattr", "delitem", "setitem"})  # of the monkeypatch fixture


def faults(source: str) -> list[str]:
    """What a test file does that it must not, one `line: what` each."""
    tree = ast.parse(source)
    uses_real_time = _has_wire_mark(tree)
    return [
        f"{getattr(node, 'lineno', 0)}: {what}"
        for node in ast.walk(tree)
        if (what := _imported(node) or _read(node) or _called(node, uses_real_time))
    ]


def toothless(source: str, helpers: frozenset[str] = frozenset()) -> list[str]:
    """Tests of a file in which nothing can fail: no assertion, and no call of a helper that makes one.

    `helpers` are the names of functions elsewhere that do.
    """
    able = biting(source, helpers)
    return sorted(name for name in _functions(source) if name.startswith("test_") and name not in able)


def biting(source: str, helpers: frozenset[str] = frozenset()) -> frozenset[str]:
    """Names of a file's functions that assert or raise, or call one that does."""
    functions = _functions(source)
    found = helpers | {name for name, node in functions.items() if _asserts(node)}
    while more := {name for name, node in functions.items() if _called_names(node) & found} - found:
        found |= more
    return frozenset(found)


def _functions(source: str) -> dict[str, ast.AST]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)}


def _imported(node: ast.AST) -> str:
    if isinstance(node, ast.Import):
        names = {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    else:
        return ""
    if names & MOCK_MODULES:
        return "mocks assert calls; assert the state of the world"
    if "time.sleep" in names:
        return "a real sleep; wait on a condition with tests.wire.until"
    return ""


def _read(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        if node.attr in MOCK_QUESTIONS or node.attr.startswith(("assert_called", "assert_awaited")):
            return f"asks a mock for .{node.attr}; assert the state of the world"
        if node.attr in NOT_RUN and _root(node) in ("pytest", "unittest", "self"):
            return f"{node.attr}: a test that does not run proves nothing"
        if node.attr in REPLACES_CODE and _root(node) == "monkeypatch":
            return f"monkeypatch.{node.attr} replaces code; use the seam (transport, clock, runtime)"
    if isinstance(node, ast.Name) and node.id in MOCK_NAMES:
        return "mocks assert calls; assert the state of the world"
    return ""


def _called(node: ast.AST, uses_real_time: bool) -> str:
    if (
        not isinstance(node, ast.Call)
        or not isinstance(node.func, ast.Attribute)
        or node.func.attr != "sleep"
    ):
        return ""
    root = _root(node.func)
    yields_only = bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
    if root == "time" or (root in ("asyncio", "anyio", "trio") and uses_real_time and not yields_only):
        return "a real sleep; wait on a condition with tests.wire.until"
    return ""


def _has_wire_mark(tree: ast.AST) -> bool:
    """A file with one `wire` test counts whole: a helper beside it would sleep on the real loop as well."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "wire" and _root(node) == "pytest"
        for node in ast.walk(tree)
    )


def _asserts(function: ast.AST) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        if isinstance(node, ast.Attribute):
            if node.attr in ("raises", "fail", "warns") and _root(node) == "pytest":
                return True
            if node.attr in ("until", "said", "ended"):  # of tests.wire: each fails at its deadline
                return True
    return False


def _called_names(function: ast.AST) -> set[str]:
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


FILES = sorted(HERE.rglob("*.py"))
HELPERS = frozenset(
    name for path in FILES if not path.name.startswith("test_") for name in biting(path.read_text("utf-8"))
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HERE)))
def test_tests_wait_on_conditions_and_assert_the_world(path: Path) -> None:
    """No test sleeps, mocks, patches our code or is skipped, and each one can fail."""
    source = path.read_text("utf-8")
    found = [fault for fault in faults(source) if not (path == MAY_SLEEP and "a real sleep" in fault)]
    assert found == []
    assert toothless(source, HELPERS) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep",
        "import asyncio, pytest\n@pytest.mark.wire\nasync def test_a():\n    await asyncio.sleep(0.1)",
        "import asyncio, pytest\npytestmark = pytest.mark.wire\nasync def f(s):\n    await asyncio.sleep(s)",
        "from unittest import mock",
        "from unittest.mock import patch",
        "import unittest.mock as m",
        "def test_a(mocker): mocker.patch('x')",
        "def test_a(api): api.create.assert_called_once_with(1)",
        "def test_a(api): assert api.create.call_count == 1",
        "def test_a(monkeypatch): monkeypatch.setattr('reconciler.loop.now', 1)",
        "import pytest\n@pytest.mark.skip\ndef test_a(): ...",
        "import pytest\n@pytest.mark.xfail(reason='later')\ndef test_a(): ...",
        "import pytest\nnode = pytest.importorskip('node')",
    ],
)
def test_each_bad_habit_is_seen(source: str) -> None:
    """The rules above refuse what they are there to refuse."""
    assert faults(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nasync def test_a():\n    await asyncio.sleep(86400)  # virtual time",
        "import asyncio, pytest\n@pytest.mark.wire\nasync def test_a():\n    await asyncio.sleep(0)",
        "def test_a(monkeypatch): monkeypatch.setenv('FLY_API_TOKEN', 'made-up')",
    ],
)
def test_what_is_meant_well_is_let_through(source: str) -> None:
    """A virtual day costs nothing, a yield is no wait, and the environment is not our code."""
    assert faults(source) == []


def test_a_test_that_cannot_fail_is_seen() -> None:
    """A test without an assertion, and without a helper that makes one, is reported by name."""
    source = (
        "def check(x):\n    assert x\n"
        "def test_direct(): assert 1 == 2\n"
        "def test_through_a_helper(): check(1)\n"
        "def test_nothing(): print('fine')\n"
    )
    assert toothless(source) == ["test_nothing"]
