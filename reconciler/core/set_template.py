"""The template of a `UserAppSet` against the columns of its table, ready to be filled a million times.

Answers for which columns decide what: those that only stand for themselves (names, hosts, plain text) are
different in every row, and the others come in few combinations.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.core.document import Path
from reconciler.core.problem import did_you_mean, one_of, quote
from reconciler.core.row_template import Fill, Hole, TemplateError, filler, holes, text_filler
from reconciler.core.row_types import typed_paths
from reconciler.core.set_spec import UserAppSetSpec
from reconciler.core.table import Table

Json = Any
TextFill = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class SetTemplate:
    """What makes a user app of a row's cells."""

    value: Mapping[str, Json]  # metadata and spec as written
    fill: Fill  # → metadata and spec
    fill_spec: Fill  # → spec
    name: TextFill
    hosts: Sequence[TextFill] | None  # None: the template gives none
    used: tuple[str, ...]  # columns that it names, sorted
    key: tuple[str, ...]  # those that decide more than themselves, sorted
    key_places: tuple[int, ...]  # the same, as places within a row
    secrets_vary: bool  # the list of secrets depends on the row


def compile_template(spec: UserAppSetSpec, table: Table) -> SetTemplate:
    """Raises TemplateError."""
    value = {
        "metadata": {"name": spec.template.metadata.name, "labels": spec.template.metadata.labels},
        "spec": spec.template.spec,
    }
    every = list(holes(value))
    _know_columns(every, table)
    # A table without a header has no rows either, and nothing is ever filled in.
    columns = table.columns or {one: 0 for hole in every for one in hole.columns}
    typed = typed_paths(value["spec"], [hole for hole in every if hole.path[0] == "spec"])
    deciding = {one for hole in every if not _stands_for_itself(hole.path) for one in hole.columns}
    return SetTemplate(
        value=value,
        fill=filler(value, columns, typed=typed),
        fill_spec=filler(value["spec"], columns, typed=typed, path=("spec",)),
        name=text_filler(next(hole for hole in every if hole.path == ("metadata", "name")), columns),
        hosts=_host_fillers(value["spec"].get("hosts"), every, columns),
        used=tuple(sorted({column for hole in every for column in hole.columns})),
        key=tuple(sorted(deciding)),
        key_places=tuple(columns[column] for column in sorted(deciding)),
        secrets_vary=any(hole.path[:2] == ("spec", "secrets") for hole in every),
    )


def _know_columns(every: Iterable[Hole], table: Table) -> None:
    columns = table.columns
    for hole in every:
        for column in hole.columns:
            if columns and column not in columns:
                guess = did_you_mean(column, columns) or f"; expected one of {one_of(columns)}"
                raise TemplateError(
                    hole.path, f"{table.file} has no column {quote(column)}{guess}; for a brace write {{{{"
                )
    if not any(hole.path == ("metadata", "name") for hole in every):
        raise TemplateError(("metadata", "name"), "names no column, so every row would have one name")


def _host_fillers(
    hosts: Json, every: Iterable[Hole], columns: Mapping[str, int]
) -> Sequence[TextFill] | None:
    if not isinstance(hosts, list):
        return None
    by_path = {hole.path: hole for hole in every}
    paths: list[Path] = [("spec", "hosts", index) for index in range(len(hosts))]
    return [
        text_filler(by_path.get(path) or Hole(path, (str(host),)), columns)
        for path, host in zip(paths, hosts, strict=True)
    ]


def _stands_for_itself(path: Path) -> bool:
    """Where a value means nothing for the others: it is checked by itself, or any text will do."""
    match path:
        case ("metadata", *_) | ("spec", "hosts", _):
            return True
        case ("spec", "machines", int(), "config", "env" | "metadata", str()):
            return True
    return False
