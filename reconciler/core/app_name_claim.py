"""Whose each Fly app is. Two user apps on one Fly app would undo each other, so both keep what they had.

The fleet's pattern gives every name another app, so only names that documents give themselves are looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from reconciler.core.document import Document, Path
from reconciler.core.problem import Problem, quote
from reconciler.core.users import Users


def contested(users: Users, pattern: str) -> dict[str, tuple[str, ...]]:
    """The Fly apps that several users would have, with these users, sorted."""
    given: dict[str, set[str]] = {}
    for name, app_name in _given(users):
        given.setdefault(app_name, set()).add(name)
    prefix, _, suffix = pattern.partition("{name}")
    for app_name, names in given.items():
        other = app_name.removeprefix(prefix).removesuffix(suffix)
        if pattern.replace("{name}", other) == app_name and other in users and users[other].app_name is None:
            names.add(other)
    return {app_name: tuple(sorted(names)) for app_name, names in sorted(given.items()) if len(names) > 1}


def _given(users: Users) -> Iterator[tuple[str, str]]:
    for name, spec in users.documents.items():
        if spec.app_name is not None:
            yield name, spec.app_name
    for rows in users.sets:
        is_templated = "app_name" in rows.template["spec"]
        for name in rows.rows if is_templated else rows.patches:
            app_name = rows[name].app_name
            if app_name is not None:
                yield name, app_name


def claimant(app_name: str, users: Users, homeless: Iterable[str]) -> str:
    """Which document wants the Fly app, or may, whatever the name that it was made for; empty: none.

    `homeless`: documents that do not hold and have no app of their own, so that nobody knows which is theirs.
    """
    for name, named in _given(users):
        if named == app_name:
            return f"document {name} names it as its app"
    lost = min(homeless, default="")
    return f"document {lost} does not hold, and may name it as its app" if lost else ""


def complaints_about(
    apps: Mapping[str, tuple[str, ...]], users: Users, document_of: Callable[[str], Document]
) -> Iterator[Problem]:
    """One problem for each user of each contested Fly app."""
    for app_name, names in apps.items():
        for name in names:
            other = names[0] if name != names[0] else names[1]
            path: Path = ("metadata", "name") if users[name].app_name is None else ("spec", "app_name")
            yield document_of(name).problem(
                path,
                f"the Fly app {quote(app_name)} is also that of {quote(other)} "
                f"in {document_of(other).where}; expected one user app for a Fly app",
                code="app-name-taken-twice",
            )
