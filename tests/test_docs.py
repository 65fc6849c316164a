"""What README and docs tell people to type works, and what they show as YAML holds."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from docs.source.page import PAGE, page
from reconciler import cli
from reconciler.core.document import Document
from reconciler.core.document import documents as read
from reconciler.core.kinds import KINDS
from reconciler.core.spec import load
from tests import wire

PAGES = (wire.ROOT / "README.md", *sorted((wire.ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
OF_OTHERS = {"--config", "--private"}  # fly's own
SHOWN_ONLY = ("text",)  # pictures made of letters; commands stand in console or sh

COVERED = {  # commands that other tests run
    "make demo": "tests/journeys/test_demo.py::test_every_printed_command_answers_as_printed_and_stopping",
    "make test": "tests/test_docs.py::test_make_test_is_what_ci_runs",
}
STAYS = {"localfly": "localfly ready"}  # programs that run until stopped, and what they say when ready


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """(where, text) of every fenced block in one of these languages."""
    for path in PAGES:
        text = path.read_text("utf-8")
        for match in FENCE.finditer(text):
            if match["language"] in languages:
                line = text.count("\n", 0, match.start()) + 1
                yield f"{path.relative_to(wire.ROOT)}:{line}", match["text"]


def commands() -> list[str]:
    """Every command that a page says to type."""
    lines = [line for _, text in blocks("console") for line in text.splitlines() if line.startswith("$ ")]
    typed = [line for _, text in blocks("sh") for line in text.splitlines() if line.strip()]
    return list(dict.fromkeys([*(line.removeprefix("$ ") for line in lines), *typed]))


@pytest.mark.wire
@pytest.mark.parametrize("command", [each for each in commands() if each not in COVERED])
async def test_a_command_of_the_docs_works(command: str) -> None:
    """Typed in the project's folder, each command ends well, or is ready when it is one that stays."""
    ports = dict(zip(re.findall(r"127\.0\.0\.1:(\d+)", command), wire.free_ports(8), strict=False))
    command = re.sub(r"127\.0\.0\.1:(\d+)", lambda match: f"127.0.0.1:{ports[match[1]]}", command)
    env = {"PATH": f"{Path(wire.PYTHON).parent}:{wire.clean_env()['PATH']}"}
    for name, ready in STAYS.items():
        if re.search(rf"(^| ){name} ", command):
            async with wire.started("sh", "-c", f"exec env {command}", env=env) as program:
                await program.said(ready)
            return
    done = await wire.finished("sh", "-c", command, env=env)
    complaints = [line for line in done.err.splitlines() if ": warning: " not in line]
    assert (done.code, complaints) == (0, [])


@pytest.mark.parametrize(("command", "test"), COVERED.items())
def test_what_others_cover_is_there(command: str, test: str) -> None:
    """A command that is not run here names a test that exists, and is really in the docs."""
    path, _, name = test.partition("::")
    assert f"def {name}" in (wire.ROOT / path).read_text("utf-8")
    assert command in commands()


def test_make_test_is_what_ci_runs() -> None:
    """A contributor and CI run the same command, and it runs these tests."""
    assert (wire.ROOT / ".ci" / "run").read_text("utf-8").rstrip().endswith("exec make test")
    assert "@$(BIN)/python -m pytest" in (wire.ROOT / "Makefile").read_text("utf-8")


def documents(text: str) -> dict[tuple[str, str], str]:
    """Every document of a YAML text by (kind, name), as JSON, which is YAML too."""
    found = [document.value for document, _ in read("page", text) if isinstance(document, Document)]
    return {(each["kind"], each["metadata"]["name"]): json.dumps(each) for each in found}


SAMPLE = {
    key: text
    for path in sorted((wire.ROOT / "specs").rglob("*.yaml"))
    for key, text in documents(path.read_text("utf-8")).items()
}


def test_the_sample_fleet_holds() -> None:
    """specs/ has three users and nothing to complain about."""
    files = {str(path): path.read_text("utf-8") for path in (wire.ROOT / "specs").rglob("*.yaml")}
    specs = load(files)
    assert specs.problems == ()
    assert sorted(specs.users) == ["alice", "bob", "carol"]


@pytest.mark.parametrize(("where", "text"), [pytest.param(*each, id=each[0]) for each in blocks("yaml")])
def test_yaml_of_the_docs_holds(where: str, text: str) -> None:
    """Each block is a fleet by itself, or holds within the sample fleet in place of what it names anew."""
    shown = documents(text)
    is_whole = any(kind == "Fleet" for kind, _ in shown) and len(shown) > 1
    kinds = {kind for kind, _ in shown} & {"Fleet", "Router"}
    beside = {key: other for key, other in SAMPLE.items() if key not in shown and key[0] not in kinds}
    files = {where: text, **({} if is_whole else {str(key): other for key, other in beside.items()})}
    assert [str(problem) for problem in load(files).problems] == []


def test_the_page_about_the_spec_language_is_made_from_the_models() -> None:
    """Its tables cannot lag behind: whoever changes a field or a finding makes the page anew."""
    assert PAGE.read_text("utf-8") == page(), "run: python -m docs.source.page"


def test_every_kind_has_a_section_with_a_table() -> None:
    """A kind that is added is a section too, and each of its fields stands in it."""
    text = PAGE.read_text("utf-8")
    for kind in KINDS:
        section = text.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
        assert "```yaml" in section, kind
        assert "| field | type | default | meaning |" in section, kind
        assert f"[`{kind}`](#{kind.lower()})" in text


def test_every_fenced_block_says_what_it_is() -> None:
    """No block hides a command from the tests above by naming no language, or one that they do not know."""
    known = ("console", "sh", "yaml", *SHOWN_ONLY)
    languages = {match["language"] for page in PAGES for match in FENCE.finditer(page.read_text("utf-8"))}
    assert languages <= set(known)


def flags(command: Any) -> set[str]:
    """Every flag of a command and of those below it."""
    own = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(flags(below) for below in getattr(command, "commands", {}).values()))


@pytest.mark.wire
async def test_every_flag_that_the_docs_name_exists() -> None:
    """A flag on any page is one that some command of ours takes, or another maker's."""
    told = await wire.finished(wire.PYTHON, "-m", "localfly", "--help")
    known = (
        OF_OTHERS
        | flags(typer.main.get_command(cli.app))
        | set(FLAG.findall(told.out))
        | {"--debug", "--help"}
    )
    named = {flag for path in PAGES for flag in FLAG.findall(path.read_text("utf-8"))}
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    """Every relative link of a page is a file or folder that is there."""
    targets = LINK.findall(page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
