"""Every member of the fleet as last known, and what follows from that: the router's table and the progress.

Answers for publishing at once what is known, and for telling how far the fleet is. Learning about members is
the loop's, which member is routed where `core.routes`'.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import structlog

from reconciler.core import routes
from reconciler.core.fleet import Member
from reconciler.core.status import Condition, Status
from reconciler.intent import Intent
from router.table import Table

GATHER_S = 0.05  # members that change together are published together

log = structlog.get_logger()


class Census:
    """Members by document name. Those of `intent.apps` are put one by one, unclaimed ones all at once."""

    def __init__(self, intent: Intent, publish: Callable[[Table], None]) -> None:
        self._intent = intent
        self._publish = publish
        self._members: dict[str, Member] = {}
        self._unclaimed: tuple[Member, ...] | None = None  # None: the organisation was never looked at
        self._pending: set[str] = set()
        self._revision = 0
        self._told: tuple[int, int] | None = None
        self._has_converged = False
        self._changed = asyncio.Event()

    def __getitem__(self, name: str) -> Member | None:
        return self._members.get(name)

    @property
    def members(self) -> Mapping[str, Member]:
        """Everybody, unclaimed ones too."""
        return {member.name: member for member in (*(self._unclaimed or ()), *self._members.values())}

    @property
    def has_converged(self) -> bool:
        """Every user app is ready, as its present document says, and that is published."""
        return self._has_converged and not self._changed.is_set()

    def put(self, member: Member) -> None:
        """What is now known of a wanted app; published within 50 ms. Its hosts are always the document's."""
        wanted = self._intent.apps.get(member.name)
        if wanted is None:  # its document vanished while somebody looked
            return
        if member.name in self._intent.kept:
            member = replace(member, conditions=_kept(member.conditions))
        self._members[member.name] = replace(member, hosts=wanted.hosts, unclaimed=False)
        self._changed.set()

    def put_unclaimed(self, members: Iterable[Member]) -> None:
        """All apps that are ours without a document, as now known."""
        self._unclaimed = tuple(members)
        self._changed.set()

    def expect(self, names: Iterable[str]) -> None:
        """These should now be something else: they are not ready until `settled`, whatever is known."""
        self._pending.update(names)
        self._changed.set()

    def settle(self, name: str) -> None:
        """What is known of `name` was learnt with its present document in mind."""
        self._pending.discard(name)
        self._changed.set()

    def publish(self) -> None:
        """Hand out a table of what is known now, and tell the progress when it moved.

        Before the first look at the organisation nobody is known, and an empty table would deny everybody.
        """
        self._changed.clear()
        if self._unclaimed is None:
            return
        gone = self._members.keys() - self._intent.apps.keys()
        for name in gone:
            del self._members[name]
        self._pending &= self._intent.apps.keys()
        router = self._intent.router
        if router is not None:
            self._revision += 1
            table = routes.build(
                (*self._members.values(), *self._unclaimed),
                domains=router.domains,
                reserved=router.reserved,
                listener_apps={listener.app for listener in router.listeners},
                replay=router.replay,
                revision=self._revision,
            )
            self._publish(table)
        self._tell()

    async def publish_for_ever(self) -> None:
        """Publish soon after each change."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_S)
            self.publish()

    def _tell(self) -> None:
        total = len(self._intent.apps)
        ready = sum(
            is_ready(member) and member.name not in self._pending for member in self._members.values()
        )
        if self._told is None or self._told[1] != total:
            self._has_converged = False
        if self._told != (ready, total):
            self._told = ready, total
            log.info("fleet.progressed", ready=ready, total=total)
        converged = ready == total
        if converged and not self._has_converged:
            log.info("fleet.converged", users=total)
        self._has_converged = converged


def is_ready(member: Member) -> bool:
    """Its condition Ready is True."""
    return any(one.type == "Ready" and one.status is Status.TRUE for one in member.conditions)


def _kept(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    message = "its document does not hold now; what it last said stays in force"
    stalled = Condition("Stalled", Status.TRUE, "DocumentBroken", message)
    return tuple(stalled if one.type == "Stalled" else one for one in conditions)
