"""Valid specs, changed at random: nothing may crash, hang, or be accepted and then ignored.

    python -m tests.core.fuzz_specs --inputs 100000 --seed 1

tells how many inputs it made and how many distinct branches of `reconciler.core` they reached.
"""

import argparse
import copy
import json
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from types import FrameType
from typing import Any

from reconciler.core.desired import resolve
from reconciler.core.document import Document
from reconciler.core.document import documents as read_documents
from reconciler.core.finding import FINDINGS
from reconciler.core.spec import Specs, load
from tests import wire
from tests.core.fuzz_seeds import seeds

LONGEST_S = 20  # one input; whatever takes longer hangs
MANY = 3  # mutations of one input, at most
CORE = str(wire.ROOT / "reconciler" / "core")
FREE = frozenset(
    {"env", "labels", "metadata", "headers", "checks", "overrides", "values"}
)  # any key may stand there
IGNORED = ("labels",)  # what nothing depends on, by design
WORDS = (
    *("alice", "lhrr", "../x", "☃", "a" * 300, "\0", "{name}", "{nope}"),
    *("0x10", "off", "null", "1e999", " ", ""),
)
TEXT = (
    *("\t", "\ufeff", "\r", "\x00", "&a ", "*a", "<<: ", "!!str ", "- ", ": ", "{", "]", "'", '"', "|", "#"),
    *("---\n", "...\n", "[" * 3000, "{a: " * 500),
)


@dataclass(frozen=True, slots=True)
class Input:
    """One set of files, and whether it must change what is wanted or be complained about."""

    files: Mapping[str, str]
    because: str
    must_tell: bool  # a problem, or another desired state
    must_complain: bool


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    inputs: int = 0
    refused: int = 0  # with at least one problem
    by_kind: Counter[str] = field(default_factory=Counter)
    branches: set[tuple[str, int, int]] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def inputs(random: Random) -> Iterator[Input]:
    """For ever."""
    held = seeds()
    while True:
        files = dict(random.choice(held))
        if random.random() < 0.3:
            yield _text_input(files, random)
        else:
            yield _value_input(files, random)


def state(specs: Specs) -> str:
    """Everything that documents can bring about, as one text."""
    apps = [repr(resolve(specs, name, secrets_digest=None, key_id=None)) for name in sorted(specs.users)]
    secrets = {name: repr(secret) for name, secret in sorted(specs.secrets.items())}
    return repr((specs.fleet and specs.fleet.spec, specs.router, apps, secrets))


def check(case: Input, before: str) -> str:
    """What is wrong with how `case` was taken; "" when nothing is."""
    specs = load(case.files)
    for problem in specs.findings:
        line = str(problem)
        if "\n" in line or not line.isprintable() or problem.code not in FINDINGS:
            return f"not one printable line with a registered code: {line!r}"
    after = state(specs)
    for name in specs.users:
        for machine in resolve(specs, name, secrets_digest=None, key_id=None).machines:
            json.dumps(machine.config, allow_nan=False)
    if case.must_complain and not specs.problems:
        return "accepted"
    if case.must_tell and not specs.problems and after == before:
        return "accepted, and then ignored"
    return ""


def run(count: int, random: Random, *, is_traced: bool = False) -> Tally:
    """Try `count` inputs; faults are lines that name the mutation and hold the files."""
    tally = Tally()
    known = {json.dumps(files): state(load(files)) for files in seeds()}
    states = {frozenset(files): known[json.dumps(files)] for files in seeds()}
    for case in inputs(random):
        if tally.inputs == count:
            return tally
        tally.inputs += 1
        with _watched(tally.branches if is_traced else None):
            try:
                fault = check(case, states[frozenset(case.files)])
            except Exception as error:  # noqa: BLE001 (whatever it is, it is what this looks for)
                fault = f"{type(error).__name__}: {error}"
        tally.by_kind[case.because.partition(" ")[0]] += 1
        if fault:
            tally.faults.append(f"{case.because}: {fault}\n{json.dumps(dict(case.files))}")
    return tally


def _value_input(files: dict[str, str], random: Random) -> Input:
    file = random.choice(sorted(files))
    read = (document for document, _ in read_documents(file, files[file]))
    documents = [copy.deepcopy(each.value) for each in read if isinstance(each, Document)]
    number = random.randrange(len(documents))
    places = list(_places(documents[number], ()))
    path, parent, key = random.choice(places)
    kind = random.choice(("unknown", "drop", "type", "leaf", "word", "wrap"))
    must_tell, must_complain = _mutate(kind, parent, key, random)
    is_free = any(step in IGNORED for step in path) or path[-1] == "apiVersion"
    is_free |= kind == "unknown" and path[:-1] == ("spec", "source", "rows")  # a column more
    in_free_map = any(step in FREE for step in path[:-1])
    files[file] = "\n---\n".join(json.dumps(each, indent=1) for each in documents)  # JSON is YAML
    where = ".".join(map(str, path))
    return Input(
        files,
        f"{kind} at {file}[{number}].{where}",
        must_tell=must_tell and not is_free and not _is_label(path, documents[number]),
        must_complain=must_complain and not is_free and not in_free_map,
    )


def _mutate(kind: str, parent: Any, key: Any, random: Random) -> tuple[bool, bool]:
    """Change one place; whether it must tell, and whether it must be complained about."""
    value = parent[key]
    if kind == "unknown" and isinstance(value, dict) and key not in FREE:
        value[f"zz{random.randrange(100)}"] = random.choice((1, "x", None, True, [], {}))
        return True, True
    if kind == "drop" and isinstance(parent, dict):
        del parent[key]
        return False, False  # many a field may be left out, and its default be the same
    if kind == "type":
        others: list[Any] = [[], {}, 7, "seven", True, 1.5, None, [value], {"a": value}]
        new = random.choice([each for each in others if type(each) is not type(value)])
    elif kind == "leaf" and isinstance(value, int | float | str):
        new = _another(value, random)
    elif kind == "word":
        new = random.choice(WORDS)
    elif kind == "wrap":
        new = value
        for _ in range(random.choice((1, 3, 200))):
            new = [new]
    else:
        new = f"not {str(value)[:50]}"
    parent[key] = new
    return new != value and new not in (None, [], {}, [None], [[]], [{}]), False


def _another(value: Any, random: Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return random.choice((value + 1, -value - 1, 0 if value else 1, 10**30, value + 0.5))
    return random.choice((value + "x", value[::-1] + "y", value.upper() + "Z", value[:-1] + "ü"))


def _is_label(path: tuple[Any, ...], document: Any) -> bool:
    """A name that only people read: of a service in place, of a set, a Fleet, a Router."""
    kind = document.get("kind") if isinstance(document, dict) else None
    if path[:2] == ("metadata", "name"):
        return kind in ("Fleet", "Router", "UserAppSet")
    if path[-2:] == ("mount", "name"):  # the volume's own name stands for it
        return "volume_name" in _at(document, path[:-1])
    in_services = "services" in path and path[-1] == "name" and len(path) > 1 and isinstance(path[-2], int)
    return in_services or (kind == "Service" and path == ("spec", "name"))


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key), value, key
        yield from _places(item, (*path, key))


def _text_input(files: dict[str, str], random: Random) -> Input:
    file = random.choice(sorted(files))
    text = files[file]
    done = []
    for _ in range(random.randint(1, MANY)):
        at = random.randrange(len(text) + 1)
        kind, change = random.choice(sorted(_TEXT_CHANGES.items()))
        text = change(text, at, random)
        done.append(f"{kind}@{at}")
    files[file] = text
    return Input(files, f"text {file} {' '.join(done)}", must_tell=False, must_complain=False)


_TEXT_CHANGES: Mapping[str, Callable[[str, int, Random], str]] = {
    "insert": lambda text, at, random: text[:at] + random.choice(TEXT) + text[at:],
    "delete": lambda text, at, random: text[:at] + text[at + random.randint(1, 5) :],
    "cut": lambda text, at, _random: text[:at],
    "double": lambda text, at, random: text[:at] + text[max(0, at - random.randint(1, 200)) :],
    "case": lambda text, at, _random: text[:at] + text[at : at + 10].swapcase() + text[at + 10 :],
    "tag": lambda text, at, _random: text[:at] + "!!python/object:os.system " + text[at:],
    "dedent": lambda text, at, _random: text[:at] + text[at:].replace("\n  ", "\n", 1),
}


class _watched:  # noqa: N801 (reads as a verb where it is used)
    """Ends an input that hangs; notes the branches it takes."""

    def __init__(self, branches: set[tuple[str, int, int]] | None) -> None:
        self._branches = branches

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(LONGEST_S)
        if self._branches is not None:
            sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        signal.alarm(0)

    def _call(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(CORE):
            return None
        branches, last = self._branches, frame.f_lineno

        def line(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal last
            if event == "line" and branches is not None:
                branches.add((file, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"took more than {LONGEST_S} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--branches", action="store_true", help="count them: slower")
    given = parser.parse_args()
    tally = run(given.inputs, Random(given.seed), is_traced=given.branches)  # noqa: S311 (to be had again)
    kinds = ", ".join(f"{number} {kind}" for kind, number in tally.by_kind.most_common())
    branches = f", {len(tally.branches)} distinct branches" if given.branches else ""
    print(f"{tally.inputs} inputs ({kinds}){branches}, {len(tally.faults)} faults")
    for fault in tally.faults[:20]:
        print(fault)
    return bool(tally.faults)


if __name__ == "__main__":
    sys.exit(main())
