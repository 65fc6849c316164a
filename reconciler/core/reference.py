"""What documents say about each other: names that lead somewhere, hosts and apps that nobody else has.

Answers for which documents still hold beside the others. Each document by itself is `envelope`'s.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from reconciler.core.allow_unknown import allowed_in, without_allowed
from reconciler.core.complaint import complaints
from reconciler.core.document import Path
from reconciler.core.envelope import Held
from reconciler.core.kinds import GroupSpec, MachineSpec, RouterSpec, UserAppSpec
from reconciler.core.library import Check, Findings, Libraries, Library, MayBeLost, Remembered
from reconciler.core.machine_config import MachineConfig
from reconciler.core.overlay import merge_patch, template_config
from reconciler.core.problem import Problem, did_you_mean, one_of, quote, quote_name
from reconciler.core.router_check import against_router
from reconciler.core.rule_check import (
    Doors,
    check_fleet,
    check_machine,
    check_overlay,
    check_service,
    doors_of,
)

Json = Any

PLAIN_TEXTS = ("env", "metadata")  # of a machine config: whose values may be any text
ONE_OF_A_KIND = ("Fleet", "Router")


def check_references(
    libraries: Libraries, *, may_be_lost: MayBeLost, remembered: Remembered | None = None
) -> list[Problem]:
    """Complain about, and drop, each document that does not hold beside the others."""
    problems: list[Problem] = []
    for kind in ONE_OF_A_KIND:
        problems += _check_all(libraries[kind], lambda held: _only_one(held, libraries))
    problems += _check_all(libraries["Fleet"], check_fleet)
    doors = _doors(libraries)
    problems += _check_all(libraries["Service"], lambda held: check_service(held, doors))
    problems += _check_all(libraries["Machine"], lambda held: _machine(held, libraries, may_be_lost))
    remembered = remembered or Remembered()
    remembered.turn_to(libraries, may_be_lost)
    return problems + _check_all(
        libraries["UserApp"], lambda held: user_app(held, libraries, may_be_lost), remembered
    )


def _check_all(library: Library, check: Check, remembered: Remembered | None = None) -> list[Problem]:
    problems: list[Problem] = []
    broken: list[str] = []
    for name, held in library.held.items():
        known = remembered.knows(held) if remembered else None
        if known is not None:
            problems += known
            continue
        found = list(check(held))
        told = [problem for problem in found if problem is not None]
        problems += told
        if any(problem is None or problem.severity == "error" for problem in found):
            broken.append(name)  # None: something it needs is broken, and that has been said there
        elif remembered:
            remembered.keep(held, tuple(told))
    for name in broken:
        library.drop(name)
    return problems


def user_app(held: Held, libraries: Libraries, may_be_lost: MayBeLost) -> Findings:
    """What is wrong with a user app beside the other documents; None: what it needs is broken."""
    yield from _user_app(held, libraries, may_be_lost)
    yield from against_router(held, libraries, may_be_lost)


def hosts_of(name: str, spec: UserAppSpec, router: RouterSpec | None) -> tuple[str, ...]:
    """Where visitors find a user app: its own hosts, or its name below each of the router's domains."""
    if spec.hosts is not None:
        return spec.hosts
    return tuple(f"{name}.{domain}" for domain in router.domains) if router else ()


def _only_one(held: Held, libraries: Libraries) -> Findings:
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
    leads_somewhere, holds = True, True
    for index, service in enumerate(spec.services or ()):
        for finding in _refer(held, ("spec", "services", index), service, libraries["Service"], may_be_lost):
            leads_somewhere = False
            yield finding
    if leads_somewhere and spec.services:
        try:
            services = _services(spec, libraries)
            config = template_config(spec.config, services)
            MachineConfig.model_validate(
                without_allowed(config, allowed_in(spec.allow_unknown, services or ()))
            )
        except ValidationError as error:
            holds = False
            for problem in complaints(held.document, error, MachineConfig):
                yield held.document.problem(("spec", "services"), problem.message, code=problem.code)
    if leads_somewhere and holds:
        yield from check_machine(held, _services(spec, libraries), _doors(libraries))


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
    shown = quote_name(name) if library.kind == "Secret" else quote(name)
    yield held.document.problem(
        path,
        f"there is no {library.kind} called {shown}{_guess(name, library)}",
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
    agreeable = libraries["Machine"].agreeable
    alike = (group.template, group.allow_unknown, _likeness(group.config))
    if alike in agreeable:
        return
    found = list(_merged_config(held, path, group, libraries))
    yield from found
    if not found:
        agreeable.add(alike)


def _likeness(config: Mapping[str, Json] | None) -> str:
    """The config without what is plain text in it: two of one likeness are both fine, or neither is."""
    plain = {
        field: {key: "" if isinstance(text, str) else text for key, text in config[field].items()}
        for field in PLAIN_TEXTS
        if config and isinstance(config.get(field), dict)
    }
    return json.dumps({**config, **plain} if config else None, sort_keys=True)


def _merged_config(held: Held, path: Path, group: GroupSpec, libraries: Libraries) -> Findings:
    template: MachineSpec = libraries["Machine"].held[group.template].spec
    services = _services(template, libraries)
    config = template_config(template.config, services)
    if group.config is not None:
        plain = config
        config = merge_patch(config, group.config)
        allowed = allowed_in(template.allow_unknown, services or (), group.allow_unknown)
        problems = _overlay_problems(held, (*path, "config"), group.config, config, allowed)
        yield from problems
        if problems:
            return
        yield from check_overlay(
            held,
            (*path, "config"),
            overlay=group.config,
            template=plain,
            merged=config,
            doors=_doors(libraries),
        )
    if config.get("image") is None and not config.get("containers"):
        yield held.document.problem(
            path,
            f"no image: neither the Machine {quote(group.template)} nor config names one",
            code="no-image",
        )


def _overlay_problems(
    held: Held, path: Path, overlay: Json, merged: Json, allowed: Sequence[str]
) -> list[Problem]:
    found: dict[str, Problem] = {}
    # In the overlay alone nothing need be whole, and null removes; an unknown field is wrong even so.
    for value, only_unknown_fields in ((overlay, True), (merged, False)):
        try:
            MachineConfig.model_validate(without_allowed(value, allowed))
        except ValidationError as error:
            for problem in complaints(
                held.document, error, MachineConfig, below=path, only_unknown_fields=only_unknown_fields
            ):
                found.setdefault(problem.path, problem)
    return list(found.values())


def _doors(libraries: Libraries) -> Doors:
    router = libraries["Router"]
    return doors_of(next((held.spec for held in router.held.values()), None))


def _services(spec: MachineSpec, libraries: Libraries) -> list[Json] | None:
    if spec.services is None:
        return None
    return [libraries["Service"].held[name].spec for name in spec.services]
