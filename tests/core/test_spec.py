"""What a folder of YAML may say, and the exact words for what it may not."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler.core.complaint import fields_at
from reconciler.core.document import MOST_VALUES
from reconciler.core.finding import FINDINGS
from reconciler.core.machine_config import MachineConfig
from reconciler.core.spec import Specs, Unreadable, load
from tests.core import sample

CASES = Path(__file__).with_name("bad_specs.txt")
UNREADABLE = "!!! "


@dataclass(frozen=True)
class Case:
    """A block of the golden file: `=== name`, the YAML, `>>> line` for each problem.

    `!!! file: reason` among them is a file that cannot be read.
    """

    name: str
    text: str
    expected: list[str]

    @property
    def files(self) -> dict[str, str | Unreadable]:
        yaml = "".join(f"{line}\n" for line in self.text.split("\n")[:-1] if not line.startswith(UNREADABLE))
        files: dict[str, str | Unreadable] = {"new.yaml": yaml}
        if "kind: Fleet" not in self.text and "base.yaml" not in self.text:
            files["base.yaml"] = sample.BASE
        for line in self.text.split("\n"):
            if line.startswith(UNREADABLE):
                file, _, reason = line.removeprefix(UNREADABLE).partition(": ")
                files[file] = Unreadable(reason)
        return files

    @property
    def found(self) -> list[str]:
        specs = load(self.files)
        said = [str(problem) for problem in specs.findings]
        return [line for line in said if "base.yaml" not in line or " warning: " not in line]


def cases() -> list[Case]:
    found = []
    for block in CASES.read_text(encoding="utf-8").split("=== ")[1:]:
        name, _, rest = block.partition("\n")
        lines = rest.rstrip("\n").split("\n")
        text = "\n".join(line for line in lines if not line.startswith(">>> ")) + "\n"
        found.append(Case(name, text, [line[4:] for line in lines if line.startswith(">>> ")]))
    return found


def test_the_golden_file_is_as_it_was_written() -> None:
    """WRITE_BAD_SPECS=1 in the environment writes what is found now into the golden file, for review."""
    if os.environ.get("WRITE_BAD_SPECS"):
        blocks = (
            f"=== {case.name}\n{case.text}" + "".join(f">>> {line}\n" for line in case.found)
            for case in cases()
        )
        CASES.write_text("".join(blocks), encoding="utf-8")
    assert len(cases()) >= 120


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases()])
def test_a_mistake_is_one_exact_line(case: Case) -> None:
    """Every mistake of the golden file is said in exactly these words, at this place, and nothing else is."""
    assert case.found == case.expected, "WRITE_BAD_SPECS=1 rewrites the golden file"


def test_every_finding_is_explained_and_shown_by_an_example() -> None:
    """No code is found that `FINDINGS` does not explain, and each stands in an expected line of some test."""
    raised = {line.rsplit("[", 1)[1].removesuffix("]") for case in cases() for line in case.expected}
    assert raised <= FINDINGS.keys()
    tests = CASES.parent.parent.rglob("*")
    expected = "".join(file.read_text("utf-8") for file in tests if file.suffix in (".py", ".txt"))
    shown = {code for code in FINDINGS if f"[{code}]" in expected}
    assert FINDINGS.keys() - shown == {"bad-value"}  # for what a later pydantic may say


def holds(*documents: str) -> Specs:
    specs = load({"base.yaml": sample.BASE, "more.yaml": "\n---\n".join(documents)})
    assert [str(problem) for problem in specs.problems] == []
    assert specs.complete
    return specs


def test_a_fleet_that_holds_has_no_problems() -> None:
    """The sample fleet loads whole: every kind, by name."""
    specs = holds(sample.user(), sample.user("bob"))
    assert list(specs.users) == ["alice", "bob"]
    assert list(specs.machines) == ["studio"]
    assert list(specs.services) == ["management", "public"]
    assert list(specs.secrets) == ["API_KEY"]
    assert specs.fleet is not None
    assert specs.fleet.spec.installation == "a1b2c3"
    assert specs.router is not None
    assert [(door.host, door.port) for door in specs.router.listeners] == [
        ("0.0.0.0", 8080),
        ("0.0.0.0", 9090),
    ]
    assert specs.broken == frozenset()


def test_no_files_are_no_fleet_and_not_a_crash() -> None:
    """An empty folder says what is missing, at the folder."""
    specs = load({}, root="specs")
    assert [str(problem) for problem in specs.problems] == [
        "specs: there is no Fleet document; expected exactly one [no-fleet]"
    ]
    assert specs.fleet is None


def test_a_broken_document_leaves_the_others_standing() -> None:
    """One user's mistake costs that user's document only, and its name is known."""
    specs = load(
        {
            "base.yaml": sample.BASE,
            "alice.yaml": sample.user("alice"),
            "bob.yaml": sample.user("bob", more="  hoosts: []\n"),
        }
    )
    assert list(specs.users) == ["alice"]
    assert specs.broken == {"bob"}
    assert specs.complete


def test_a_syntax_error_leaves_the_other_documents_of_the_file_standing() -> None:
    """What cannot be parsed ends at the next document marker; whose it was, nobody knows."""
    broken = 'kind: UserApp\nmetadata: {name: "bob\n'
    specs = load(
        {"base.yaml": sample.BASE, "users.yaml": "---\n".join([sample.user("a"), broken, sample.user("c")])}
    )
    assert list(specs.users) == ["a", "c"]
    assert not specs.complete


@pytest.mark.parametrize(
    "documents",
    [
        sample.MACHINE.replace("image:", "imagee:").replace("name: studio", "name: other"),
        sample.MACHINE.replace("name: studio", "name: other").replace("public]", "publik]"),
        sample.MACHINE.replace("name: studio", "name: other").replace("kind: Machine", "kind: Machin"),
    ],
    ids=["unknown field", "dangling reference", "unknown kind"],
)
def test_a_user_app_whose_template_is_broken_is_broken_too(documents: str) -> None:
    """It is named in `broken`, and the one problem is said once: at the template."""
    specs = load(
        {
            "base.yaml": sample.BASE,
            "other.yaml": documents,
            "users.yaml": sample.user("alice")
            + "---\n"
            + sample.user("bob", machine="name: web, template: other"),
        }
    )
    assert specs.broken >= {"bob"}
    assert list(specs.users) == ["alice"]
    assert {problem.file for problem in specs.problems} == {"other.yaml"}


def test_a_broken_router_keeps_every_user_as_it_is() -> None:
    """Without the router nobody knows hosts or keys: no user app holds, none counts as gone."""
    broken = sample.BASE.replace("domains:", "domain:")
    specs = load({"base.yaml": broken, "alice.yaml": sample.user()})
    assert specs.router is None
    assert specs.users == {}
    assert specs.broken == {"alice"}


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        ("metadata: {name: alice}", "metadata: {name: alice, name: alicia}"),
        ("metadata: {name: alice}", "metadata: {name: alice}\nmetadata: {name: alicia}"),
        ("kind: UserApp", "kind: UserApp\nkind: Machine"),
    ],
    ids=["name", "metadata", "kind"],
)
def test_a_document_that_says_twice_whose_it_is_may_be_anybodys(once: str, twice: str) -> None:
    """Neither of the two names may count as gone, and nobody knows which one is meant."""
    specs = load({"base.yaml": sample.BASE, "alice.yaml": sample.user().replace(once, twice)})
    assert specs.users == {}
    assert not specs.complete


def test_an_unreadable_file_may_hold_anything() -> None:
    """A file that cannot be read makes the source incomplete, and its absence breaks no reference loudly."""
    base = "---\n".join([sample.FLEET, sample.ROUTER])
    specs = load({"base.yaml": base, "more.yaml": Unreadable("permission denied"), "u.yaml": sample.user()})
    assert [str(problem) for problem in specs.problems] == [
        "more.yaml: cannot be read: permission denied [unreadable]"
    ]
    assert not specs.complete
    assert specs.broken == {"alice"}


def test_an_unparsable_router_is_not_a_missing_one() -> None:
    """When the text that was lost may have been the Router, users keep what they had."""
    base = "---\n".join([sample.FLEET, sample.SERVICES, sample.MACHINE, sample.SECRET])
    specs = load({"base.yaml": base, "router.yaml": sample.ROUTER + "  - [", "alice.yaml": sample.user()})
    assert specs.broken == {"alice"}
    assert specs.users == {}


def test_a_fleet_needs_no_router() -> None:
    """Machines can be kept without sending anybody to them; then there are no replays to prove."""
    specs = load(
        {"base.yaml": "---\n".join([sample.FLEET, sample.SERVICES, sample.MACHINE]), "a": sample.user()}
    )
    assert specs.problems == ()
    assert specs.auth == "none"
    assert list(specs.users) == ["alice"]


def test_the_order_of_files_and_documents_does_not_matter() -> None:
    """References may lead forward, backward and to other files."""
    documents = [*sample.BASE.split("---\n"), sample.user()]
    forward = load({f"{n}.yaml": text for n, text in enumerate(documents)})
    backward = load({"all.yaml": "---\n".join(reversed(documents))})
    assert replace(forward, warnings=()) == replace(backward, warnings=())
    assert len(forward.warnings) == len(backward.warnings)


def test_the_prefix_of_offered_variables_is_the_process_matter() -> None:
    """Another prefix offers other variables; no document can widen it."""
    secret = sample.SECRET.replace("FLEET_SECRET_", "OURS_").replace("name: API_KEY", "name: OTHER")
    files = {"base.yaml": sample.BASE, "secret.yaml": secret}
    assert [str(problem) for problem in load(files).problems] == [
        'secret.yaml:4:20: spec.from.env: "OURS_API_KEY" is not offered to documents; '
        "expected a variable that begins with FLEET_SECRET_ [secret-not-offered]"
    ]
    files["base.yaml"] = sample.BASE.replace("FLEET_SECRET_", "OURS_")
    assert load(files, env_prefix="OURS_").problems == ()


def test_the_services_block_of_flys_guide_works_pasted() -> None:
    """The guide's JSON, `name` and all, is a machine's config as it stands."""
    specs = holds(
        """\
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: guide}
spec:
  config: {
    "image": "registry.fly.io/studio:1",
    "services": [
      {
        "name": "management",
        "internal_port": 9090,
        "ports": [
          {
            "port": 9090,
            "handlers": ["http"]
          }
        ]
      },
\t  {
        "name": "public",
        "internal_port": 8080,
        "ports": [
          {
            "port": 80,
            "handlers": ["http"]
          }
        ]
      }
    ]
  }
""",
        sample.user(machine="name: web, template: guide"),
    )
    assert [service["name"] for service in specs.machines["guide"].config["services"]] == [
        "management",
        "public",
    ]


def used_fields(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, frozenset[str], str]]:
    """(place, fields known there, field used there) for every field of every object in a machine config."""
    if isinstance(value, dict):
        known = fields_at(MachineConfig, path)
        place = ".".join(str(step) for step in path if isinstance(step, str))
        for name, inner in value.items():
            yield place, known, name
            yield from used_fields(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from used_fields(inner, (*path, index))


def test_every_field_of_a_machine_config_is_known() -> None:
    """A config that uses each field of the Machines API's machine config and service objects holds."""
    text = (Path(__file__).with_name("every_field.yaml")).read_text(encoding="utf-8")
    specs = holds(text, sample.user(machine="name: web, template: every"))
    known: dict[str, frozenset[str]] = {}
    used: defaultdict[str, set[str]] = defaultdict(set)
    for place, names, name in used_fields(specs.machines["every"].config):
        known[place] = names
        used[place].add(name)
    unused = {f"{place}.{name}" for place, names in known.items() for name in names - used[place]}
    assert unused == {".size", ".standbys"}  # these exclude others; the next test has them


@pytest.mark.parametrize(
    "field", ["size: shared-cpu-1x", "standbys: [148e21ea7e9189]", "guest: null", "env: null"]
)
def test_a_machine_config_may_also_say(field: str) -> None:
    """Fields that exclude those of the other test, and nulls as Fly's replies hold them."""
    text = f"""\
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {{name: other}}
spec: {{config: {{image: x, {field}}}}}
"""
    assert list(holds(text).machines) == ["other", "studio"]


def test_a_file_of_mistakes_costs_little_and_says_how_many_it_keeps_to_itself() -> None:
    """Beyond a thousand problems of a file, and a hundred of a document, the rest is only counted."""
    bad = [sample.user(f"u{number}", more="  hoosts: []\n") for number in range(1_500)]
    specs = load({"base.yaml": sample.BASE, "users.yaml": "---\n".join([*bad, sample.user("zoe")])})
    assert len(specs.problems) == 1_001
    assert str(specs.problems[0]) == (
        "users.yaml: the problems of 500 more documents are not shown [more-problems]"
    )
    assert len(specs.broken) == 1_500
    assert list(specs.users) == ["zoe"]
    wide = sample.user(more="".join(f"  x{number}: 1\n" for number in range(300)))
    told = [str(problem) for problem in load({"base.yaml": sample.BASE, "a.yaml": wide}).problems]
    assert len(told) == 101
    assert told[0] == "a.yaml:1:1: 200 more problems like these are not shown [more-problems]"


def test_a_document_beyond_measure_is_refused_and_the_others_stand() -> None:
    """One document of hundreds of thousands of values would cost gigabytes; it is one line instead."""
    wide = "apiVersion: reconciler/v1alpha1\nkind: UserApp\nspec:\n" + "- a\n" * (MOST_VALUES + 1)
    specs = load({"base.yaml": sample.BASE, "a.yaml": f"{wide}---\n{sample.user()}"})
    (line,) = [str(problem) for problem in specs.problems]
    assert line == (
        f"a.yaml:{MOST_VALUES}:3: a document holds at most {MOST_VALUES} values; "
        "a UserAppSet takes more rows from a file [yaml-too-large]"
    )
    assert list(specs.users) == ["alice"]
    assert not specs.complete


def test_problems_cannot_forge_lines() -> None:
    """A line break or an escape sequence in a document stays inside the one line of its problem."""
    text = sample.user(more='  "x\\n\\e[31mspecs/a.yaml:1:1: y": 1\n')
    (problem,) = load({"base.yaml": sample.BASE, "a\nb.yaml": text}).problems
    assert str(problem).isprintable()
    assert "\n" not in str(problem)
