"""What happened lately, for people and tests to look at: API requests answered, and lines logged.

Answers for bounded memory and the shape of a log line (that of Fly's log stream). Never sees a body.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from localfly.moment import rfc3339_nano

REQUESTS_KEPT = 10_000
LINES_KEPT = 2_000
NO_ANSWER = 0  # the status of a request whose answer never left


@dataclass(frozen=True, slots=True)
class Asked:
    """One API request and its answer's status, or NO_ANSWER; `at` in unix seconds."""

    method: str
    path: str
    status: int
    at: float
    request_id: str


class Feed:
    """Lines from now on; a reader that is slow loses the oldest beyond LINES_KEPT."""

    def __init__(self) -> None:
        self._lines: deque[dict[str, Any]] = deque(maxlen=LINES_KEPT)
        self._news = asyncio.Event()

    def put(self, line: dict[str, Any]) -> None:
        """Add a line."""
        self._lines.append(line)
        self._news.set()

    async def next(self) -> dict[str, Any]:
        """The next line, when there is one."""
        while not self._lines:
            self._news.clear()
            await self._news.wait()
        return self._lines.popleft()


class Journal:
    """The latest requests and log lines, oldest first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.requests: deque[Asked] = deque(maxlen=REQUESTS_KEPT)
        self.answered: Counter[str] = Counter()  # by method, since the start
        self.lines: deque[dict[str, Any]] = deque(maxlen=LINES_KEPT)
        self._feeds: WeakSet[Feed] = WeakSet()

    def follow(self) -> Feed:
        """A feed of every line from now on, for as long as somebody holds it."""
        feed = Feed()
        self._feeds.add(feed)
        return feed

    def asked(self, *, method: str, path: str, status: int, request_id: str) -> None:
        """Note a request and its answer."""
        self.answered[method] += 1
        self.requests.append(Asked(method, path, status, self._clock(), request_id))

    def proxy_line(
        self, *, app: str, message: str, region: str, machine_id: str = "", is_warning: bool = False
    ) -> None:
        """Note a line of the Fly Proxy under its app (for a replay: the one that asked for it)."""
        level = "warn" if is_warning else "error"
        self._note("proxy", level, app=app, message=message, region=region, machine_id=machine_id)

    def machine_output(self, *, app: str, message: str, region: str, machine_id: str) -> None:
        """Note a line that a machine's process printed; hostile text, shown as it came."""
        self._note("app", "info", app=app, message=message, region=region, machine_id=machine_id)

    def _note(
        self, provider: str, level: str, *, app: str, message: str, region: str, machine_id: str
    ) -> None:
        line: dict[str, Any] = {
            "subject": f"logs.{app}.{region}.{machine_id or 'proxy'}",
            "event": {"provider": provider},
            "fly": {"app": {"name": app, "instance": machine_id}, "region": region},
            "host": "0000",
            "log": {"level": level},
            "message": message,
            "timestamp": rfc3339_nano(self._clock()),
        }
        self.lines.append(line)
        for feed in self._feeds:
            feed.put(line)
