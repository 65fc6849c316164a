"""The rules over each kind of document, and at which place of which document their remarks are shown.

Answers for saying each thing once: at the Service or Machine that brings it along, and at a user app only
what its own config adds. The rules themselves are in `rules`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.core.envelope import Held
from reconciler.core.kinds import FleetSpec, MachineSpec, RouterSpec
from reconciler.core.overlay import template_config
from reconciler.core.problem import Problem
from reconciler.core.rules.app_name import predictable
from reconciler.core.rules.machine import READ, machine_remarks
from reconciler.core.rules.port import port_remarks
from reconciler.core.rules.remark import Remark
from reconciler.core.rules.sleep import sleep_remarks
from reconciler.core.rules.suspend import suspend_remarks

Json = Any
Path = tuple[str | int, ...]
Doors = Mapping[int, str]  # the Router's public ports, and the listener behind each


def doors_of(router: RouterSpec | None) -> Doors:
    """Where visitors come in, to be replayed to the same port of a user's machine."""
    return {
        port: listener.name for listener in (router.listeners if router else ()) for port in listener.ports
    }


def check_fleet(held: Held) -> Iterator[Problem]:
    spec: FleetSpec = held.spec
    warning = predictable(spec.app_name, spec.installation)
    if warning:
        yield held.document.problem(
            ("spec", "app_name"), warning, code="predictable-app-name", severity="warning"
        )


def check_service(held: Held, doors: Doors) -> Iterator[Problem]:
    yield from _problems(held, ("spec",), port_remarks((), held.spec, doors))


def check_machine(held: Held, services: list[Json] | None, doors: Doors) -> Iterator[Problem]:
    """The template's own config, and what its Service documents make of it."""
    spec: MachineSpec = held.spec
    config = template_config(spec.config, None)
    yield from _problems(held, ("spec", "config"), machine_remarks(config, doors))
    if services is not None:
        merged = template_config(spec.config, services)
        remarks = (*suspend_remarks(merged), *sleep_remarks(merged))
        yield from _problems(held, ("spec", "config"), remarks)


def check_overlay(
    held: Held, path: Path, *, overlay: Mapping[str, Json], template: Json, merged: Json, doors: Doors
) -> Iterator[Problem]:
    """What a user app's config adds to what has been said about its template."""
    if READ.isdisjoint(overlay):
        return
    said = set(machine_remarks(template, doors))
    yield from _problems(held, path, (each for each in machine_remarks(merged, doors) if each not in said))


def _problems(held: Held, below: Path, remarks: Iterable[Remark]) -> Iterator[Problem]:
    for remark in remarks:
        yield held.document.problem(
            (*below, *remark.path), remark.message, code=remark.code, severity=remark.severity
        )
