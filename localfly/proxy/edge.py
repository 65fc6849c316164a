"""The stand-in for Fly's proxy: opens its doors and takes connections in.

Answers for listening, for finding the app of a request, and for never showing a traceback. Carrying a
request on is `exchange`'s; which flags make a door is `door`'s.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import h11

from localfly.identity import private_ip
from localfly.lifecycle import Lifecycle
from localfly.proxy import cache_key, direct, header, steering
from localfly.proxy.autostop import Autostop
from localfly.proxy.body import Body
from localfly.proxy.cache import ReplayCache
from localfly.proxy.client import Client, Gone
from localfly.proxy.door import Attached, BadFlag, Direct, Door, apps_behind, refuse_mixed_doors
from localfly.proxy.exchange import Asked, Choices, Exchange
from localfly.proxy.header import Edge, Headers
from localfly.proxy.load import Load
from localfly.proxy.pipe import Ends, pipe
from localfly.proxy.reach import Reach, Wanted
from localfly.proxy.select import Candidate, Refused, Selection
from localfly.world import Address, App, World


class Log(Protocol):
    """Takes app, machine id (or nothing), region and the text of an error line, or of a warning."""

    def __call__(
        self, app: str, machine_id: str, region: str, text: str, *, is_warning: bool = False
    ) -> None: ...


_log = logging.getLogger("localfly.proxy")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What Fly does not publish, or a test wants shorter; sizes in bytes."""

    region: str = "iad"  # where this edge stands
    give_up_s: float = 7.5  # how long to look for a machine to connect to
    autostop_s: float = 300.0  # between two passes that stop what is not used
    replayable_size: int = 1_000_000  # a larger request body cannot be sent a second time
    forgetful_cache: int | None = None  # seed; set, the replay cache forgets by chance what it kept
    choices: Choices = field(default_factory=Choices)


class Proxy:
    """All doors of one world."""

    def __init__(
        self,
        world: World,
        lifecycle: Lifecycle,
        *,
        doors: Sequence[Door],
        past: Sequence[Direct] = (),
        attached: Sequence[Attached] = (),
        settings: ProxySettings | None = None,
        log: Log,
    ) -> None:
        """Make attached apps known to the world; raises BadFlag when doors and backends contradict."""
        refuse_mixed_doors(doors, attached)
        _register(world, doors, attached)
        self._settings = settings or ProxySettings()
        self._world = world
        self._doors = doors
        self._past = past
        self._attached = attached
        self._log = log
        self._selection = Selection(world, doors=doors, attached=attached, region=self._settings.region)
        self._lifecycle = lifecycle
        self._load = Load(world.clock)
        self._reach = Reach(self._selection, lifecycle, self._load, give_up_s=self._settings.give_up_s)
        self._exchange = Exchange(
            self._reach,
            cache=ReplayCache(world.clock, seed=self._settings.forgetful_cache),
            log=self._note,
            clock=world.clock,
            choices=self._settings.choices,
        )
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[list[Door | Direct]]:
        """Listen at every door, direct ones last, and yield them with the ports they got; with the block
        all close.

        Raises BadFlag that names the flag when an address cannot be had.
        """
        servers: list[asyncio.Server] = []
        wanted: list[Door | Direct] = [*self._doors, *self._past]
        opened: list[Door | Direct] = []
        autostop = asyncio.create_task(self._stop_the_unused(), name="autostop")
        try:
            for door in wanted:
                server = await self._listen(door)
                servers.append(server)
                opened.append(replace(door, port=server.sockets[0].getsockname()[1]))
            yield opened
        finally:
            for server in servers:
                server.close()
            for task in (autostop, *self._connections):
                task.cancel()
            await asyncio.gather(autostop, *self._connections, return_exceptions=True)

    async def _listen(self, door: Door | Direct) -> asyncio.Server:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._take(door, reader, writer)

        try:
            return await asyncio.start_server(take, door.host, door.port, backlog=1024)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise BadFlag(f"--listen {door}: cannot listen on port {door.port}: {why}") from None

    async def _take(
        self, door: Door | Direct, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = asyncio.current_task()
        if connection is None:
            return
        self._connections.add(connection)
        try:
            if isinstance(door, Direct):
                await self._carry_direct(door, (reader, writer))
            elif (app := self._raw_app(door)) is not None:
                await self._carry_raw(door, app, reader, writer)
            else:
                await self._serve(door, Client(reader, writer))
        except (
            asyncio.CancelledError
        ):  # only closing the proxy cancels, and the streams' callback would print it
            writer.transport.abort()
        except Exception as error:  # noqa: BLE001 - no request may end in a traceback on the terminal
            _log.error("door %s: a request failed by a fault of localfly, please report it: %r", door, error)
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _stop_the_unused(self) -> None:
        passes = Autostop(self._world, self._lifecycle, self._load, every_s=self._settings.autostop_s)
        try:
            await passes.run()
        except Exception as error:  # noqa: BLE001 - it must not end unseen
            _log.error("autostop has ended by a fault of localfly, please report it: %r", error)

    def _raw_app(self, door: Door) -> App | None:
        """The door's own app, when its service there has no `http` handler: bytes go as they are."""
        app = self._selection.default(door)
        serving = self._selection.serving(app, door.public_port) if app else []
        return app if serving and "http" not in serving[0].handlers else None

    async def _carry_raw(
        self, door: Door, app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            reached = await self._reach.connect(Wanted(app, door.public_port))
        except Refused as refused:
            self._note(app, str(refused))
            return
        try:
            await pipe((reader, writer), reached.ends)
        finally:
            reached.ends[1].close()

    async def _carry_direct(self, door: Direct, client: Ends) -> None:
        where = direct.address(door, self._world, self._attached, self._lifecycle.runtime)
        if where is None:
            return
        try:
            machine = await asyncio.open_connection(*where)
        except OSError:
            return
        try:
            await pipe(client, machine)
        finally:
            machine[1].close()

    async def _serve(self, door: Door, client: Client) -> None:
        """Answer request after request until one side has had enough."""
        while True:
            try:
                request = await client.request()
                if request is None:
                    return
                await self._answer(door, client, request)
            except* Gone:
                return_now = True
            except* h11.RemoteProtocolError as malformed:
                return_now = True
                await client.refuse_malformed(_first(malformed))
            else:
                return_now = not client.is_ready_for_next()
            if return_now:
                return

    async def _answer(self, door: Door, client: Client, request: h11.Request) -> None:
        headers: Headers = list(request.headers)
        host = next((value.decode("latin-1") for name, value in headers if name == b"host"), None)
        app = self._selection.entry(door, host)
        serving = self._selection.serving(app, door.public_port) if app else []
        edge = self._edge(door, client, is_tls=any("tls" in one.handlers for one in serving))
        body = Body(self._settings.replayable_size)
        if host is None and app is not None:  # HTTP/1.0; the machine gets HTTP/1.1
            headers.append((b"host", f"{app.name}.fly.dev".encode()))
        asked = Asked(
            request.method,
            request.target,
            headers,
            body,
            edge,
            host,
            steering.of(headers),
            cache_key.session_rules(serving[0].http_options) if serving else (),
        )
        async with asyncio.TaskGroup() as group:
            client.start_reading(body, group)
            if not (request.target.startswith(b"/") or request.target == b"*"):
                await client.refuse(400, header.own(edge))  # no proxy to the rest of the world
            elif app is None:
                _log.error("door %s: Host %r leads to no app; name one with @APP, or attach one", door, host)
                await client.refuse(502, header.own(edge))
            elif not serving:
                self._note(app, f"[PR03] nothing from app {app.name} serves port tcp/{door.public_port}")
                raise Gone
            elif "http" not in serving[0].handlers:
                await self._exchange.carry_verbatim(client, asked, app)
            elif serving[0].forces_https and not edge.is_tls:
                await client.refuse(301, [*header.own(edge), _https(asked, host)])
            else:
                await self._exchange.carry(client, asked, app)
            await client.finish(body)

    def _edge(self, door: Door, client: Client, *, is_tls: bool) -> Edge:
        region = self._settings.region
        return Edge(
            client_ip=client.peer,
            door_ip=door.host,
            public_port=door.public_port,
            region=region,
            request_id=f"{self._world.ids.ulid(self._world.clock())}-{region}",
            is_tls=is_tls,
        )

    def _note(self, about: Candidate | App, text: str, *, is_warning: bool = False) -> None:
        """A line under the machine that answered, or under an app that none was reached of."""
        if isinstance(about, Candidate):
            self._log(about.app.name, about.machine_id, about.region, text, is_warning=is_warning)
        else:
            self._log(about.name, "", self._settings.region, text, is_warning=is_warning)


def _register(world: World, doors: Sequence[Door], attached: Sequence[Attached]) -> None:
    """Make the apps of attached backends, and give every app behind a door the address that the door is."""
    for backend in attached:
        app = world.apps.get(backend.app)
        if app is None:
            world.add_app(backend.app, org=backend.org)
        elif app.org.slug != backend.org:
            raise BadFlag(f"--attach {backend}: app {backend.app} is in organisation {app.org.slug}")
    for door in doors:
        for app in (world.apps.get(name) for name in apps_behind(door, attached)):
            if app is not None:
                app.addresses.append(_address(world, door, app))


def _address(world: World, door: Door, app: App) -> Address:
    if not door.is_flycast:
        return Address(door.host, "global", is_shared=False, created_at=world.clock(), is_door=True)
    ip = private_ip(app.org.networks[app.network], app.id)
    network, org = app.network, app.org.slug
    return Address(
        ip, "global", is_shared=False, created_at=world.clock(), network=network, org=org, is_door=True
    )


def _https(asked: Asked, host: str | None) -> tuple[bytes, bytes]:
    name = (host or "").partition(":")[0].encode("latin-1")
    return b"location", b"https://" + name + asked.target


def _first(group: BaseExceptionGroup[h11.RemoteProtocolError]) -> h11.RemoteProtocolError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
