"""Whether a user app's names agree with the Fleet and the Router: its Fly app, its hosts, reserved labels."""

import re
from collections.abc import Callable, Sequence

from reconciler.core.document import Path
from reconciler.core.envelope import Held
from reconciler.core.kinds import FleetSpec, RouterSpec
from reconciler.core.library import Findings, Libraries, MayBeLost
from reconciler.core.problem import one_of, quote
from reconciler.core.scalar import LONGEST_APP_NAME, LONGEST_HOST, is_of_fly

PLAIN_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
PLAIN_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")

Agrees = Callable[[str, Sequence[str] | None], bool]


def against_router(held: Held, libraries: Libraries, may_be_lost: MayBeLost) -> Findings:
    """What is wrong with a user app's names; None: nobody knows, since the Fleet or the Router is broken."""
    fleet, router = libraries["Fleet"], libraries["Router"]
    if not fleet.held or fleet.broken or router.broken or (not router.held and may_be_lost("Router")):
        yield None  # without them nobody knows its app's name, its hosts and its keys
        return
    fleet_spec: FleetSpec = next(iter(fleet.held.values())).spec
    app_name = held.spec.app_name or fleet_spec.app_name.replace("{name}", held.name)
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
            ("metadata", "name") if held.spec.app_name is None else ("spec", "app_name"),
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


def agreement(libraries: Libraries) -> Agrees:
    """Whether nothing is wrong with a name and own hosts by themselves: the quick part of `against_router`.

    It may say no where `against_router` finds nothing, and never yes where `against_router` finds something.
    """
    fleet = next((held.spec for held in libraries["Fleet"].held.values()), None)
    router = next((held.spec for held in libraries["Router"].held.values()), None)
    longest = LONGEST_APP_NAME - len(fleet.app_name.replace("{name}", "")) if fleet else 0
    prefix, _, suffix = fleet.app_name.partition("{name}") if fleet else ("", "", "")
    reserved = frozenset(router.reserved if router else ())
    taken = reserved | {
        listener.app.removeprefix(prefix).removesuffix(suffix)
        for listener in (router.listeners if router else ())
    }
    endings = tuple(f".{domain}" for domain in (router.domains if router else ()))

    def agrees(name: str, hosts: Sequence[str] | None) -> bool:
        if len(name) > longest or name in taken or not PLAIN_NAME.fullmatch(name):
            return False
        for host in hosts or ():
            if not PLAIN_HOST.fullmatch(host) or len(host) > LONGEST_HOST or is_of_fly(host):
                return False
            if endings and (not host.endswith(endings) or not reserved.isdisjoint(host.split("."))):
                return False
        return not hosts or len(set(hosts)) == len(hosts)

    return agrees
