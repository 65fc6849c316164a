"""Whose each host is. Two users on one host: nobody can say whose it is, so both keep what they had.

Answers for documents and rows alike, and for a million of them: hosts that follow from names are not written
down, since names are unique.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from reconciler.core.document import Document, Path
from reconciler.core.kinds import RouterSpec, UserAppSpec
from reconciler.core.problem import Problem, quote

Claims = Mapping[str, str]  # host → user, or several users with NUL between
Who = Mapping[str, UserAppSpec]

_AND = "\0"


def claim(claims: dict[str, str], name: str, hosts: Sequence[str]) -> None:
    """Write down that `name` asks for `hosts`."""
    for host in hosts:
        other = claims.setdefault(host, name)
        if other != name:
            claims[host] = f"{other}{_AND}{name}"


def contested(layers: Sequence[Claims], users: Who, router: RouterSpec | None) -> dict[str, tuple[str, ...]]:
    """The hosts that several users ask for, with these users, sorted."""
    largest = max(layers, key=len, default={})
    others: dict[str, str] = {}
    for layer in layers:
        if layer is not largest:
            for host, name in layer.items():
                claim(others, name, [host])
    found: dict[str, set[str]] = {}
    for host in largest.keys() & others.keys():
        found.setdefault(host, set()).update((largest[host], others[host]))
    domains = frozenset(router.domains if router else ())
    for layer in (largest, others):
        for host, name in layer.items():
            label, _, domain = host.partition(".")
            if _AND in name:
                found.setdefault(host, set()).add(name)
            if label != name and domain in domains and label in users and users[label].hosts is None:
                found.setdefault(host, set()).update((label, name))
    # Who was dropped for another reason claims nothing.
    everybody = {
        host: tuple(sorted({name for each in names for name in each.split(_AND) if name in users}))
        for host, names in sorted(found.items())
    }
    return {host: names for host, names in everybody.items() if len(names) > 1}


def complaints_about(
    hosts: Mapping[str, tuple[str, ...]], users: Who, document_of: Callable[[str], Document]
) -> Iterator[Problem]:
    """One problem for each user of each contested host."""
    for host, names in hosts.items():
        for name in names:
            other = names[0] if name != names[0] else names[1]
            own = users[name].hosts
            path: Path = ("metadata", "name") if own is None else ("spec", "hosts", own.index(host))
            yield document_of(name).problem(
                path,
                f"the host {quote(host)} is also that of {quote(other)} "
                f"in {document_of(other).where}; expected one user app for a host",
                code="host-taken-twice",
            )
