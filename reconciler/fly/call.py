"""The one way out to the Machines API: token, pace, time limits, retry, and the mapping of every failure.

Leaves the endpoints to `client`, the meaning of answers to `errors` and `models`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from reconciler.fly.errors import (
    Ambiguous,
    CouldNotAsk,
    FlyError,
    Garbled,
    TooFast,
    Unauthorized,
    Unavailable,
    refusal,
)
from reconciler.fly.pace import Pace

Json = Any
T = TypeVar("T")

ANYTHING: TypeAdapter[Json] = TypeAdapter(Any)

TRIES = 4
FIRST_PAUSE_S = 0.5  # doubled each time: a call gives up after 3.5 seconds of pauses
LONGEST_PAUSE_S = 30.0  # even if Fly asks for more
CONNECT_S = 5.0
ANSWER_S = 70.0  # creating on a cold host may take a minute; a wait at most as long
READ_S = 20.0  # of what Fly only has to look up: an API that hangs is told of soon

# Raised before a byte of the request left: the effect cannot have happened.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `action` and `identifier` name its rate limit, `action` and `subject` tell people.

    `lane`: whose request it is, an app's name or an organisation; lanes share what is left fairly.
    """

    method: str
    path: str
    action: str
    subject: str
    identifier: str
    lane: str
    json: Mapping[str, Json] | None = field(default=None, repr=False)  # may hold secrets
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a nonce
    is_repeatable: bool = True  # a second time does no harm
    is_wait: bool = False
    names_version: bool = False
    hidden: tuple[str, ...] = field(default=(), repr=False)  # never to be shown, should Fly quote it

    @property
    def operation(self) -> str:
        return f"{self.action} {self.subject}"

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


def on_org(method: str, org: str, path: str, action: str, **more: Any) -> Call:
    """A call limited per organisation; `path` is the whole one."""
    subject = more.pop("subject", f"of organisation {org}")
    return Call(method=method, path=path, action=action, subject=subject, identifier=org, lane=org, **more)


def on_app(method: str, app: str, path: str, action: str, **more: Any) -> Call:
    """A call limited per app; `path` goes below the app's."""
    subject = more.pop("subject", f"of {app}" if path else app)
    path = f"/v1/apps/{part(app)}{path}"
    return Call(method=method, path=path, action=action, subject=subject, identifier=app, lane=app, **more)


def on_machine(method: str, app: str, machine: str, path: str, action: str, **more: Any) -> Call:
    """A call limited per machine; `path` goes below the machine's."""
    path = f"/v1/apps/{part(app)}/machines/{part(machine)}{path}"
    subject = f"{machine} of {app}"
    return Call(
        method=method, path=path, action=action, subject=subject, identifier=machine, lane=app, **more
    )


def given(**fields: Any) -> dict[str, Any]:
    """A body or query without what was not given."""
    return {name: value for name, value in fields.items() if value is not None}


def part(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


class Caller:
    """Sends calls for one token."""

    def __init__(self, http: httpx.AsyncClient, *, token: str, pace: Pace) -> None:
        self._http = http
        self._base = str(http.base_url).rstrip("/")
        self._pace = pace
        self._authorization = _authorization(token)

    @property
    def waiting(self) -> int:
        """Calls that may not leave yet."""
        return self._pace.counts.waiting

    async def ask(self, call: Call, into: TypeAdapter[T]) -> T:
        """Send `call`, repeat it while that is harmless and promising, and read the answer.

        Raises a `FlyError`, and of other exceptions only those of cancellation.
        """
        pause_s = FIRST_PAUSE_S
        tries = 0
        while True:
            tries += 1
            try:
                async with self._pace.turn(call.action, call.identifier, call.lane):
                    answer = await self._send(call)
                return self._read(call, answer, into)
            except FlyError as error:
                if tries == TRIES or not _is_worth_repeating(call, error):
                    raise
                asked_s = (error.retry_after_s or 0.0) if isinstance(error, TooFast) else 0.0
            await asyncio.sleep(min(max(pause_s, asked_s), LONGEST_PAUSE_S))
            pause_s *= 2

    async def _send(self, call: Call) -> httpx.Response:
        answer_s = ANSWER_S if call.is_write or call.is_wait else READ_S
        try:
            return await self._http.request(
                call.method,
                f"{self._base}{call.path}",  # httpx takes apart and rebuilds any other url, each time
                json=call.json,
                params=call.params or None,
                headers={**call.headers, "Authorization": self._authorization},
                timeout=httpx.Timeout(answer_s, connect=CONNECT_S, pool=None),
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            was_lost = call.is_write and not isinstance(error, _NOT_SENT)
            kind = Ambiguous if was_lost else CouldNotAsk
            raise kind(call.operation, f"no answer from {self._where()}{_why(error, answer_s)}") from error

    def _read(self, call: Call, response: httpx.Response, into: TypeAdapter[T]) -> T:
        if not response.is_success:
            raise refusal(
                call.operation,
                status=response.status_code,
                headers=response.headers,
                body=response.content,
                is_write=call.is_write,
                is_wait=call.is_wait,
                names_version=call.names_version,
                hidden=(*call.hidden, *call.headers.values(), self._authorization.removeprefix("Bearer ")),
            )
        try:
            return into.validate_json(response.content or b"null")
        except ValidationError as error:
            places = {".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors()}
            kind = Ambiguous if call.is_write else Garbled
            # `from None`: the validation error quotes the answer, which may hold what must not be logged.
            raise kind(
                call.operation,
                f"{self._where()} answered something unexpected (at {', '.join(sorted(places)[:3])})",
                status=response.status_code,
                request_id=response.headers.get("fly-request-id", ""),
            ) from None

    def _where(self) -> str:
        url = self._http.base_url
        return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"  # without any user:password@


def _is_worth_repeating(call: Call, error: FlyError) -> bool:
    """The whole retry policy: what certainly did nothing, and what does no harm when done twice."""
    if isinstance(error, TooFast | CouldNotAsk):
        return True
    return call.is_repeatable and isinstance(error, Unavailable | Ambiguous | Garbled)


def _authorization(token: str) -> str:
    text = token.strip()
    if not text:
        raise Unauthorized("talk to Fly", "the API token is empty")
    if not (text.isascii() and text.isprintable()):
        raise Unauthorized("talk to Fly", "the API token holds characters that no HTTP header can carry")
    return text if text.startswith("FlyV1 ") else f"Bearer {text}"


def _why(error: Exception, answer_s: float) -> str:
    match error:
        case httpx.ConnectTimeout():
            return f" within {CONNECT_S:g} s"
        case httpx.ReadTimeout():
            return f" within {answer_s:g} s"
    return f": {str(error) or type(error).__name__}"
