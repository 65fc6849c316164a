"""Every `UserAppSet` beside the documents: whose rows hold, and no name or host that two of them want.

Answers for what sets and documents say about each other. One set by itself is `row_check`'s.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from reconciler.core import app_name_claim, host_claim
from reconciler.core.document import Document
from reconciler.core.envelope import Held
from reconciler.core.library import Libraries, Library, MayBeLost
from reconciler.core.problem import Problem, quote
from reconciler.core.reference import user_app
from reconciler.core.router_check import agreement
from reconciler.core.row_check import MOST_PROBLEMS, Checked, check_rows, more_problems
from reconciler.core.row_document import RowDocument, row_label
from reconciler.core.row_set import RowSet
from reconciler.core.set_spec import UserAppSetSpec
from reconciler.core.table import Format, Table, Unread, from_document
from reconciler.core.users import Users

Tables = Mapping[tuple[str, Format], Table | Unread]


@dataclass(slots=True)
class Expanded:
    """All user apps, and what is known of those that do not hold."""

    users: Users
    broken: set[str] = field(default_factory=set)  # names of rows
    problems: list[Problem] = field(default_factory=list)
    incomplete_because: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """What one set came to, and from what: nothing is checked again while all of that is the same."""

    held: Held
    table: Table
    beside: tuple[object, ...]
    checked: Checked


class RememberedSets:
    """What sets came to the last time."""

    def __init__(self) -> None:
        self.known: dict[str, _Known] = {}


def wanted_table(held: Held) -> tuple[str, Format] | None:
    """The file that a set's rows stand in, as it is shown in problems; None: they stand in the document."""
    spec: UserAppSetSpec = held.spec
    if spec.source.file is None:
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(held.document.file), spec.source.file))
    return path, "csv" if spec.source.csv is not None else "jsonl"


def expand(
    libraries: Libraries, tables: Tables, *, may_be_lost: MayBeLost, remembered: RememberedSets
) -> Expanded:
    """Every user app; documents and rows that do not hold beside each other are dropped, with a problem."""
    out = Expanded(Users({}))
    for name in sorted(libraries["UserAppSet"].broken):
        out.incomplete_because.append(f"UserAppSet {name}, or what may be one, does not hold")
    checked: list[tuple[Checked, Table]] = []
    beside = _beside(libraries, may_be_lost)
    known: dict[str, _Known] = {}
    for name, held in sorted(libraries["UserAppSet"].held.items()):
        table = _table(held, tables, remembered.known.get(name))
        if isinstance(table, Unread):
            out.incomplete_because.append(f"{table.file} cannot be read")
            out.problems.append(_unread(held, table))
            continue
        before = remembered.known.get(name)
        if before and before.held is held and before.table is table and before.beside == beside:
            found = before.checked
        else:
            found = check_rows(
                held,
                table,
                findings=lambda row: user_app(row, libraries, may_be_lost),
                agrees=agreement(libraries),
            )
        known[name] = _Known(held, table, beside, found)
        out.problems += found.problems
        out.broken |= found.broken
        if found.incomplete_because:
            out.incomplete_because.append(found.incomplete_because)
        if found.rows is not None:
            checked.append((found, table))
    remembered.known = known
    _part(libraries, checked, out)
    return out


def _beside(libraries: Libraries, may_be_lost: MayBeLost) -> tuple[object, ...]:
    """All that rows are checked against; compared by value, so that a file written anew changes nothing."""
    return (
        tuple(
            (kind, name, held.spec)
            for kind, library in sorted(libraries.items())
            if kind not in ("UserApp", "UserAppSet")
            for name, held in sorted(library.held.items())
        ),
        tuple(
            (kind, frozenset(library.broken))
            for kind, library in sorted(libraries.items())
            if kind != "UserApp"
        ),
        object() if may_be_lost("") else None,  # what is lost may hold what a row refers to
    )


def _table(held: Held, tables: Tables, before: _Known | None) -> Table | Unread:
    file = wanted_table(held)
    if file is not None:
        return tables.get(file) or Unread(file[0], "it was not looked for")
    if before is not None and before.held is held:
        return before.table
    document = held.document
    rows = held.spec.source.rows or ()
    return from_document(
        document.file,
        ((document.place(("spec", "source", "rows", number)).line, row) for number, row in enumerate(rows)),
    )


def _unread(held: Held, table: Unread) -> Problem:
    kind = "csv" if held.spec.source.csv is not None else "jsonl"
    return held.document.problem(
        ("spec", "source", kind), f"{table.file} cannot be read: {table.reason}", code="unreadable"
    )


def _part(libraries: Libraries, checked: list[tuple[Checked, Table]], out: Expanded) -> None:
    """Drop whoever shares a name or a host with somebody else."""
    documents = libraries["UserApp"]
    rows = [(found.rows, table) for found, table in checked if found.rows is not None]
    places = _Places(documents, rows)
    dropped: set[str] = set()
    for names, other in _shared_names(rows, documents.held.keys() | documents.broken):
        dropped |= names
        out.problems += _not_too_many(_shared_name(names, other, places))
    out.broken |= dropped
    for name in dropped:
        documents.held.pop(name, None)
    users = Users(
        {name: held.spec for name, held in documents.held.items()},
        _without([one for one, _ in rows], dropped),
    )
    router = next((held.spec for held in libraries["Router"].held.values()), None)
    own: dict[str, str] = {}
    for name, spec in users.documents.items():
        host_claim.claim(own, name, spec.hosts or ())
    layers = [own, *(_still(found.hosts, users) for found, _ in checked)]
    hosts = host_claim.contested(layers, users, router)
    contested = {name for names in hosts.values() for name in names}

    def document_of(name: str) -> Document:
        return next(places.documents(name))

    out.problems += _not_too_many(host_claim.complaints_about(hosts, users, document_of))
    fleet = next((held.spec for held in libraries["Fleet"].held.values()), None)
    apps = app_name_claim.contested(users, fleet.app_name) if fleet else {}
    out.problems += _not_too_many(app_name_claim.complaints_about(apps, users, document_of))
    contested |= {name for names in apps.values() for name in names}
    out.broken |= contested
    for name in contested & documents.held.keys():
        documents.drop(name)
    if dropped or contested:
        users = Users(
            {name: held.spec for name, held in documents.held.items()},
            _without(users.sets, contested),
        )
    out.users = users


def _shared_names(rows: list[tuple[RowSet, Table]], documents: set[str]) -> Iterator[tuple[set[str], str]]:
    for number, (one, _) in enumerate(rows):
        shared = one.rows.keys() & documents
        if shared:
            yield set(shared), "a UserApp document and a row are both called"
        for other, _ in rows[number + 1 :]:
            shared = one.rows.keys() & other.rows.keys()
            if shared:
                yield set(shared), f"rows of {one.name} and {other.name} are both called"


def _without(sets: Iterable[RowSet], names: set[str]) -> list[RowSet]:
    return [
        replace(one, rows={name: row for name, row in one.rows.items() if name not in names})
        if names and not names.isdisjoint(one.rows)
        else one
        for one in sets
    ]


def _still(hosts: Mapping[str, str], users: Users) -> Mapping[str, str]:
    return (
        hosts
        if all(map(users.__contains__, hosts.values()))
        else {host: name for host, name in hosts.items() if "\0" in name or name in users}
    )


class _Places:
    """Where each user app is written down."""

    def __init__(self, documents: Library, rows: list[tuple[RowSet, Table]]) -> None:
        self._documents, self._rows = dict(documents.held), rows
        self._numbers: dict[int, dict[str, int]] = {}  # of a set → its packed rows → their numbers

    def documents(self, name: str) -> Iterator[Document]:
        """Every document and row of that name."""
        held = self._documents.get(name)
        if held is not None:
            yield held.document
        for number, (one, table) in enumerate(self._rows):
            if name in one.rows:
                if number not in self._numbers:  # looking through the table for each name would take hours
                    self._numbers[number] = {row: at for at, row in enumerate(table.rows)}
                line = table.lines[self._numbers[number][one.rows[name]]]
                yield RowDocument(table.file, line, "", {}, row_label(name))


def _shared_name(names: Iterable[str], other: str, places: _Places) -> Iterator[Problem]:
    for name in sorted(names):
        for document in places.documents(name):
            message = f"{other} {quote(name)}; names are unique"
            yield document.problem(("metadata", "name"), message, code="document-twice")


def _not_too_many(problems: Iterable[Problem]) -> Iterator[Problem]:
    """All of documents, and of rows as many as somebody may read."""
    told, unsaid, file = 0, 0, ""
    for one in problems:
        if one.row and told == MOST_PROBLEMS:
            unsaid, file = unsaid + 1, one.file
            continue
        told += bool(one.row)
        yield one
    if unsaid:
        yield more_problems(file, unsaid)
