"""A whole localfly Machines API inside a test: real client, real HTTP messages, no socket, virtual time."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from starlette.types import ASGIApp

from localfly.api.routes import create_api
from localfly.journal import Journal
from localfly.lifecycle import Lifecycle, Runtime, Timings
from localfly.world import Machine, World
from tests.virtual_time import VirtualTimeLoop

TOKEN = "laptop-token"


class NothingRuns:
    """A runtime for tests that need states and no processes; its machines exit with 0 when stopped."""

    async def start(self, machine: Machine) -> None:
        """Every machine is up at once."""

    async def stop(self, machine: Machine, *, signal: str, timeout_s: float) -> int:  # noqa: ARG002 - Runtime's shape
        """Every machine is down at once."""
        return 0

    async def suspend(self, machine: Machine) -> None:
        """Every machine keeps its memory."""

    async def resume(self, machine: Machine) -> None:
        """Every machine goes on at once."""

    def signal(self, machine: Machine, name: str) -> None:
        """No machine cares."""

    def address(self, machine_id: str, internal_port: int) -> tuple[str, int] | None:  # noqa: ARG002 - Runtime's shape
        """Nothing listens."""
        return None


@dataclass(frozen=True, slots=True)
class Laptop:
    """The world, its lifecycle, and a client whose base URL is the API's (paths begin with `/v1/`)."""

    world: World
    lifecycle: Lifecycle
    journal: Journal
    api: ASGIApp
    client: httpx.AsyncClient

    def speaking(self, token: str) -> httpx.AsyncClient:
        """Another client of the same API, with another token; close it, or use it as `async with`."""
        return _client(self.api, token)


@asynccontextmanager
async def laptop(
    *,
    orgs: Collection[str] = ("acme",),
    tokens: Mapping[str, Collection[str] | None] | None = None,
    timings: Timings | None = None,
    runtime: Runtime | None = None,
) -> AsyncIterator[Laptop]:
    """A localfly with these organisations, on the running virtual-time loop's clock.

    `tokens` maps tokens to the organisations they may act in (None: all); TOKEN may act in all unless told.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    world = World(loop.wall)
    for slug in orgs:
        world.add_org(slug)
    journal = Journal(loop.wall)
    async with Lifecycle(world, runtime or NothingRuns(), timings) as lifecycle:
        api = create_api(world, lifecycle, tokens={TOKEN: None} | dict(tokens or {}), journal=journal)
        async with _client(api, TOKEN) as client:
            yield Laptop(world, lifecycle, journal, api, client)


def _client(api: ASGIApp, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=api),
        base_url="http://localhost:4280",
        headers={"authorization": f"Bearer {token}"},
    )
