"""Everything of localfly in one process: the Machines API, the doors, the machines, and their end.

Answers for the order of starting and stopping, and for the lines that say what is ready. Flags and their
errors are `__main__`'s.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from localfly.api.routes import create_api
from localfly.journal import Journal
from localfly.lifecycle import Lifecycle, Timings
from localfly.proxy.door import Attached, BadFlag, Door, apps_behind, authority
from localfly.proxy.edge import Proxy, ProxySettings
from localfly.runtime import LaptopRuntime
from localfly.world import Machine, World

_log = logging.getLogger("localfly")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the flags say, checked one by one."""

    api: tuple[str, int]
    tokens: Sequence[str] = field(repr=False)
    orgs: Sequence[str] = ()
    doors: Sequence[Door] = ()
    attached: Sequence[Attached] = ()
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)
    allowed_replays: Sequence[tuple[str, str]] = ()  # (from, to), organisations
    is_cross_network: bool = False
    allows_any_host: bool = False
    timings: Timings = field(default_factory=Timings)
    proxy: ProxySettings = field(default_factory=ProxySettings)


async def serve(setup: Setup, *, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run until `stop`, then end every machine; raises BadFlag when a flag cannot be followed.

    `say` gets one line for the API, one for each door, and last `localfly ready`.
    """
    world = World(time.time)
    journal = Journal(time.time)
    _settle(world, setup)
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(_bind(*setup.api))

        def exited(machine_id: str, code: int) -> None:
            lifecycle.exited(machine_id, code)

        runtime = LaptopRuntime(
            setup.commands,
            exited=exited,
            output=lambda machine, line: _machine_said(journal, machine, line),
        )
        stack.push_async_callback(runtime.aclose)
        lifecycle = await stack.enter_async_context(Lifecycle(world, runtime, setup.timings))
        edge = Proxy(
            world,
            lifecycle,
            doors=setup.doors,
            attached=setup.attached,
            settings=setup.proxy,
            log=partial(_proxy_said, journal),
        )
        doors = await stack.enter_async_context(edge.open())
        api = create_api(
            world,
            lifecycle,
            tokens=dict.fromkeys(setup.tokens),
            journal=journal,
            allow_any_host=setup.allows_any_host,
        )
        await stack.enter_async_context(answering(api, listener))
        say(f"localfly api http://{authority(*listener.getsockname()[:2])}")
        for door in doors:
            say(_sign(door, setup.attached))
        say("localfly ready")
        await stop.wait()


def _settle(world: World, setup: Setup) -> None:
    """Organisations and what they allow."""
    pairs = setup.allowed_replays
    for slug in (
        *setup.orgs,
        *(slug for pair in pairs for slug in pair),
        *(one.org for one in setup.attached),
    ):
        world.add_org(slug).cross_network_replays = setup.is_cross_network
    for source, target in pairs:
        world.orgs[target].replay_sources.add(source)


def _bind(host: str, port: int) -> socket.socket:
    flag = f"--api {authority(host, port)}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY on TCP
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise BadFlag(f"{flag}: cannot listen on port {port}: {error.strerror or error}") from None
    return listener


@contextlib.asynccontextmanager
async def answering(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve an ASGI app on a listening socket for as long as the block."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        log_level="error",
    )
    server = _Api(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.is_up.wait()
        yield
    finally:
        server.should_exit = server.force_exit = True  # a long wait of a client holds nothing up
        await task


class _Api(uvicorn.Server):
    """Uvicorn that leaves signals to localfly and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _sign(door: Door, attached: Sequence[Attached]) -> str:
    behind = ", ".join(apps_behind(door, attached)) or "no app but by Host"
    kind = "flycast" if door.is_flycast else "public"
    return f"localfly door http://{authority(door.host, door.port)} {kind} port {door.public_port} → {behind}"


def _machine_said(journal: Journal, machine: Machine, line: str) -> None:
    app, region = machine.app.name, machine.region
    journal.machine_output(app=app, message=line, region=region, machine_id=machine.id)
    _log.info("app[%s] %s %s | %s", machine.id, region, app, _harmless(line))


def _proxy_said(
    journal: Journal, app: str, machine_id: str, region: str, text: str, *, is_warning: bool = False
) -> None:
    journal.proxy_line(app=app, message=text, region=region, machine_id=machine_id, is_warning=is_warning)
    level = "warn" if is_warning else "error"
    _log.error("proxy[%s] %s [%s] %s", machine_id or app, region, level, _harmless(text))


def _harmless(line: str) -> str:
    """The line without anything that a terminal would obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
