"""Which host and which user leads where: the router's table, made from the fleet's members.

Answers for what may be routed at all: apps that are observed and proven ours, on hosts below the router's
domains. Serving the table is `router.server`'s.
"""

from collections.abc import Collection, Iterable
from types import MappingProxyType

from reconciler.core.fleet import Member
from reconciler.core.observed import Claim
from reconciler.core.replay_spec import ReplaySpec
from router.table import Entry, Route, Table, Terms, Unavailable

_RETRY_LATER_S = 60  # for what does not change by itself
_NOT_NOW = "This app is not available at the moment."
_PAGES = {
    "Creating": Unavailable("Creating", "This app is being set up. It will be here in a moment."),
    "Updating": Unavailable("Updating", "This app is being updated. It will be back in a moment."),
    "Failed": Unavailable("Failed", "This app could not be started.", 30),
    "Stopped": Unavailable("Stopped", "This app is switched off at the moment.", _RETRY_LATER_S),
}


def build(
    members: Iterable[Member],
    *,
    domains: Collection[str],
    reserved: Collection[str],
    listener_apps: Collection[str],
    replay: ReplaySpec,
    revision: int,
) -> Table:
    """The table for these members; the same members give the same table, in any order.

    A host outside `domains`, or `{label}.{domain}` with a reserved label, leads nowhere. An app of
    `listener_apps` is never a target: the router would replay to itself. On a host that two members
    want the one with a document wins over the one without; two with documents both lose it, since a
    visitor must never land at somebody else's app.
    """
    domains = tuple(domain.lower().rstrip(".") for domain in domains)
    closed = {f"{label.lower()}.{domain}" for label in reserved for domain in domains}
    users: dict[str, Entry] = {}
    wanted: dict[str, list[Member]] = {}
    for member in sorted(members, key=lambda member: (member.unclaimed, member.name)):
        users.setdefault(member.name, _entry(member, listener_apps))
        for host in _hosts(member, domains):
            if host not in closed and _is_below(host, domains):
                wanted.setdefault(host, []).append(member)
    hosts = {host: _winner(wanted[host], users) for host in sorted(wanted)}
    return Table(
        revision=revision,
        hosts=MappingProxyType(hosts),
        users=MappingProxyType(dict(sorted(users.items()))),
        terms=Terms(
            timeout_ms=replay.timeout_ms,
            fallback=None if replay.fallback == "none" else replay.fallback,
            regions=replay.region or (),
        ),
    )


def _entry(member: Member, listener_apps: Collection[str]) -> Entry:
    if member.app_name in listener_apps:
        return Unavailable("ListenerApp", _NOT_NOW, _RETRY_LATER_S)
    if member.claim is Claim.OURS and not member.why_not:
        return Route(member.app_name, MappingProxyType(dict(sorted(member.machines.items()))))
    reason = member.why_not or member.claim.capitalize()
    return _PAGES.get(reason) or Unavailable(reason, _NOT_NOW, _RETRY_LATER_S)


def _hosts(member: Member, domains: tuple[str, ...]) -> list[str]:
    if member.unclaimed and not member.hosts:
        return [f"{member.name}.{domain}".lower() for domain in domains]
    return sorted({host.lower().rstrip(".") for host in member.hosts})


def _is_below(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _winner(members: list[Member], users: dict[str, Entry]) -> Entry:
    claimed = [member for member in members if not member.unclaimed]
    rivals = claimed or members
    if len({member.name for member in rivals}) > 1:
        return Unavailable("HostConflict", _NOT_NOW, _RETRY_LATER_S)
    return users[rivals[0].name]
