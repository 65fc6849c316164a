"""Imports point down, and `core` is pure: read off the source with `ast`, so nothing runs to find out."""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.fly.client import FlyClient

ROOT = Path(__file__).resolve().parent.parent
OURS = ("reconciler", "router", "localfly", "specs", "tests", "bench")
STANDARD = sys.stdlib_module_names


@dataclass(frozen=True, slots=True)
class Layer:
    """Modules under `name` may import, of this project, only what lies under `below` (and themselves)."""

    name: str
    below: tuple[str, ...]
    outside: frozenset[str] | None = None  # third-party packages it may use; None: any declared dependency


NOTHING: frozenset[str] = frozenset()
CORE = "reconciler.core"
FLY = "reconciler.fly"
VERB = (CORE, FLY)
PASS = (*VERB, "reconciler.observe", "reconciler.apply")
INTENT = ("reconciler.intent", CORE)
ROUTER = ("router.server", "router.state")
LOOP = (
    *(f"reconciler.{name}" for name in ("intent", "reconcile", "census", "lookout", "source", "workqueue")),
    *(f"reconciler.{name}" for name in ("gate", "intake", "ledger", "removals", "witness")),
)

# The most specific name wins. A module that no line covers is an error: say here where it belongs.
LAW = (
    Layer("reconciler.core.routes", (CORE, "router.table"), NOTHING),
    Layer("reconciler.core.keys", (CORE, "router.state"), NOTHING),
    Layer(CORE, (f"{FLY}.models", f"{FLY}.errors"), frozenset({"pydantic", "yaml"})),
    Layer(f"{FLY}.models", (f"{FLY}.errors",), frozenset({"pydantic"})),
    Layer(f"{FLY}.blank", (), NOTHING),
    Layer(f"{FLY}.errors", (f"{FLY}.blank",), NOTHING),
    Layer(f"{FLY}.transport", (), frozenset({"aiohttp", "httpx", "httpx_aiohttp"})),
    Layer(FLY, (), frozenset({"httpx", "pydantic"})),
    Layer("reconciler.logs", (), frozenset({"structlog"})),
    Layer("reconciler.workqueue", (), NOTHING),
    Layer("reconciler.age", (CORE,), frozenset({"pyrage"})),
    Layer("reconciler.config", (CORE, "reconciler.age"), NOTHING),
    Layer("reconciler.checkout", (), NOTHING),
    Layer("reconciler.readings", (CORE,), NOTHING),
    Layer(
        "reconciler.source", (CORE, "reconciler.checkout", "reconciler.readings"), frozenset({"watchfiles"})
    ),
    Layer("reconciler.git_environment", (), NOTHING),
    Layer("reconciler.git_remote", (CORE, "reconciler.config", "reconciler.git_environment"), NOTHING),
    Layer("reconciler.git_tree", (CORE, "reconciler.readings"), NOTHING),
    Layer("reconciler.git_mirror", ("reconciler.git_remote", "reconciler.git_tree"), NOTHING),
    Layer(
        "reconciler.git_source",
        (CORE, "reconciler.git_mirror", "reconciler.git_tree", "reconciler.readings"),
        NOTHING,
    ),
    Layer("reconciler.secret_file", (CORE,), NOTHING),
    Layer("reconciler.secret_source", (CORE, "reconciler.age", "reconciler.secret_file"), NOTHING),
    Layer("reconciler.observe", VERB),
    Layer("reconciler.apply", VERB),
    Layer("reconciler.secret_snapshot", (CORE, "reconciler.secret_source"), NOTHING),
    Layer("reconciler.intent", (CORE, "reconciler.secret_source", "reconciler.secret_snapshot")),
    Layer("reconciler.reconcile", PASS),
    Layer("reconciler.census", (*INTENT, "router.table")),
    Layer("reconciler.survey", (*PASS, *INTENT, "reconciler.reconcile", "reconciler.gone")),
    Layer("reconciler.report", (CORE, f"{FLY}.pace", "reconciler.survey")),
    Layer(
        "reconciler.report.progress", (CORE, "reconciler.report", "reconciler.rollout"), frozenset({"rich"})
    ),
    Layer("reconciler.revision", ("reconciler.config", "reconciler.git_environment"), NOTHING),
    Layer(
        "reconciler.plan_file", (CORE, "reconciler.config", "reconciler.readings"), frozenset({"pydantic"})
    ),
    Layer(
        "reconciler.resumption",
        (*INTENT, "reconciler.config", "reconciler.plan_file", "reconciler.report", "reconciler.survey"),
    ),
    Layer(
        "reconciler.rollout",
        (*PASS, *INTENT, "reconciler.reconcile", "reconciler.survey", "reconciler.gate", "reconciler.ledger"),
    ),
    Layer("reconciler.ledger", (CORE,), NOTHING),
    Layer("reconciler.state_folder", (CORE, "reconciler.ledger"), frozenset({"structlog"})),
    Layer("reconciler.gate", (*VERB, "reconciler.ledger"), frozenset({"structlog"})),
    Layer("reconciler.intake", (*INTENT, "reconciler.gate", "reconciler.removals"), frozenset({"structlog"})),
    Layer("reconciler.gone", (*VERB, "reconciler.observe")),
    Layer("reconciler.witness", (CORE,), NOTHING),
    Layer(
        "reconciler.removals",
        (
            *PASS,
            *INTENT,
            "reconciler.gate",
            "reconciler.ledger",
            "reconciler.lookout",
            "reconciler.witness",
            "reconciler.gone",
        ),
    ),
    Layer("reconciler.lookout", (*PASS, *INTENT, "reconciler.census")),
    Layer("reconciler.loop", (*PASS, *LOOP)),
    Layer(
        "reconciler.run",
        (*VERB, *LOOP, "reconciler.loop", "reconciler.config", *ROUTER, "router.table"),
    ),
    Layer(
        "reconciler.session",
        (
            *VERB,
            *INTENT,
            "reconciler.config",
            "reconciler.source",
            "reconciler.secret_file",
            "reconciler.secret_source",
        ),
    ),
    Layer("reconciler.flags", (CORE, "reconciler.config", "reconciler.session"), frozenset({"typer"})),
    Layer("reconciler.adopt", (*PASS, "reconciler.reconcile")),
    Layer("reconciler.exit", ()),
    Layer("reconciler.terminal", (CORE, "reconciler.config", "reconciler.exit")),
    Layer("reconciler.writing", (CORE,), frozenset({"pydantic", "pydantic_core", "rich", "yaml"})),
    Layer("reconciler.commands", ("reconciler", *ROUTER)),
    Layer("reconciler.cli", ("reconciler", *ROUTER)),
    Layer("reconciler.__main__", ("reconciler.cli", "reconciler.logs")),
    Layer("router.guard", (), NOTHING),  # one file that can be copied into an image
    Layer("router", (), frozenset({"httptools", "uvloop"})),
    Layer("localfly", ()),
    Layer("specs.demo", ()),  # starts the programs as any user would
    Layer("specs.programs", ()),
    Layer("specs.images", ("router.guard",)),
)

IMPURE = frozenset(
    {"asyncio", "concurrent", "contextvars", "datetime", "glob", "http", "httpx", "io", "locale", "logging"}
    | {"multiprocessing", "os", "pathlib", "random", "requests", "secrets", "select", "selectors", "shutil"}
    | {"signal", "socket", "sqlite3", "ssl", "structlog", "subprocess", "sys", "tempfile", "threading"}
    | {"time", "urllib", "uuid", "watchfiles"}
)
IMPURE_CALLS = frozenset({"open", "print", "input", "eval", "exec", "id", "hash"})


def sources() -> list[tuple[str, Path]]:
    """(dotted name, file) of every module that the law is about."""
    found = []
    for package in ("reconciler", "router", "localfly", "specs"):
        for path in sorted((ROOT / package).rglob("*.py")):
            dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found.append((dotted.removesuffix(".__init__"), path))
    return found


def breaches(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What `module` must not do, one line each."""
    law = layer_of(module)
    if law is None:
        return [f"{module}: no layer is named for it in tests/test_layers.py"]
    tree = ast.parse(source)
    found = []
    for line, names in imports(module, tree, is_package=is_package):
        target = names[-1]
        top = target.partition(".")[0]
        if top in OURS:
            if not any(under(name, below) for name in names for below in (law.name, *law.below)):
                found.append(f"{module}:{line}: {law.name} may not import {target}")
        elif top not in STANDARD and law.outside is not None and top not in law.outside:
            found.append(f"{module}:{line}: {law.name} may not use {top}")
        if under(module, CORE) and top in IMPURE:
            found.append(f"{module}:{line}: core is pure and may not import {top}")
    if under(module, CORE):
        found.extend(impurities(module, tree))
    return found


def layer_of(module: str) -> Layer | None:
    """The law's line for a module; an `__init__` of the root packages has a docstring and nothing else."""
    lines = [line for line in LAW if under(module, line.name)]
    if not lines and module == "reconciler":
        return Layer("reconciler.__init__", (), NOTHING)
    return max(lines, key=lambda line: len(line.name), default=None)


def under(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def imports(module: str, tree: ast.AST, *, is_package: bool) -> list[tuple[int, tuple[str, ...]]]:
    """(line, what it may name) of each import, wherever it stands.

    `from a import b` names `a` or `a.b`: only running it would tell which, and either may be what is allowed.
    """
    found: list[tuple[int, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.extend((node.lineno, (alias.name,)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".") if is_package else module.split(".")[:-1]
                parents = parts[: len(parts) - node.level + 1]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            found.extend((node.lineno, (base, f"{base}.{alias.name}")) for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("__import__", "import_module"):
            argument = node.args[0] if node.args else None
            name = argument.value if isinstance(argument, ast.Constant) else "something computed"
            found.append((node.lineno, (str(name),)))
    return found


def impurities(module: str, tree: ast.AST) -> list[str]:
    """Awaiting and talking to the world, which `core` leaves to the verbs above it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append(f"{module}:{node.lineno}: core never awaits")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            found.append(f"{module}:{node.lineno}: core may not call {node.func.id}()")
    return found


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


@pytest.mark.parametrize(("module", "path"), [pytest.param(*each, id=each[0]) for each in sources()])
def test_every_module_imports_only_what_lies_below_it(module: str, path: Path) -> None:
    """The layout of design and code agree: no import points up or sideways, and core stays pure."""
    assert breaches(module, path.read_text("utf-8"), is_package=path.name == "__init__.py") == []


def test_one_place_changes_fly() -> None:
    """Of all our modules only `apply` calls what changes something on Fly; `fly` itself offers it."""
    changing = {
        name for name in dir(FlyClient) if not name.startswith(("_", "get_", "list_", "now", "org_", "wait"))
    }
    assert {"create_app", "create_machine", "update_machine", "set_secrets", "lease"} <= changing
    callers = {
        module
        for module, path in sources()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in changing
        if under(module, "reconciler") and not under(module, FLY)
    }
    assert {module for module in callers if not under(module, "reconciler.apply")} == set()
    assert callers


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("reconciler.core.plan", "import reconciler.loop", "may not import reconciler.loop"),
        ("reconciler.core.plan", "from reconciler import loop", "may not import reconciler"),
        ("reconciler.core.plan", "from .. import loop", "may not import reconciler"),
        ("reconciler.core.plan", "def f():\n    from reconciler.fly.client import FlyClient", "fly.client"),
        ("reconciler.core.plan", "from router.table import Table", "may not import router.table"),
        ("reconciler.core.routes", "from router.server import Router", "may not import router.server"),
        ("reconciler.core.plan", "import time", "pure and may not import time"),
        ("reconciler.core.plan", "from datetime import datetime", "pure and may not import datetime"),
        ("reconciler.core.plan", "import structlog", "structlog"),
        ("reconciler.core.plan", "async def f(): ...", "never awaits"),
        ("reconciler.core.plan", "x = open('y')", "may not call open()"),
        ("reconciler.fly.client", "from reconciler.core import spec", "may not import reconciler.core"),
        ("reconciler.fly.errors", "import httpx", "may not use httpx"),
        ("reconciler.apply", "from reconciler.loop import Loop", "may not import reconciler"),
        ("reconciler.apply", "import router.server", "may not import router.server"),
        ("reconciler.observe", "from reconciler.apply import apply", "may not import reconciler.apply"),
        ("router.server", "from reconciler.core import desired", "may not import reconciler.core"),
        ("router.guard", "from router import state", "may not import router"),
        ("router.guard", "import starlette", "may not use starlette"),
        ("localfly.api", "from reconciler.fly.models import Machine", "may not import reconciler.fly.models"),
        ("localfly.api", "import importlib\nimportlib.import_module('router.server')", "router.server"),
        ("specs.demo", "from reconciler.source import Source", "may not import reconciler.source"),
        ("reconciler.helpers", "", "no layer is named for it"),
    ],
)
def test_a_forbidden_import_is_caught(module: str, line: str, complaint: str) -> None:
    """Adding one wrong import, in whichever form Python knows, turns this file red."""
    assert any(complaint in found for found in breaches(module, line))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("reconciler.core.plan", "from reconciler.core import desired\nfrom reconciler.fly import errors"),
        ("reconciler.core.plan", "from . import desired\nimport json, hashlib"),
        ("reconciler.core.routes", "from router.table import Table"),
        ("reconciler.apply", "from reconciler.fly.client import FlyClient\nimport asyncio"),
        ("router.server", "from router.table import Table\nfrom . import state\nimport asyncio"),
    ],
)
def test_an_import_that_points_down_is_allowed(module: str, line: str) -> None:
    """The law refuses directions, not imports."""
    assert breaches(module, line) == []
