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
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from localfly.api.answer import HANG_UP
from localfly.api.routes import create_api
from localfly.identity import Ids
from localfly.journal import Journal
from localfly.keep import CannotKeep, Keep, Unwritten, kept_in
from localfly.lifecycle import Lifecycle, Timings
from localfly.proxy.door import Attached, BadFlag, Direct, Door, apps_behind, authority
from localfly.proxy.edge import Proxy, ProxySettings
from localfly.runtime import LaptopRuntime
from localfly.trouble import trouble
from localfly.world import Machine, World

_log = logging.getLogger("localfly")
WRITE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Setup:
    """What the flags say, checked one by one."""

    api: tuple[str, int]
    tokens: Sequence[str] = field(repr=False)
    orgs: Sequence[str] = ()
    doors: Sequence[Door] = ()
    past: Sequence[Direct] = ()  # doors past the proxy
    attached: Sequence[Attached] = ()
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)
    allowed_replays: Sequence[tuple[str, str]] = ()  # (from, to), organisations
    is_cross_network: bool = False
    allows_any_host: bool = False
    allows_exec: bool = False
    is_strict_wait: bool = False
    timings: Timings = field(default_factory=Timings)
    has_rate_limits: bool = True
    tells_retry_after: bool = False
    state_dir: Path | None = None
    seed: int | None = None  # of ids and of the chances of faults; None: ids that nobody can guess
    proxy: ProxySettings = field(default_factory=ProxySettings)


async def serve(setup: Setup, *, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run until `stop`, then end every machine; raises BadFlag when a flag cannot be followed.

    `say` gets one line for the API, one for each door, and last `localfly ready`.
    """
    world = World(time.time, ids=Ids(setup.seed))
    journal = Journal(world.clock)
    async with contextlib.AsyncExitStack() as stack:
        keep = stack.enter_context(_kept(world, setup.state_dir))
        _settle(world, setup)
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
        if keep is not None:
            stack.callback(keep.let_go)  # what ends with localfly has not ended in the world
            await stack.enter_async_context(_writing(keep))
        lifecycle.take_up()
        edge = Proxy(
            world,
            lifecycle,
            doors=setup.doors,
            past=setup.past,
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
            troubles=trouble(
                world.clock,
                has_limits=setup.has_rate_limits,
                tells_retry_after=setup.tells_retry_after,
                seed=setup.seed or 0,
            ),
            kept=frozenset(backend.app for backend in setup.attached),
            insides=runtime.inside,
            allows_exec=setup.allows_exec,
            is_strict_wait=setup.is_strict_wait,
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
        org = world.add_org(slug)
        org.cross_network_replays |= setup.is_cross_network
    for source, target in pairs:
        world.orgs[target].replay_sources |= {source}


@contextlib.contextmanager
def _kept(world: World, folder: Path | None) -> Iterator[Keep | None]:
    if folder is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            keep = stack.enter_context(kept_in(folder, world))
        except CannotKeep as error:
            raise BadFlag(f"--state-dir {folder}: {error}") from None
        yield keep


@contextlib.asynccontextmanager
async def _writing(keep: Keep) -> AsyncIterator[None]:
    """Write what changes without anybody asking the API, a moment later."""

    async def write() -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            try:
                keep.save()
            except Unwritten as error:
                _log.error("%s", error)

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _bind(host: str, port: int) -> socket.socket:
    flag = f"--api {authority(host, port)}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # asyncio sets TCP_NODELAY on TCP
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
        http=_Connection,
        log_config=None,
        access_log=False,
        proxy_headers=False,
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


class _Connection(HttpToolsProtocol):
    """A connection that a request can end without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {HANG_UP: {"now": self.transport.abort}}


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


def _sign(door: Door | Direct, attached: Sequence[Attached]) -> str:
    if isinstance(door, Direct):
        machine = f"machine {door.machine} of {door.app}" if door.machine else door.app
        where = authority(door.host, door.port)
        return f"localfly door http://{where} direct, past the proxy → {machine}, port {door.internal_port}"
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
