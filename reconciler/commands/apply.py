"""`reconciler apply`."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from reconciler import logs, plan_file, terminal
from reconciler.commands.opening import Given, open_session, verdict
from reconciler.config import ConfigError, read_root_key
from reconciler.core.saved_plan import SavedPlan
from reconciler.exit import Exit
from reconciler.flags import Approve, State, Workers, Yes, takes_options
from reconciler.fly.client import FlyClient
from reconciler.gate import Gate
from reconciler.ledger import Ledger
from reconciler.report.progress import watching
from reconciler.report.text import plan_lines
from reconciler.report.wording import count
from reconciler.resumption import Resumption, check
from reconciler.rollout import Rolled, rollout
from reconciler.run import describe
from reconciler.session import Options, Session
from reconciler.state_folder import folder_for, working
from reconciler.survey import Survey, survey


@takes_options
def apply(
    context: typer.Context,
    options: Options,
    *,
    yes: Yes = False,
    documents: Annotated[
        Path | None,
        typer.Option(
            metavar="SPECS", help="Of a saved plan: where its documents are now.", show_default=False
        ),
    ] = None,
    state: State = None,
    approvals: Approve = None,
    workers: Workers = 8,
) -> int:
    """Make Fly as the documents say, once; asks first. Or do what a saved plan says, and nothing else."""
    saved = _saved(context.obj, options, documents)
    if saved is not None:
        options = replace(options, specs=documents or _where(saved, options.specs))
    session = open_session(context, options)
    session.require_root_key()
    if saved is None and not yes and not terminal.on_terminal():
        raise ConfigError(
            "apply needs --yes when nobody can be asked; see first what `reconciler plan` shows"
        )
    resumption = None
    if saved is not None and session.root_key is not None:
        check(saved, session.intent, options.specs)
        resumption = Resumption(saved, session.root_key)
        yes = True
    installation = session.intent.fleet.installation
    folder = folder_for(state, context.obj.environment.offered, installation)
    with working(folder, installation, time.time()) as ledger:
        work = _Work(context.obj, session, ledger, workers, frozenset(approvals or ()), resumption)
        return asyncio.run(_apply(work, yes=yes))


def _saved(given: Given, options: Options, documents: Path | None) -> SavedPlan | None:
    """The saved plan that was named instead of documents. Raises ConfigError."""
    if plan_file.is_saved_plan(options.specs):
        root_key = read_root_key(given.environment, options.root_key_file)
        return plan_file.read(options.specs, root_key)
    if documents is not None:
        raise ConfigError(f"--documents goes with a saved plan, and {options.specs} is none")
    return None


def _where(saved: SavedPlan, file: Path) -> Path:
    """Where its documents were, which may be relative to another folder. Raises ConfigError."""
    source = Path(saved.source)
    if not source.exists():
        raise ConfigError(
            f"{file}: its documents were at {source}, and nothing is there, seen from here; "
            "say where they are now: --documents SPECS"
        )
    return source


@dataclass(frozen=True, slots=True)
class _Work:
    given: Given
    session: Session
    ledger: Ledger
    workers: int
    approvals: frozenset[str]
    resumption: Resumption | None


async def _apply(work: _Work, *, yes: bool) -> Exit:
    intent, resumption = work.session.intent, work.resumption
    async with work.session.fly() as fly:
        found = await _survey(work, fly)
        _check_approvals(work.approvals, found)
        if resumption is not None:
            found = resumption.begin(found, intent.apps)
        terminal.show(plan_lines(found))
        if not found.plan.action_count:
            return _end(resumption, found)
        if not yes:
            typer.confirm("Apply?", abort=True)
        rolled = await _roll_out(work, fly, found)
        for failure in rolled.failures:
            terminal.error(f"{failure.name}: {failure.message}")
        after = await _survey(work, fly)
        terminal.show(plan_lines(after))
        code = _end(resumption, after, held=rolled.held)
        return Exit.ERROR if rolled.failures else code


async def _survey(work: _Work, fly: FlyClient) -> Survey:
    """A look at the fleet; what it holds is listed for approval."""
    record = work.ledger.record(fly.now())
    found = await survey(
        fly, work.session.intent, workers=work.workers, record=record, approvals=work.approvals
    )
    work.ledger.hold(found.judgement.batches, fly.now())
    return found


def _check_approvals(approvals: frozenset[str], found: Survey) -> None:
    """Raises ConfigError when a batch is approved that is not what would be done now."""
    held = {batch.id for batch in found.judgement.batches}
    unknown = sorted(approvals - {each.id for each in found.judgement.agreed})
    if unknown:
        known = f"held are {', '.join(sorted(held))}" if held else "nothing is held"
        raise ConfigError(f"--approve {unknown[0]}: the plan has no such batch now; {known}")


async def _roll_out(work: _Work, fly: FlyClient, found: Survey) -> Rolled:
    session, resumption = work.session, work.resumption
    work.ledger.approve(found.judgement.approved, fly.now())
    total = sum(bool(app.actions) for app in found.plan.apps)
    began = asyncio.get_running_loop().time()
    with watching(total, sys.stderr, lambda: fly.waiting) as watcher:
        # Inside, stderr is the one above the live line.
        debug = work.given.debug
        logs.configure(logs.Form.READABLE, debug=debug, warnings_only=not debug)
        rolled = await rollout(
            fly,
            session.intent,
            found,
            describe=describe(session.intent),
            workers=work.workers,
            watcher=watcher,
            gate=Gate(work.ledger, wall=fly.now, is_first_approved=True),
            choose=resumption.choose if resumption else lambda _, plan: plan,
        )
    took_s = asyncio.get_running_loop().time() - began
    failed, held = len(rolled.failures), len(rolled.held)
    others = {*rolled.held, *(failure.name for failure in rolled.failures)}
    partly = len(_refused_in_part(resumption, found) - others)
    withheld = f"{held:,} held, " if held else ""
    withheld += f"{partly:,} refused in part, " if partly else ""
    done = count(total - failed - held - partly, "user app")
    terminal.say(f"{done} done, {withheld}{failed:,} failed, in {took_s:.0f} s")
    return rolled


def _refused_in_part(resumption: Resumption | None, found: Survey) -> set[str]:
    """Names of those who were begun with, and of whose saved actions not all are done."""
    begun = {app.name for app in found.plan.apps if app.actions}
    return {refusal.name for refusal in resumption.refused if refusal.name in begun} if resumption else set()


def _end(resumption: Resumption | None, after: Survey, *, held: Sequence[str] = ()) -> Exit:
    """Tells what of a saved plan was not done; the exit code.

    What came after a saved plan was made is for the next one to tell, so it holds nothing up here.
    """
    if resumption is None:
        return verdict(after)
    for refusal in resumption.refused:
        terminal.say(f"refused: {refusal.name}: {refusal.key}: {refusal.why}")
    if resumption.already:
        terminal.say(f"{count(resumption.already, 'action')} of the saved plan not needed any more")
    if resumption.refused:
        refused = count(len(resumption.refused), "action")
        terminal.say(f"{refused} of the saved plan refused; make a new one: reconciler plan --out")
    if not after.is_whole:
        return Exit.PARTIAL
    return Exit.BLOCKED if resumption.refused or held else Exit.OK
