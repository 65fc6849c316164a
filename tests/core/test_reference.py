"""Documents beside each other, over fleets that were broken in every way that a fuzzer finds."""

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.desired import resolve
from reconciler.core.document import Document, documents
from reconciler.core.library import MOST_GUESSES
from reconciler.core.spec import Specs, load
from tests.core import sample

USERS = [
    sample.user("alice", more="  hosts: [alice.example.com, a.example.com]\n  secrets: [API_KEY]\n"),
    sample.user("bob", machine="name: web, template: studio, count: 2, config: {env: {MODE: null, B: x}}"),
    sample.user("carol", machine="name: a-b, template: studio, mount: {name: data, path: /data, size_gb: 1}"),
]


def parsed(text: str) -> list[Any]:
    return [found.value for found, _ in documents("", text) if isinstance(found, Document)]


FLEET = parsed("\n---\n".join([sample.BASE, *USERS]))

WORDS = ["", "x", "alice", "{name}", "API_KEY", "studio", "a\nb", "\u202e", "é", "www", "[::]:80", "lhr", "-"]
MORE_WORDS = ["a.example.com", "x" * 300]
COLLECTIONS: list[Any] = [[], {}, [[]], {"a": None}, ["x", "x"], {"name": "x"}]
ODD = st.sampled_from([None, True, 0, -1, 1.5, 10**30, *WORDS, *MORE_WORDS, *COLLECTIONS])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a value, the value itself first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, child in inner for place in places(child, (*path, step)))]


@st.composite
def broken_fleets(draw: st.DrawFn) -> list[Any]:
    """The sample fleet after a few replaced, removed, renamed, doubled and swapped parts."""
    fleet = copy.deepcopy(FLEET)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(fleet)[1:] or [(0,)]))
        parent: Any = fleet
        for step in path[:-1]:
            parent = parent[step]
        if not parent:
            continue
        match draw(st.sampled_from(["replace", "remove", "rename", "double", "graft"])):
            case "replace":
                parent[path[-1]] = copy.deepcopy(draw(ODD))
            case "remove":
                del parent[path[-1]]
            case "rename" if isinstance(parent, dict):
                new = draw(st.sampled_from(["nmae", "env", "services", "x y", "from"]))
                parent[new] = parent.pop(path[-1])
            case "double" if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[path[-1]]))
            case _:
                other = draw(st.sampled_from(places(FLEET)[1:]))
                value: Any = FLEET
                for step in other:
                    value = value[step]
                parent[path[-1]] = copy.deepcopy(value)
    return fleet


def consistent(specs: Specs) -> None:
    """What `Specs` promises, however bad its source."""
    assert not specs.users.keys() & specs.broken
    assert bool(specs.problems) or (specs.complete and not specs.broken)
    for problem in specs.problems:
        assert str(problem).isprintable()
        assert problem.message
    hosts: list[str] = []
    for name in specs.users:
        app = resolve(specs, name, secrets_digest=None, key_id=None)
        hosts += app.hosts
        for machine in app.machines:
            assert machine.config.get("image") or machine.config.get("containers")
            json.dumps(machine.config, allow_nan=False)
    assert len(hosts) == len(set(hosts))


@settings(max_examples=300, deadline=None)
@given(broken_fleets(), st.randoms(use_true_random=False))
def test_a_fleet_broken_anyhow_gives_problems_and_what_still_holds(fleet: list[Any], random: Any) -> None:
    """No mutation of a good fleet crashes the loader, and every user that it passes can be resolved."""
    random.shuffle(fleet)
    specs = load({"fleet.yaml": "\n---\n".join(json.dumps(document) for document in fleet)})
    consistent(specs)
    if specs.complete and not specs.problems:
        assert specs.fleet is not None


TYPED = st.text(st.sampled_from("\t\n -:[]{}&*!|>'\"%#,?ab0\0é~"), max_size=3)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 4000), TYPED, st.integers(0, 40))
def test_a_text_broken_anywhere_gives_problems_and_what_still_holds(at: int, put: str, cut: int) -> None:
    """Typing or deleting anything anywhere in the text of a good fleet is survived as well."""
    text = "\n---\n".join([sample.BASE, *USERS])
    at %= len(text)
    consistent(load({"fleet.yaml": text[:at] + put + text[at + cut :]}))


def test_the_good_fleet_is_good() -> None:
    """What the fuzzers start from has no problem and three users."""
    specs = load({"fleet.yaml": "\n---\n".join(json.dumps(document) for document in FLEET)})
    assert [str(problem) for problem in specs.problems] == []
    assert list(specs.users) == ["alice", "bob", "carol"]
    consistent(specs)


def test_two_users_on_one_host_both_keep_what_they_had() -> None:
    """Nobody can tell whose the host is, so neither document holds and neither counts as gone."""
    specs = load(
        {
            "base.yaml": sample.BASE,
            "a.yaml": sample.user("alice"),
            "b.yaml": sample.user("bob", more="  hosts: [alice.example.com]\n"),
            "c.yaml": sample.user("carol"),
        }
    )
    assert specs.broken == {"alice", "bob"}
    assert list(specs.users) == ["carol"]
    assert specs.complete


def test_a_document_of_an_unknown_kind_endangers_only_its_name() -> None:
    """A misspelt kind may have been meant as a user app; that name does not count as gone, others go on."""
    text = sample.user("bob").replace("kind: UserApp", "kind: UserAp")
    specs = load({"base.yaml": sample.BASE, "a.yaml": sample.user("alice"), "b.yaml": text})
    assert list(specs.users) == ["alice"]
    assert specs.broken == {"bob"}


def test_a_broken_fleet_beside_a_good_one_is_no_fleet() -> None:
    """Nobody knows which of them is meant: no user app holds until one is left."""
    second = sample.FLEET.replace("name: main", "name: other").replace("org:", "organisation:")
    specs = load({"base.yaml": sample.BASE, "fleet.yaml": second, "a.yaml": sample.user()})
    assert specs.fleet is None
    assert specs.broken == {"alice"}


def test_a_missing_template_for_many_users_is_quickly_said() -> None:
    """A nearest name costs a look at all of them: the first problems have one, the others are only said."""
    machines = "---\n".join(
        sample.MACHINE.replace("name: studio", f"name: m{number:05}") for number in range(2000)
    )
    specs = load(
        {
            "base.yaml": sample.BASE,
            "machines.yaml": machines,
            "users.yaml": "---\n".join(
                sample.user(f"u{number}", machine=f"name: web, template: m0{number:03}x")
                for number in range(200)
            ),
        }
    )
    assert len(specs.problems) == 200
    guessed = ['did you mean "m0' in str(problem) for problem in specs.problems]
    assert sum(guessed) == MOST_GUESSES
