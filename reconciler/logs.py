"""How this program reports what happens: one event a line on stderr, readable on a terminal, JSON elsewhere.

Event names are `area.past_tense` with key–values. These are read by programs, and keep their names and keys:
`router.listening name host port`, `fleet.progressed ready total`, `fleet.converged users` (again after each
change), `source.rejected problem`. Results of commands go to stdout and are no matter of this file.
"""

import logging
import sys
from enum import Enum
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

_AS_JSON = structlog.processors.JSONRenderer(default=str)


class Form(Enum):
    """What events look like."""

    AUTO = "auto"  # readable on a terminal, JSON elsewhere
    READABLE = "readable"
    NONE = "none"  # a command whose result is all that it has to say


def configure(
    form: Form, *, stream: TextIO | None = None, debug: bool = False, warnings_only: bool = False
) -> None:
    """Send events to `stream` (stderr unless told); `debug` adds debug events and tracebacks."""
    least = logging.WARNING if warnings_only else logging.INFO
    out = stream or sys.stderr
    on_terminal = out.isatty()
    for_people = form is not Form.AUTO or on_terminal
    structlog.configure(
        processors=[
            *([_drop] if form is Form.NONE and not debug else []),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if for_people else "iso", utc=not for_people),
            structlog.processors.format_exc_info if debug else _name_the_exception,
            *([_for_people(colors=on_terminal)] if for_people else [_event_first, _AS_JSON]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else least),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def one_line(text: object) -> str:
    """`text` without line breaks and control characters: what an error or a log value may look like."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def _for_people(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, sort_keys=False, pad_event_to=22
    )


def _event_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What one looks for stands where one looks first."""
    first = ("timestamp", "level", "event")
    return {key: event[key] for key in (*first, *event) if key in event}


def _drop(_logger: WrappedLogger, _method: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


def _name_the_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace a traceback by the error's type and place: enough to find it in the source."""
    error: Any = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["error_type"] = type(error).__name__
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        if place is not None:
            code = place.tb_frame.f_code
            event["error_at"] = f"{code.co_qualname}:{place.tb_lineno}"
    return event
