"""localfly's Machines API on a socket inside the test, with a place to stand between request and answer."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localfly.api.routes import create_api
from localfly.journal import Journal
from localfly.lifecycle import Lifecycle, Timings
from localfly.serve import answering
from localfly.world import World
from tests import wire
from tests.localfly.inprocess import NothingRuns

TOKEN = "laptop-token"
QUICK = Timings(
    create_s=0.01, start_s=0.01, stop_s=0.01, reap_s=0.01, replace_s=0.01, destroy_s=0.01, restart_s=0.01
)


class Handle(Protocol):
    """Lets a request have its effect, and its answer unless told otherwise."""

    async def __call__(self, *, answer: bool = True) -> None: ...


Between = Callable[[str, str, Handle], Awaitable[None]]  # method, path, handle


@dataclass(frozen=True, slots=True)
class Hosted:
    world: World
    url: str


@contextlib.asynccontextmanager
async def hosted_api(between: Between, *, orgs: tuple[str, ...] = ("acme",)) -> AsyncIterator[Hosted]:
    """A world whose machines change state at once and run nothing; every request goes through `between`."""
    world, journal = World(time.time), Journal(time.time)
    for slug in orgs:
        world.add_org(slug)
    async with Lifecycle(world, NothingRuns(), QUICK) as lifecycle:
        api = create_api(world, lifecycle, tokens={TOKEN: None}, journal=journal)
        with wire.tcp_listener() as listener:
            async with answering(_Between(api, between), listener):
                yield Hosted(world, f"http://127.0.0.1:{listener.getsockname()[1]}")


class _Between:
    def __init__(self, app: ASGIApp, between: Between) -> None:
        self._app = app
        self._between = between

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def lost(_message: Message) -> None:
            """The answer goes nowhere."""

        async def handle(*, answer: bool = True) -> None:
            await self._app(scope, receive, send if answer else lost)

        await self._between(scope["method"], scope["path"], handle)
