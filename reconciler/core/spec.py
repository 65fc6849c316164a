"""Everything that a folder of YAML says, and everything that is wrong with it.

Answers for which documents hold. Text is read by `document`, fields by `kinds`, what one document
says about another by `reference`; files are read by `reconciler.source`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from reconciler.core.envelope import Held, Reading, read
from reconciler.core.kinds import KINDS, FleetSpec, MachineSpec, RouterSpec, SecretSpec, UserAppSpec
from reconciler.core.problem import Problem, quote
from reconciler.core.reference import Library, check_references

Json = Any

ENV_PREFIX = "FLEET_SECRET_"
ONE_OF_A_KIND = ("Fleet", "Router")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder that is there and could not be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class FleetDoc:
    name: str
    spec: FleetSpec


@dataclass(frozen=True, slots=True)
class Specs:
    """The documents that hold, by name; all references between them lead somewhere."""

    fleet: FleetDoc | None = None  # None: there is none that holds, and `users` is empty
    router: RouterSpec | None = None  # None: there is none, or it does not hold and `users` is empty
    users: Mapping[str, UserAppSpec] = field(default_factory=lambda: MappingProxyType({}))
    machines: Mapping[str, MachineSpec] = field(default_factory=lambda: MappingProxyType({}))
    services: Mapping[str, Mapping[str, Json]] = field(default_factory=lambda: MappingProxyType({}))
    secrets: Mapping[str, SecretSpec] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()  # errors, sorted by file and line
    warnings: tuple[Problem, ...] = ()  # sorted likewise; what they are about holds
    broken: frozenset[str] = frozenset()  # UserApp names whose document, or one it needs, does not hold
    complete: bool = True  # False: a file or document could not be read; any name may be in it

    @property
    def findings(self) -> tuple[Problem, ...]:
        """Errors and warnings, sorted by file and line."""
        return tuple(sorted((*self.problems, *self.warnings), key=_place))

    @property
    def auth(self) -> Literal["signed", "psk", "none"]:
        """How replays are proven; without a `Router` there are none to prove."""
        return self.router.auth if self.router else "none"


def load(files: Mapping[str, str | Unreadable], *, env_prefix: str = ENV_PREFIX, root: str = ".") -> Specs:
    """Read every document of every file; never fails: what is wrong stands in `problems`.

    `files` maps the name shown in problems to the file's text. `env_prefix` is what a `Secret`'s
    `from.env` must begin with. `root` is shown for problems that belong to no file.
    """
    return assemble(
        {
            file: content if isinstance(content, Unreadable) else read(file, content, env_prefix=env_prefix)
            for file, content in files.items()
        },
        root=root,
    )


def assemble(readings: Mapping[str, Reading | Unreadable], *, root: str = ".") -> Specs:
    """Put together files that were read one by one; the second half of `load`."""
    problems: list[Problem] = []
    lost: list[str] = []
    of_no_kind: set[str] = set()
    libraries = {kind: Library(kind) for kind in KINDS}
    unreadable = False
    for file, reading in sorted(readings.items()):
        if isinstance(reading, Unreadable):
            unreadable = True
            problems.append(Problem(file, None, None, "", f"cannot be read: {reading.reason}", "unreadable"))
            continue
        problems += reading.problems
        lost += (piece.text for piece in reading.lost)
        of_no_kind |= {broken.name for broken in reading.broken if broken.kind not in libraries}
        problems += _shelve(reading, libraries)
    for kind, library in libraries.items():
        if not (kind in ONE_OF_A_KIND and library.held):
            library.broken |= of_no_kind - library.held.keys()  # it may have been meant as any
    complete = not (unreadable or lost)
    lost_text = "\0".join(lost)  # no name holds a NUL

    def may_be_lost(word: str) -> bool:
        return unreadable or (bool(lost) and word in lost_text)

    problems += check_references(libraries, may_be_lost=may_be_lost)
    if not libraries["Fleet"].held and not libraries["Fleet"].broken and not may_be_lost("Fleet"):
        problems.append(
            Problem(root, None, None, "", "there is no Fleet document; expected exactly one", "no-fleet")
        )
    return _specs(libraries, problems, complete=complete)


def _shelve(reading: Reading, libraries: Mapping[str, Library]) -> Iterator[Problem]:
    """Sort documents by kind and name; of two with the same, neither holds."""
    for broken in reading.broken:
        if broken.kind in libraries:
            libraries[broken.kind].drop(broken.name)
    for held in reading.held:
        library = libraries[held.kind]
        first = library.held.get(held.name)
        if first is not None:
            yield held.document.problem(
                ("metadata", "name"),
                f"there is another {held.kind} called {quote(held.name)} in "
                f"{first.document.where}; names are unique",
                code="document-twice",
            )
        if first is not None or held.name in library.broken:
            library.drop(held.name)
        else:
            library.held[held.name] = held


def _specs(libraries: Mapping[str, Library], problems: Iterable[Problem], *, complete: bool) -> Specs:
    def by_name(kind: str) -> Mapping[str, Any]:
        held = libraries[kind].held
        return MappingProxyType({name: held[name].spec for name in sorted(held)})

    def only(kind: str) -> Held | None:
        library = libraries[kind]  # beside a broken one nobody knows which is meant
        return next(iter(library.held.values()), None) if not library.broken else None

    fleet, router = only("Fleet"), only("Router")
    every = sorted(set(problems), key=_place)
    return Specs(
        fleet=FleetDoc(fleet.name, fleet.spec) if fleet else None,
        router=router.spec if router else None,
        users=by_name("UserApp"),
        machines=by_name("Machine"),
        services=by_name("Service"),
        secrets=by_name("Secret"),
        problems=tuple(problem for problem in every if problem.severity == "error"),
        warnings=tuple(problem for problem in every if problem.severity == "warning"),
        broken=frozenset(libraries["UserApp"].broken),
        complete=complete,
    )


def _place(problem: Problem) -> tuple[str, int, int, str, str]:
    return problem.file, problem.line or 0, problem.column or 0, problem.path, problem.message
