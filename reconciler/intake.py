"""Documents as they come in: taken or refused as a whole, and what of that is told to whoever reads the log.

Answers for a source that cannot be taken raising doubt about every deletion. What is wanted after all is
`intent`'s, what follows from it the loop's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from reconciler.core.action import Class
from reconciler.core.item import WHOLE, Item
from reconciler.core.spec import Specs
from reconciler.gate import Gate
from reconciler.intent import Change, Intent, NotUsable
from reconciler.removals import Removals

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Taken:
    """What new documents came to."""

    change: Change
    turned: frozenset[str]  # names whose documents began or ceased to hold


class Intake:
    """`intent` has taken its first specs already."""

    def __init__(self, *, intent: Intent, gate: Gate, removals: Removals) -> None:
        self._intent = intent
        self._gate = gate
        self._removals = removals
        self._last = intent.specs  # as they were read, before a list that shrank was refused
        self._told_problems: frozenset[str] = frozenset()
        self._told_missing: frozenset[str] = frozenset()  # secrets

    def take(self, specs: Specs) -> Taken | None:
        """Want what they say; None: everything stays as it was."""
        kept = self._intent.kept
        try:
            change = self._intent.take(specs, accepts=self._accepts)
        except NotUsable as error:
            self.tell_problems(specs)
            self._removals.doubt(str(error))
            log.warning("source.rejected", problem=str(error))
            return None
        except Exception:  # a fault in reading one document must not end everything
            self._removals.doubt("the documents were not understood")
            log.exception("source.crashed")
            return None
        is_newer = specs.revision != self._last.revision
        self._last = specs
        self._gate.refuse({name: self._deletions(lost) for name, lost in self._intent.shrunk.items()})
        self._removals.certain()
        self.tell_problems(self._intent.specs)
        if specs.router not in (None, self._intent.router):
            log.warning("router.left_behind", because="`listeners` and `auth` change with the next start")
        self.tell_missing_secrets()
        if change:
            self._gate.renew()
        if change or is_newer:
            revision = {"revision": specs.revision} if specs.revision else {}
            log.info("source.changed", **revision, moved=len(change.moved), vanished=len(change.vanished))
        return Taken(change, kept ^ self._intent.kept)

    def approved(self) -> Specs | None:
        """Documents to be taken again, since somebody approved what a list of theirs has lost."""
        is_approved = any(self._accepts(name, lost) for name, lost in self._intent.shrunk.items())
        return self._last if is_approved else None

    def tell_problems(self, specs: Specs) -> None:
        """Those that were not told yet, and that there are none any more."""
        problems = [str(problem) for problem in specs.problems]
        for problem in problems:
            if problem not in self._told_problems:
                log.warning("source.rejected", problem=problem)
        if self._told_problems and not problems:
            log.info("source.mended")
        self._told_problems = frozenset(problems)

    def tell_missing_secrets(self) -> None:
        """Those that were not told yet."""
        missing = self._intent.missing_secrets
        for name in sorted(missing.keys() - self._told_missing):
            log.warning("secret.missing", name=name, because=missing[name])
        self._told_missing = frozenset(missing)

    def _accepts(self, _set: str, lost: frozenset[str]) -> bool:
        return self._gate.are_approved(self._deletions(lost))

    def _deletions(self, names: Iterable[str]) -> tuple[Item, ...]:
        apps = self._intent.apps
        return tuple(
            Item(name, apps[name].app_name, Class.DELETE, WHOLE) for name in sorted(names) if name in apps
        )
