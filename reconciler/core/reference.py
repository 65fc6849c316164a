"""What documents say about each other: names that lead somewhere, hosts and apps that nobody else has.

Answers for which documents still hold beside the others. Each document by itself is `envelope`'s.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from reconciler.core.complaint import complaints
from reconciler.core.document import Path
from reconciler.core.envelope import Held
from reconciler.core.kinds import FleetSpec, MachineSpec, RouterSpec, UserAppSpec
from reconciler.core.machine_config import MachineConfig
from reconciler.core.overlay import merge_patch, template_config
from reconciler.core.problem import Problem, did_you_mean, one_of, quote
from reconciler.core.scalar import LONGEST_APP_NAME

Json = Any

MOST_GUESSES = 100  # each looks through all names, and nobody reads ten thousand of them


@dataclass(slots=True)
class Library:
    """The documents of one kind while references to them are checked."""

    kind: str
    held: dict[str, Held] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    guesses_left: int = MOST_GUESSES

    def drop(self, name: str) -> None:
        self.held.pop(name, None)
        self.broken.add(name)


Libraries = Mapping[str, Library]
MayBeLost = Callable[[str], bool]  # whether a name may stand in text that could not be read


def check_references(libraries: Libraries, *, may_be_lost: MayBeLost) -> list[Problem]:
    """Complain about, and drop, each document that does not hold beside the others."""
    problems: list[Problem] = []
    for kind, check in (
        ("Fleet", _only_one),
        ("Router", _only_one),
        ("Machine", _machine),
        ("UserApp", _user_app),
        ("UserApp", _against_router),
    ):
        found: defaultdict[str, list[Problem]] = defaultdict(list)
        unspoken: set[str] = set()
        for name, held in libraries[kind].held.items():
            for problem in check(held, libraries, may_be_lost):
                if problem is None:
                    unspoken.add(name)  # something it needs is broken, and that has been said there
                else:
                    found[name].append(problem)
        for name in (*found, *unspoken):
            libraries[kind].drop(name)
        problems += [problem for each in found.values() for problem in each]
    problems += _shared_hosts(libraries)
    return problems


def hosts_of(name: str, spec: UserAppSpec, router: RouterSpec | None) -> tuple[str, ...]:
    """Where visitors find a user app: its own hosts, or its name below each of the router's domains."""
    if spec.hosts is not None:
        return spec.hosts
    return tuple(f"{name}.{domain}" for domain in router.domains) if router else ()


Findings = Iterator[Problem | None]


def _only_one(held: Held, libraries: Libraries, _may_be_lost: MayBeLost) -> Findings:
    first = next(iter(libraries[held.kind].held.values()))
    if len(libraries[held.kind].held) > 1:
        others = f"expected one {held.kind}"
        if held is not first:
            others += f", and {first.document.where} has {quote(first.name)}"
        yield held.document.problem(
            ("kind",), f"there are several {held.kind} documents; {others}", code="only-one-allowed"
        )


def _machine(held: Held, libraries: Libraries, may_be_lost: MayBeLost) -> Findings:
    spec: MachineSpec = held.spec
    leads_somewhere = True
    for index, service in enumerate(spec.services or ()):
        for finding in _refer(held, ("spec", "services", index), service, libraries["Service"], may_be_lost):
            leads_somewhere = False
            yield finding
    if leads_somewhere and spec.services:
        try:
            MachineConfig.model_validate(template_config(spec.config, _services(spec, libraries)))
        except ValidationError as error:
            for problem in complaints(held.document, error, MachineConfig):
                yield held.document.problem(("spec", "services"), problem.message, code=problem.code)


def _user_app(held: Held, libraries: Libraries, may_be_lost: MayBeLost) -> Findings:
    spec: UserAppSpec = held.spec
    for index, group in enumerate(spec.machines):
        path: Path = ("spec", "machines", index)
        missing = list(_refer(held, (*path, "template"), group.template, libraries["Machine"], may_be_lost))
        yield from missing
        if not missing:
            yield from _resolved_config(held, path, index, libraries)
    for index, secret in enumerate(spec.secrets):
        yield from _refer(held, ("spec", "secrets", index), secret, libraries["Secret"], may_be_lost)


def _refer(held: Held, path: Path, name: str, library: Library, may_be_lost: MayBeLost) -> Findings:
    if name in library.held:
        return
    if name in library.broken or may_be_lost(name):
        yield None
        return
    yield held.document.problem(
        path,
        f"there is no {library.kind} called {quote(name)}{_guess(name, library)}",
        code="unknown-reference",
    )


def _guess(name: str, library: Library) -> str:
    if not library.guesses_left:
        return ""
    library.guesses_left -= 1
    known = library.held.keys() | library.broken
    if not known:
        return f"; there is no {library.kind} document"
    return did_you_mean(name, known) or f"; expected one of {one_of(sorted(known))}"


def _resolved_config(held: Held, path: Path, index: int, libraries: Libraries) -> Findings:
    """The template with the user's config over it must be a machine config too."""
    group = held.spec.machines[index]
    template: MachineSpec = libraries["Machine"].held[group.template].spec
    config = template_config(template.config, _services(template, libraries))
    if group.config is not None:
        config = merge_patch(config, group.config)
        problems = _overlay_problems(held, (*path, "config"), group.config, config)
        yield from problems
        if problems:
            return
    if config.get("image") is None and not config.get("containers"):
        yield held.document.problem(
            path,
            f"no image: neither the Machine {quote(group.template)} nor config names one",
            code="no-image",
        )


def _overlay_problems(held: Held, path: Path, overlay: Json, merged: Json) -> list[Problem]:
    found: dict[str, Problem] = {}
    # In the overlay alone nothing need be whole, and null removes; an unknown field is wrong even so.
    for value, only_unknown_fields in ((overlay, True), (merged, False)):
        try:
            MachineConfig.model_validate(value)
        except ValidationError as error:
            for problem in complaints(
                held.document, error, MachineConfig, below=path, only_unknown_fields=only_unknown_fields
            ):
                found.setdefault(problem.path, problem)
    return list(found.values())


def _services(spec: MachineSpec, libraries: Libraries) -> list[Json] | None:
    if spec.services is None:
        return None
    return [libraries["Service"].held[name].spec for name in spec.services]


def _against_router(held: Held, libraries: Libraries, may_be_lost: MayBeLost) -> Findings:
    fleet, router = libraries["Fleet"], libraries["Router"]
    if not fleet.held or fleet.broken or router.broken or (not router.held and may_be_lost("Router")):
        yield None  # without them nobody knows its app's name, its hosts and its keys
        return
    fleet_spec: FleetSpec = next(iter(fleet.held.values())).spec
    app_name = fleet_spec.app_name.replace("{name}", held.name)
    if len(app_name) > LONGEST_APP_NAME:
        yield held.document.problem(
            ("metadata", "name"),
            f"gives the Fly app name {quote(app_name)}, which is too long: {len(app_name)} characters, "
            f"at most {LONGEST_APP_NAME}",
            code="app-name-too-long",
        )
    for holder in router.held.values():
        yield from _router_agrees(held, app_name, holder.spec)


def _router_agrees(held: Held, app_name: str, router: RouterSpec) -> Findings:
    if app_name in {listener.app for listener in router.listeners}:
        yield held.document.problem(
            ("metadata", "name"),
            f"gives the Fly app name {quote(app_name)}, which is the router's own",
            code="app-name-of-router",
        )
    if held.name in router.reserved:
        yield held.document.problem(
            ("metadata", "name"), f"{quote(held.name)} is reserved by the Router", code="reserved-name"
        )
    for index, host in enumerate(held.spec.hosts or ()):
        domain = max((domain for domain in router.domains if _is_below(host, domain)), key=len, default=None)
        path: Path = ("spec", "hosts", index)
        if domain is None:
            domains = one_of(router.domains)
            yield held.document.problem(
                path,
                f"{quote(host)} is outside the Router's domains; expected a host below {domains}",
                code="host-outside-domains",
            )
        elif host.removesuffix(domain).removesuffix(".").split(".")[-1] in router.reserved:
            yield held.document.problem(
                path, f"{quote(host)} is reserved by the Router", code="reserved-name"
            )


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _shared_hosts(libraries: Libraries) -> Iterable[Problem]:
    """Two users on one host: nobody can say whose it is, so both keep what they had."""
    users = libraries["UserApp"]
    router = next((holder.spec for holder in libraries["Router"].held.values()), None)
    claims: defaultdict[str, list[str]] = defaultdict(list)
    for name, held in users.held.items():
        for host in hosts_of(name, held.spec, router):
            claims[host].append(name)
    problems: list[Problem] = []
    contested: set[str] = set()
    for host, names in claims.items():
        if len(names) == 1:
            continue
        for name in names:
            held = users.held[name]
            other = users.held[names[0] if name != names[0] else names[1]]
            path: Path = ("metadata", "name")
            if held.spec.hosts is not None:
                path = ("spec", "hosts", held.spec.hosts.index(host))
            problems.append(
                held.document.problem(
                    path,
                    f"the host {quote(host)} is also that of {quote(other.name)} "
                    f"in {other.document.where}; expected one user app for a host",
                    code="host-taken-twice",
                )
            )
            contested.add(name)
    for name in sorted(contested):
        users.drop(name)
    return problems
