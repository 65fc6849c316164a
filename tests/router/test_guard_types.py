"""guard.ts holds in TypeScript's strict mode, as an app that copies it may be checked."""

import subprocess
from pathlib import Path

import pytest

from tests import wire
from tests.clients import installed

STRICT = (
    *("--strict", "--noEmit", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"),
    *("--noImplicitReturns", "--noUnusedLocals", "--noUnusedParameters", "--erasableSyntaxOnly"),
    *("--target", "es2022", "--module", "nodenext", "--types", "node"),
)


def complaints(folder: Path, *files: str) -> str:
    """What the compiler says about files in a folder beside its packages; empty when it is content."""
    compiler = folder.parent / "node_modules" / "typescript" / "bin" / "tsc"
    argv = (str(installed.NODE), str(compiler), *STRICT, *files)
    done = subprocess.run(argv, cwd=folder, check=False, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


@pytest.mark.wire
def test_the_guard_holds_in_strict_mode() -> None:
    """Neither the guard nor its use in a server has a type error, or a name that nothing uses."""
    with installed.beside_packages(wire.ROOT / "router" / "guard.ts") as folder:
        assert complaints(folder, "guard.ts") == ""


@pytest.mark.wire
def test_a_wrong_use_of_the_guard_is_a_type_error() -> None:
    """A misspelt purpose, and a guard without a port, do not compile."""
    with installed.beside_packages(wire.ROOT / "router" / "guard.ts") as folder:
        use = 'import { settings } from "./guard.js";\nexport const [a, b] = [\n'
        use += 'settings({ purpose: "pubic", port: 443 }),\nsettings({ purpose: "public" })];\n'
        (folder / "use.ts").write_text(use, "utf-8")
        said = complaints(folder, "use.ts")
    assert "use.ts(3," in said or "use.ts:3" in said
    assert "use.ts(4," in said or "use.ts:4" in said
