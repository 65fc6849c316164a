"""One moment's plan for the whole fleet.

One app is `plan`'s, the form for programs `plan_json`'s, text for people `report`'s.
"""

from dataclasses import dataclass

from reconciler.core.plan import AppPlan


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """A user app that could not be read, so nothing is known about it."""

    name: str  # document name
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What was decided about every app, and what was not looked at."""

    apps: tuple[AppPlan, ...] = ()  # those that were read whole
    in_sync: int = 0  # apps whose org-wide rows already agree: not read, nothing to do
    unclaimed: tuple[str, ...] = ()  # document names of apps that are ours without a document that holds
    unread: tuple[Unread, ...] = ()
    problems: int = 0  # faults in the documents
    not_compared: int = 0  # apps whose secrets' values are not known here, read whole or not

    @property
    def action_count(self) -> int:
        return sum(len(app.actions) for app in self.apps)

    @property
    def hold_count(self) -> int:
        return sum(len(app.holds) for app in self.apps)

    @property
    def complete(self) -> bool:
        """Everything wanted was read."""
        return not self.unread
