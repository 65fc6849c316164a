"""Which user apps should be something else after another reading.

Answers for finding them without resolving everybody: what did not change is not looked at, and of rows that a
template changed for only one of each combination of values is resolved. It may name one too many, never one
too few.
"""

from collections.abc import Iterator
from dataclasses import replace

from reconciler.core.apps import Apps
from reconciler.core.desired import DesiredApp, Resolver
from reconciler.core.row_set import RowSet
from reconciler.core.spec import Specs
from reconciler.core.users import Users, users_of


def moved(before: Apps | None, after: Apps) -> Iterator[str]:
    """The names in `after` that are new, or should now be something else; secrets' values apart."""
    if before is None:
        yield from after
        return
    users = users_of(after.resolver.specs)
    beside = _same_beside(before.resolver, after.resolver)
    yield from _moved_documents(before, after, users, beside=beside)
    for rows in users.sets:
        yield from _moved_rows(before, after, rows, beside=beside)


def using(apps: Apps, secrets: frozenset[str]) -> Iterator[str]:
    """The names whose user apps are given one of `secrets`; kept ones apart."""
    users = users_of(apps.resolver.specs)
    for name, spec in users.documents.items():
        if not secrets.isdisjoint(spec.secrets):
            yield name
    for rows in users.sets:
        usual = None if rows.secrets_vary else rows.usual_secrets()
        for name in rows.rows:
            own = rows[name].secrets if usual is None or name in rows.patches else usual
            if not secrets.isdisjoint(own):
                yield name


def secrets_in_use(specs: Specs) -> frozenset[str]:
    """The names of secrets that some user app is given."""
    users = users_of(specs)
    found: set[str] = set()
    for spec in users.documents.values():
        found.update(spec.secrets)
    for rows in users.sets:
        if not rows.secrets_vary:
            found.update(rows.usual_secrets())
        for name in rows.rows if rows.secrets_vary else rows.patches:
            found.update(rows[name].secrets)
    return frozenset(found)


def _same_beside(one: Resolver, other: Resolver) -> bool:
    """Whether all that user apps are resolved with is the same, but for the values of secrets."""
    a, b = one.specs, other.specs
    return (
        one.key_id == other.key_id
        and a.fleet == b.fleet
        and a.auth == b.auth
        and (a.router and a.router.domains) == (b.router and b.router.domains)
        and a.machines == b.machines
        and a.services == b.services
        and a.secrets == b.secrets
    )


def _moved_documents(before: Apps, after: Apps, users: Users, *, beside: bool) -> Iterator[str]:
    earlier = users_of(before.resolver.specs)
    for name, spec in users.documents.items():
        known = earlier.documents.get(name)
        if name not in before.kept and known is not None and beside and (known is spec or known == spec):
            continue
        if not _is_same(before, after, name):
            yield name


def _moved_rows(before: Apps, after: Apps, rows: RowSet, *, beside: bool) -> Iterator[str]:
    earlier = next((one for one in users_of(before.resolver.specs).sets if one.name == rows.name), None)
    if earlier is rows and beside:
        return
    if earlier is None or earlier.used != rows.used:
        yield from (name for name in rows.rows if not _is_same(before, after, name))
        return
    same_make = beside and earlier.template == rows.template
    same_columns = earlier.columns == rows.columns
    combinations: dict[tuple[str, ...], bool] = {}  # of values → what is made of them is the same
    for name, row in rows.rows.items():
        has_patch = name in rows.patches or name in earlier.patches
        if name not in earlier.rows or name in before.kept or (has_patch and not same_make):
            same = _is_same(before, after, name)
        elif not (same_columns and earlier.rows[name] == row) or has_patch:
            same = same_make and earlier.said(name) == rows.said(name)
        elif same_make:
            continue
        else:
            key = rows.combination(name)
            if key not in combinations:
                combinations[key] = _sample(before, earlier, name) == _sample(after, rows, name)
            same = combinations[key]
        if not same:
            yield name


def _is_same(before: Apps, after: Apps, name: str) -> bool:
    """By the resolved apps themselves, without the values of secrets."""
    if name not in before:
        return False
    if name in before.kept:  # its secrets were kept too
        return before[name] == after[name]
    return replace(before[name], secrets_digest=None) == replace(after[name], secrets_digest=None)


def _sample(apps: Apps, rows: RowSet, name: str) -> DesiredApp:
    """What the row's combination of values comes to, for a user that is like no other."""
    return apps.resolver.of("sample", rows.sample(name), secrets_digest=None)
