"""Transports for clients under test: a function as the server, and faults in front of a whole localfly."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

from localfly.passage import Timings
from reconciler.fly.client import FlyClient
from reconciler.fly.pace import Pace
from tests.localfly.asgi import Straight
from tests.localfly.inprocess import TOKEN, Laptop, laptop

BASE = "http://fly.test:4280"
Answering = Callable[[httpx.Request], httpx.Response]
Sending = Callable[[httpx.Request], Awaitable[httpx.Response]]
Fault = Callable[[httpx.Request, Sending], Awaitable[httpx.Response]]


class Hushed:
    """A secret value that no repr shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value


class Answers(httpx.AsyncBaseTransport):
    """A server that is one function; an exception that it raises is the transport's."""

    def __init__(self, answer: Answering) -> None:
        self.answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self.answer(request)


class Faults(httpx.AsyncBaseTransport):
    """A real server behind a fault, which may answer itself, lose the answer, or let the request through."""

    def __init__(self, inner: httpx.AsyncBaseTransport, fault: Fault) -> None:
        self.inner = inner
        self.fault = fault

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.fault(request, self.inner.handle_async_request)


def answering(answer: Answering, *, token: str = TOKEN) -> FlyClient:
    """A client whose Fly is `answer`."""
    http = httpx.AsyncClient(transport=Answers(answer), base_url=BASE)
    return FlyClient(http, token=token, pace=Pace())


def says(status: int, body: object = None, headers: dict[str, str] | None = None) -> Answering:
    """Always the same answer; text is sent as it is, anything else as JSON."""
    content = body if isinstance(body, str) else json.dumps(body)
    return lambda _: httpx.Response(status, content=content, headers=headers)


@asynccontextmanager
async def flying(
    *, fault: Fault | None = None, timings: Timings | None = None, orgs: tuple[str, ...] = ("acme", "other")
) -> AsyncIterator[tuple[FlyClient, Laptop]]:
    """A client and the whole localfly that it speaks to, through `fault` where there is one."""
    async with laptop(orgs=orgs, timings=timings, tokens={"acme-only": ["acme"]}) as box:
        yield client_of(box, fault=fault), box


def client_of(box: Laptop, *, fault: Fault | None = None, token: str = TOKEN) -> FlyClient:
    """One more client of that localfly, as a process that was started again would have."""
    transport: httpx.AsyncBaseTransport = Straight(box.api)
    if fault is not None:
        transport = Faults(transport, fault)
    http = httpx.AsyncClient(transport=transport, base_url="http://localhost:4280")
    return FlyClient(http, token=token, pace=Pace(), wall=box.world.clock)
