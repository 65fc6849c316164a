"""What most commands begin with: the documents read, the session checked, the fleet looked at."""

import contextlib
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from reconciler import state_folder, terminal
from reconciler.config import Environment
from reconciler.core.guard import RESTED
from reconciler.core.spec import Specs
from reconciler.exit import Exit
from reconciler.ledger import LedgerError
from reconciler.session import Followed, Options, Session, begin, read_source
from reconciler.survey import Survey, survey


@dataclass(frozen=True, slots=True)
class Given:
    """What the process was given besides the flags of its command; typer's `context.obj`."""

    environment: Environment
    debug: bool


def open_session(
    context: typer.Context,
    options: Options,
    *,
    are_problems_told: bool = True,
    found: tuple[Followed, Specs] | None = None,
) -> Session:
    """Read and check everything; asks nothing of Fly. Raises ConfigError and NotUsable.

    `found`: the documents, where they were read already.
    """
    given: Given = context.obj
    source, specs = found or read_source(options.specs, secret_env_prefix=options.secret_env_prefix)
    if are_problems_told or specs.fleet is None:
        terminal.tell_problems(specs)
    return begin(options, given.environment, source=source, specs=specs)


async def look(
    session: Session, workers: int, *, only: Container[str] | None = None, folder: Path | None = None
) -> Survey:
    """The fleet, or only some of its users, read once. Raises FlyError.

    `folder`: where the record of budgets and approvals may be; without one whole budgets are assumed. What is
    held is listed there for approval.
    """
    installation = session.intent.fleet.installation
    async with session.fly() as fly:
        known = state_folder.look(folder, installation, fly.now()) if folder else None
        record = RESTED if known is None else replace(known, buckets=known.buckets or RESTED.buckets)
        found = await survey(fly, session.intent, workers=workers, only=only, record=record)
        if folder and found.judgement.batches:
            with (
                contextlib.suppress(LedgerError),
                state_folder.beside(folder, installation, fly.now()) as ledger,
            ):
                ledger.hold(found.judgement.batches, fly.now(), are_all=False)
        return found


def verdict(found: Survey) -> Exit:
    """What a look at the fleet means for the exit code."""
    if not found.is_whole:
        return Exit.PARTIAL
    return Exit.BLOCKED if found.plan.hold_count else Exit.OK
