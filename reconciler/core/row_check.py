"""Which rows of a `UserAppSet` hold, one by one: a row that does not never stops the others.

Answers for speed as well: what a row's values mean is checked whole once for each combination of them, and
what is different in every row (names, hosts, plain text) by itself. What a user app may say is decided by the
same checks as for documents.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from reconciler.core.envelope import Held, check
from reconciler.core.kinds import UserAppSpec
from reconciler.core.overlay import merge_patch
from reconciler.core.problem import Problem, did_you_mean, quote
from reconciler.core.row_document import RowDocument, row_document
from reconciler.core.row_set import RowSet
from reconciler.core.row_template import TemplateError
from reconciler.core.scalar import Name
from reconciler.core.set_template import compile_template
from reconciler.core.table import MISSING, Flaw, Table, cells

Json = Any

MOST_PROBLEMS = 1_000  # of one set; nobody reads a million lines
MOST_COMBINATIONS = 50_000  # remembered
MOST_GUESSES = 10  # at what name was meant: each looks through all rows

Findings = Callable[[Held], Iterable[Problem | None]]  # None: what it needs is broken, as said elsewhere
Agrees = Callable[
    [str, Sequence[str] | None], bool
]  # a user's name and own hosts → nothing is wrong with them


@dataclass(slots=True)
class Checked:
    """What came of one set."""

    rows: RowSet | None  # None: refused whole
    broken: set[str] = field(default_factory=set)  # names of rows that do not hold
    hosts: dict[str, str] = field(default_factory=dict)  # host → user, where rows name hosts
    problems: list[Problem] = field(default_factory=list)  # warnings too
    incomplete_because: str = ""


def check_rows(held: Held, table: Table, *, findings: Findings, agrees: Agrees) -> Checked:
    """Check every row of `held`, a `UserAppSet` that holds by itself."""
    refusal = _refusal(held, table)
    if refusal is not None:
        return Checked(None, problems=[refusal], incomplete_because=f"UserAppSet {held.name} was refused")
    try:
        return _Check(held, table, findings, agrees).run()
    except TemplateError as error:
        problem = held.document.problem(("spec", "template", *error.path), str(error), code="bad-template")
        return Checked(None, problems=[problem], incomplete_because=f"UserAppSet {held.name} was refused")


def more_problems(file: str, number: int) -> Problem:
    """Instead of so many that nobody would read."""
    message = f"{number} more problems like these are not shown"
    return Problem(file, None, None, "", message, "more-problems")


def _refusal(held: Held, table: Table) -> Problem | None:
    """Why the table is not the one that was meant: its rows say nothing then."""
    source = held.spec.source
    if source.sha256 not in (None, table.sha256):
        return held.document.problem(
            ("spec", "source", "sha256"),
            f"{table.file} has the SHA-256 {table.sha256}, so it is not the file that is meant; "
            "all of the set stays as it is",
            code="set-refused",
        )
    if source.count not in (None, table.count):
        return held.document.problem(
            ("spec", "source", "count"),
            f"{table.file} has {table.count} rows, and {source.count} are declared; "
            "all of the set stays as it is",
            code="set-refused",
        )
    return None


class _Check:
    def __init__(self, held: Held, table: Table, findings: Findings, agrees: Agrees) -> None:
        self._held, self._table, self._findings, self._agrees = held, table, findings, agrees
        self._overrides: Mapping[str, Mapping[str, Json]] = held.spec.overrides
        self._template = compile_template(held.spec, table)
        self._known: dict[tuple[str, ...], bool] = {}  # combination of values → it holds
        self._unspoken: set[tuple[str, ...]] = set()  # combinations that need something broken
        self._rows: dict[str, str] = {}
        self._patches: dict[str, tuple[Mapping[str, Json], ...]] = {}
        self._twice: set[str] = set()
        self._warned: set[tuple[str, str]] = set()
        self._cut = -1  # number of the row that may be cut
        self._unsaid = 0  # rows with problems beyond the most that are told
        self.out = Checked(None)

    def run(self) -> Checked:
        table, out = self._table, self.out
        for flaw in table.flaws:
            self._tell(Problem(table.file, flaw.line, None, "", flaw.message, flaw.code))
        self._mind_the_end()
        if table.incomplete_because:
            out.incomplete_because = out.incomplete_because or f"{table.file}: {table.incomplete_because}"
        self._take_rows()
        self._drop_repeated()
        self._mind_overrides()
        if self._unsaid:
            out.problems.append(more_problems(table.file, self._unsaid))
        out.rows = RowSet(
            name=self._held.name,
            file=table.file,
            template=self._template.value,
            columns=table.columns,
            fill=self._template.fill_spec,
            used=self._template.used,
            key=self._template.key,
            secrets_vary=self._template.secrets_vary,
            rows=self._rows,
            patches=self._patches,
        )
        return out

    def _take_rows(self) -> None:
        table, out, known = self._table, self.out, self._known
        rows, broken, overrides, hosts = self._rows, out.broken, self._overrides, out.hosts
        name_of, host_fillers, key = self._template.name, self._template.hosts, self._template.key_places
        agrees = self._agrees
        width, special = len(table.columns), table.flawed.keys() | table.overrides.keys() | {self._cut}
        for number, row in enumerate(table.rows):
            found = cells(row, width)
            name = name_of(found)
            if name in rows or name in broken:
                self._twice.add(name)
                continue
            own = None if host_fillers is None else [fill(found) for fill in host_fillers]
            if (
                number in special
                or MISSING in row
                or name in overrides
                or not known.get(tuple([found[place] for place in key]))
                or not agrees(name, own)
            ):
                spec = self._look(number, found, name)
                if spec is None:
                    continue
                own = list(spec.hosts) if spec.hosts is not None else None
            rows[name] = row
            for host in own or ():
                other = hosts.setdefault(host, name)
                if other != name:
                    hosts[host] = f"{other}\0{name}"

    def _look(self, number: int, found: Sequence[str], name: str) -> UserAppSpec | None:
        """Check one row whole; None, and what is wrong is told, when it does not hold."""
        table, out = self._table, self.out
        key = tuple([found[place] for place in self._template.key_places])
        is_plain = number not in table.overrides and name not in self._overrides
        if self._known.get(key) is False and is_plain and len(out.problems) >= MOST_PROBLEMS:
            self._unsaid += 1
            self._drop(name, ())
            return None
        if is_plain and key in self._unspoken:
            self._drop(name, ())
            return None
        document = self._document(number, found, name)
        flaw = table.flawed.get(number) or self._flaw(number, found)
        if flaw is not None:
            self._drop(name, [document.problem((), flaw.message, code=flaw.code)])
            return None
        result, problems = check(document, "")
        told: list[Problem | None] = list(problems)
        if isinstance(result, Held):
            told += self._findings(result)
        errors = [one for one in told if one is not None and one.severity == "error"]
        self._warn(one for one in told if one is not None and one.severity == "warning")
        if errors or None in told or not isinstance(result, Held):
            self._drop(name, errors)
            if is_plain and not errors:
                self._unspoken.add(key)
            if is_plain and any(not one.path.startswith(_BY_ITSELF) for one in errors):
                self._known[key] = False
            return None
        if not is_plain:
            patches = (self._overrides.get(name), table.overrides.get(number))
            self._patches[name] = tuple(patch for patch in patches if patch is not None)
        elif len(self._known) < MOST_COMBINATIONS:
            self._known[key] = True
        spec: UserAppSpec = result.spec
        return spec

    def _document(self, number: int, found: Sequence[str], name: str) -> RowDocument:
        value = self._template.fill(["" if cell == MISSING else cell for cell in found])
        for patch in (self._overrides.get(name), self._table.overrides.get(number)):
            if patch is not None:
                value = {**value, "spec": merge_patch(value["spec"], patch)}
        return row_document(self._table.file, self._table.lines[number], name, value)

    def _flaw(self, number: int, found: Sequence[str]) -> Flaw | None:
        if number == self._cut:
            message = (
                "its line has no end, so its last value may be cut; end the file with a line break, "
                "or declare count or sha256"
            )
            return Flaw(None, message, "table-cut")
        columns = self._table.columns
        missing = next((one for one in self._template.used if found[columns[one]] == MISSING), None)
        return None if missing is None else Flaw(None, f"has no {quote(missing)}", "row-cells")

    def _drop(self, name: str, problems: Iterable[Problem]) -> None:
        """Keep the row's user app as it is; when nobody can tell whose it is, keep all of them."""
        if is_name(name):
            self.out.broken.add(name)
        else:
            self.out.incomplete_because = self.out.incomplete_because or (
                f"{self._table.file}: a row has no name that can be read"
            )
        for problem in problems:
            self._tell(problem)

    def _tell(self, problem: Problem) -> None:
        if len(self.out.problems) < MOST_PROBLEMS:
            self.out.problems.append(problem)
        else:
            self._unsaid += 1

    def _warn(self, warnings: Iterable[Problem]) -> None:
        """Once for the whole set: the template is what they are about."""
        for one in warnings:
            if (one.path, one.code) not in self._warned:
                self._warned.add((one.path, one.code))
                self._tell(one)

    def _drop_repeated(self) -> None:
        """Two rows of one name: nobody can say which is meant, so both keep what they had."""
        if not self._twice:
            return
        width = len(self._table.columns)
        first: dict[str, int] = {}
        for number, row in enumerate(self._table.rows):
            name = self._template.name(cells(row, width))
            if name not in self._twice:
                continue
            line = self._table.lines[number]
            other = first.setdefault(name, line)
            if other != line:
                message = f"there is another row of {quote(name)} in line {other}; names are unique"
                document = row_document(self._table.file, line, name, {})
                self._tell(document.problem((), message, code="document-twice"))
        for name in self._twice:
            self._rows.pop(name, None)
            self._patches.pop(name, None)
            self._drop(name, ())
        self.out.hosts = {host: user for host, user in self.out.hosts.items() if user not in self._twice}

    def _mind_overrides(self) -> None:
        for name, patch in self._overrides.items():
            for field_name in [one for one, value in patch.items() if value is None]:
                if field_name not in UserAppSpec.model_fields:  # nothing of it is left to be checked
                    self._mind_override(
                        (name, field_name),
                        f"unknown field{did_you_mean(field_name, UserAppSpec.model_fields)}",
                        "unknown-field",
                    )
        if self.out.incomplete_because:
            return  # the row may be among those that could not be read
        known = self._rows.keys() | self.out.broken
        for number, name in enumerate(sorted(self._overrides.keys() - known)):
            guess = did_you_mean(name, known) if number < MOST_GUESSES else ""
            self._mind_override((name,), f"there is no row of {quote(name)}{guess}", "unknown-reference")

    def _mind_override(self, path: tuple[str, ...], message: str, code: str) -> None:
        self.out.problems.append(
            self._held.document.problem(("spec", "overrides", *path), message, code=code, at_key=True)
        )

    def _mind_the_end(self) -> None:
        source, table = self._held.spec.source, self._table
        if table.is_whole or source.count is not None or source.sha256 is not None:
            return
        if table.rows:
            self._cut = len(table.rows) - 1
            why = "its last line has no end"
        else:
            why = "it has no rows; if that is meant, declare count: 0"
            self._tell(Problem(table.file, None, None, "", why, "table-empty"))
        self.out.incomplete_because = self.out.incomplete_because or f"{table.file}: {why}"


_BY_ITSELF = ("metadata", "spec.hosts")  # checked in every row, whatever the rest


_NAME = TypeAdapter(Name)


def is_name(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True
