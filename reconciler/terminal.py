"""What the commands write: results on stdout, problems and errors on stderr, one line each.

Answers for a pipe that closed, a disk that is full, and texts that cannot forge a line.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from reconciler.config import ConfigError
from reconciler.core.problem import printable
from reconciler.core.spec import Specs
from reconciler.exit import Exit


def on_terminal() -> bool:
    """Somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def tell_problems(specs: Specs, *, warnings: bool = False) -> None:
    """The documents' problems, on stderr; warnings only when they are asked for."""
    for problem in specs.findings if warnings else specs.problems:
        print(problem, file=sys.stderr)


def error(message: str) -> Exit:
    """One line on stderr, and the exit code to end with."""
    print(f"reconciler: {printable(message)}", file=sys.stderr)
    return Exit.ERROR


def show(lines: Iterable[Text]) -> None:
    """Coloured on a terminal, plain and never wrapped in a pipe. Raises ConfigError."""
    console = Console(soft_wrap=True, highlight=False)
    with _telling():
        for line in lines:
            console.print(line)


def say(text: str) -> None:
    """One text, as it is. Raises ConfigError."""
    with _telling():
        sys.stdout.write(f"{text}\n")


def say_all(pieces: Iterable[str]) -> None:
    """Texts as they are, one after the other, while they are made. Raises ConfigError."""
    with _telling():
        for piece in pieces:
            sys.stdout.write(piece)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr for as long as the block, to be told (done, of how many); None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has enough: typer ends the program without a word
        raise
    except OSError as error:
        raise ConfigError(f"the result cannot be written to stdout: {error.strerror}") from None
