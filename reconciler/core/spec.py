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
from reconciler.core.library import Library, Remembered
from reconciler.core.problem import Problem, quote
from reconciler.core.reference import ONE_OF_A_KIND, check_references
from reconciler.core.table import Format, Unread, read_table
from reconciler.core.user_app_set import Expanded, RememberedSets, Tables, expand, wanted_table
from reconciler.core.users import Users

Json = Any

ENV_PREFIX = "FLEET_SECRET_"


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
    users: Mapping[str, UserAppSpec] = field(default_factory=lambda: Users({}))
    machines: Mapping[str, MachineSpec] = field(default_factory=lambda: MappingProxyType({}))
    services: Mapping[str, Mapping[str, Json]] = field(default_factory=lambda: MappingProxyType({}))
    secrets: Mapping[str, SecretSpec] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()  # errors, sorted by file and line
    warnings: tuple[Problem, ...] = ()  # sorted likewise; what they are about holds
    broken: frozenset[str] = frozenset()  # UserApp names whose document, or one it needs, does not hold
    complete: bool = True  # False: a file or document could not be read; any name may be in it
    incomplete_because: tuple[str, ...] = ()  # one line each
    revision: str = field(default="", compare=False)  # the commit that they were read from, if from one

    @property
    def findings(self) -> tuple[Problem, ...]:
        """Errors and warnings, sorted by file and line."""
        return tuple(sorted((*self.problems, *self.warnings), key=_place))

    @property
    def auth(self) -> Literal["signed", "psk", "none"]:
        """How replays are proven; without a `Router` there are none to prove."""
        return self.router.auth if self.router else "none"


class Memory:
    """What the last reading came to, so that only what changed since is checked again."""

    def __init__(self) -> None:
        self.users = Remembered()
        self.sets = RememberedSets()


def load(
    files: Mapping[str, str | Unreadable],
    *,
    env_prefix: str = ENV_PREFIX,
    root: str = ".",
    tables: Mapping[str, str] = MappingProxyType({}),
) -> Specs:
    """Read every document of every file; never fails: what is wrong stands in `problems`.

    `files` maps the name shown in problems to the file's text, `tables` likewise for the rows of sets.
    `env_prefix` is what a `Secret`'s `from.env` must begin with. `root` is shown for problems that belong
    to no file.
    """
    readings = {
        file: content if isinstance(content, Unreadable) else read(file, content, env_prefix=env_prefix)
        for file, content in files.items()
    }
    found = {
        (path, kind): read_table(path, tables[path], kind) if path in tables else Unread(path, "no such file")
        for path, kind in wanted_tables(readings)
    }
    return assemble(readings, root=root, tables=found)


def wanted_tables(readings: Mapping[str, Reading | Unreadable]) -> set[tuple[str, Format]]:
    """The files that rows of sets stand in."""
    sets = (
        held
        for reading in readings.values()
        if isinstance(reading, Reading)
        for held in reading.held
        if held.kind == "UserAppSet"
    )
    return {found for held in sets if (found := wanted_table(held)) is not None}


def assemble(
    readings: Mapping[str, Reading | Unreadable],
    *,
    root: str = ".",
    tables: Tables = MappingProxyType({}),
    incomplete_because: Iterable[str] = (),
    memory: Memory | None = None,
) -> Specs:
    """Put together files that were read one by one; the second half of `load`.

    `incomplete_because`: what else speaks against believing that a name that is not there is gone.
    """
    memory = memory or Memory()
    problems: list[Problem] = []
    lost: list[str] = []
    of_no_kind: set[str] = set()
    libraries = {kind: Library(kind) for kind in KINDS}
    unreadable: list[str] = []
    unreadable_part: list[str] = []
    for file, reading in sorted(readings.items()):
        if isinstance(reading, Unreadable):
            unreadable.append(f"{file} cannot be read: {reading.reason}")
            problems.append(Problem(file, None, None, "", f"cannot be read: {reading.reason}", "unreadable"))
            continue
        problems += reading.problems
        if reading.lost:
            lost += (piece.text for piece in reading.lost)
            unreadable_part.append(f"{file} holds a document that has no meaning")
        of_no_kind |= {broken.name for broken in reading.broken if broken.kind not in libraries}
        problems += _shelve(reading, libraries)
    for kind, library in libraries.items():
        if not (kind in ONE_OF_A_KIND and library.held):
            library.broken |= of_no_kind - library.held.keys()  # it may have been meant as any
    lost_text = "\0".join(lost)  # no name holds a NUL

    def may_be_lost(word: str) -> bool:
        return bool(unreadable) or (bool(lost) and word in lost_text)

    problems += check_references(libraries, may_be_lost=may_be_lost, remembered=memory.users)
    every = expand(libraries, tables, may_be_lost=may_be_lost, remembered=memory.sets)
    problems += every.problems
    why = [*incomplete_because, *unreadable, *unreadable_part, *every.incomplete_because]
    if not libraries["Fleet"].held and not libraries["Fleet"].broken and not may_be_lost("Fleet"):
        problems.append(
            Problem(root, None, None, "", "there is no Fleet document; expected exactly one", "no-fleet")
        )
    return _specs(libraries, every, problems, incomplete_because=tuple(why))


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


def _specs(
    libraries: Mapping[str, Library],
    every: Expanded,
    problems: Iterable[Problem],
    *,
    incomplete_because: tuple[str, ...],
) -> Specs:
    def by_name(kind: str) -> Mapping[str, Any]:
        held = libraries[kind].held
        return MappingProxyType({name: held[name].spec for name in sorted(held)})

    def only(kind: str) -> Held | None:
        library = libraries[kind]  # beside a broken one nobody knows which is meant
        return next(iter(library.held.values()), None) if not library.broken else None

    fleet, router = only("Fleet"), only("Router")
    told = sorted(set(problems), key=_place)
    return Specs(
        fleet=FleetDoc(fleet.name, fleet.spec) if fleet else None,
        router=router.spec if router else None,
        users=every.users if fleet else Users({}),
        machines=by_name("Machine"),
        services=by_name("Service"),
        secrets=by_name("Secret"),
        problems=tuple(problem for problem in told if problem.severity == "error"),
        warnings=tuple(problem for problem in told if problem.severity == "warning"),
        broken=frozenset(libraries["UserApp"].broken | every.broken),
        complete=not incomplete_because,
        incomplete_because=incomplete_because,
    )


def _place(problem: Problem) -> tuple[str, int, int, str, str]:
    return problem.file, problem.line or 0, problem.column or 0, problem.path, problem.message
