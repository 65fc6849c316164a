"""A saved plan carried out: of what is planned now, what was saved and did not move.

Answers for matching it with the present documents, and for remembering what was refused. Deciding that is
`core.saved_plan`'s, the file is `plan_file`'s.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.config import ConfigError
from reconciler.core.action import Action
from reconciler.core.desired import DesiredApp
from reconciler.core.keys import RootKey
from reconciler.core.plan import AppPlan
from reconciler.core.saved_plan import Digests, Refusal, SavedPlan, choose, follow_up, saved_app, undone
from reconciler.intent import Intent
from reconciler.plan_file import new_salt
from reconciler.report.wording import action_lines
from reconciler.survey import Survey


def saved(found: Survey, intent: Intent, root_key: RootKey, source: Path) -> SavedPlan:
    """The plan of a survey, to be kept."""
    salt = new_salt()
    digests = Digests(root_key.plan_key, salt)
    apps = sorted((app for app in found.plan.apps if app.actions), key=lambda app: app.name)
    return SavedPlan(
        source=str(source),
        org=intent.fleet.org,
        installation=intent.fleet.installation,
        salt=salt,
        apps=tuple(saved_app(app, intent.apps.get(app.name), digests, _texts(app)) for app in apps),
    )


def check(plan: SavedPlan, intent: Intent, path: Path) -> None:
    """Raises ConfigError when a saved plan is not for the fleet of these documents."""
    fleet = intent.fleet
    for field, then, now in (
        ("installation", plan.installation, fleet.installation),
        ("organisation", plan.org, fleet.org),
    ):
        if then != now:
            raise ConfigError(f"{path}: it is a plan for {field} {then}, and the Fleet document says {now}")


class Resumption:
    """Chooses, app by app, what of a plan made now a saved one allows."""

    def __init__(self, plan: SavedPlan, root_key: RootKey) -> None:
        self._saved = {app.name: app for app in plan.apps}
        self._digests = Digests(root_key.plan_key, plan.salt)
        self._done: dict[str, tuple[Action, ...]] = {}
        self._moved: list[Refusal] = []
        self._undone: dict[str, tuple[str, ...]] = {}  # by name, as the last reading has it
        self.already = 0  # saved actions that nobody needs any more

    @property
    def refused(self) -> list[Refusal]:
        """What of the saved plan is not done, sorted."""
        late = "it may not be done now, or waits for its turn"
        left = [Refusal(name, key, late) for name, keys in self._undone.items() for key in keys]
        return sorted({*self._moved, *left})

    def begin(self, found: Survey, desired: Mapping[str, DesiredApp]) -> Survey:
        """The survey with what of its plan may be done, and nothing else to do.

        Saved apps of which nothing is to be done are settled now: nobody will ask about them.
        """
        planned = {app.name: app for app in found.plan.apps}
        apps = tuple(self._allowed(app, desired.get(app.name)) for app in found.plan.apps)
        allowed = {app.name: app.actions for app in apps}
        unread = {app.name: app.message for app in found.plan.unread}
        for name, app in self._saved.items():
            if name in unread:
                self._moved += [Refusal(name, one.key, f"not read: {unread[name]}") for one in app.actions]
            elif not allowed.get(name, ()):
                self.choose(desired.get(name), planned.get(name, AppPlan(name=name, app_name=app.app_name)))
        return replace(found, plan=replace(found.plan, apps=apps))

    def _allowed(self, app: AppPlan, desired: DesiredApp | None) -> AppPlan:
        """For showing alone: before it is done, each app is read and chosen from again."""
        saved = self._saved.get(app.name)
        if saved is None:
            return replace(app, actions=())
        return choose(saved, desired, app, self._digests).plan

    def choose(self, desired: DesiredApp | None, now: AppPlan) -> AppPlan:
        """What of an app's plan may be done; asked again after it was done, what belongs to that.

        Without what a new plan would hold: that is about what is not in the saved one, or a refusal.
        """
        saved = self._saved[now.name]
        if now.name in self._done:
            self._undone[now.name] = undone(saved, self._done[now.name], now, self._digests)
            return replace(follow_up(self._done[now.name], now), holds=())
        choice = choose(saved, desired, now, self._digests)
        self._done[now.name] = choice.plan.actions
        self._moved += choice.refused
        self.already += len(choice.already)
        return replace(choice.plan, holds=())


def _texts(app: AppPlan) -> dict[str, str]:
    return {action.key: next(iter(action_lines(action))) for action in app.actions}
