"""`reconciler approve`."""

import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from reconciler import terminal
from reconciler.config import ConfigError
from reconciler.exit import Exit
from reconciler.flags import State, Yes
from reconciler.ledger import Pending
from reconciler.report.wording import count
from reconciler.state_folder import beside, found_folder

SHOWN = 10  # of the users of a batch; the batch is named by all of them
MINUTE_S = 60


def approve(
    context: typer.Context,
    batch: Annotated[
        str | None, typer.Argument(metavar="BATCH", help="What a plan or a held user app names.")
    ] = None,
    *,
    yes: Yes = False,
    state: State = None,
) -> int:
    """Let what is held go on, for an hour: exactly what the batch names. Without BATCH: list what is held."""
    folder = found_folder(state, context.obj.environment.offered)
    now = time.time()
    with beside(folder, None, now) as ledger:
        pending = ledger.pending(now)
        if batch is None:
            terminal.show(_listed(pending, now))
            return Exit.OK
        wanted = next((each for each in pending if each.batch.id == batch), None)
        if wanted is None:
            known = ", ".join(each.batch.id for each in pending)
            raise ConfigError(
                f"approve {batch}: no such batch is held now (its name changes with what is in it, and it "
                f"lapses after an hour); {f'held are {known}' if known else 'nothing is held'}"
            )
        terminal.show(_told(wanted))
        if not yes:
            if not terminal.on_terminal():
                raise ConfigError("approve needs --yes when nobody can be asked")
            typer.confirm("Approve?", abort=True)
        ledger.approve(wanted.batch.items, now)
    terminal.say(f"approved for an hour: {wanted.batch.because}")
    return Exit.OK


def _listed(pending: tuple[Pending, ...], now: float) -> Iterator[Text]:
    if not pending:
        yield Text("nothing is held for approval")
    for each in pending:
        users = count(len({item.user for item in each.batch.items}), "user app")
        yield Text(f"{each.batch.id}  {each.batch.because}  ({users}, {_standing(each, now)})")


def _standing(each: Pending, now: float) -> str:
    """For how long it waits; or, once it is approved, how long it may still begin."""
    if each.approved_until is not None:
        return f"approved, {int((each.approved_until - now) / MINUTE_S)} min left"
    return f"for {max(0, int((now - each.since) / MINUTE_S))} min"


def _told(wanted: Pending) -> Iterator[Text]:
    yield Text(wanted.batch.because)
    for item in wanted.batch.items[:SHOWN]:
        yield Text(f"  {item.klass} {item.user}: {item.what} of {item.app_name}")
    more = len(wanted.batch.items) - SHOWN
    if more > 0:
        yield Text(f"  and {more:,} more")
