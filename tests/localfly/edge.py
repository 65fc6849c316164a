"""A Fly Proxy inside a test: a world with machines that run the built-in guest, doors on free loopback ports.

Answers for putting the product's own parts together on the test's loop, and for requests through a door.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from localfly.journal import Journal
from localfly.lifecycle import Lifecycle, Timings
from localfly.proxy.door import Attached, Direct, Door
from localfly.proxy.edge import Proxy, ProxySettings
from localfly.runtime import LaptopRuntime
from localfly.world import Machine, World
from tests.localfly.backend import Backend
from tests.virtual_time import VirtualTimeLoop

PROGRAM = "program-of-the-test:"


@dataclass(slots=True)
class Edge:
    """The world behind the doors, and a client for them."""

    world: World
    lifecycle: Lifecycle
    journal: Journal
    client: httpx.AsyncClient
    ports: list[int] = field(default_factory=list)

    async def ask(
        self, path: str = "/", *, door: int = 0, method: str = "GET", host: str = "x.example", **more: Any
    ) -> httpx.Response:
        """One request through a door, for a host."""
        headers = [("host", host), *more.pop("headers", ())]
        url = f"http://127.0.0.1:{self.ports[door]}{path}"
        return await self.client.request(method, url, headers=headers, **more)

    @contextlib.asynccontextmanager
    async def connection(
        self, *, door: int = 0
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A raw connection to a door."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[door])
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def errors(self, app: str, *, level: str = "error") -> list[str]:
        """What the proxy logged under an app, oldest first."""
        return [
            str(line["message"])
            for line in self.journal.lines
            if (line["fly"]["app"]["name"], line["event"]["provider"], line["log"]["level"])
            == (app, "proxy", level)
        ]

    def warnings(self, app: str) -> list[str]:
        """What the proxy warned of under an app, oldest first."""
        return self.errors(app, level="warn")

    def app(self, name: str, *, org: str = "acme", network: str = "default") -> None:
        """An app without machines."""
        self.world.add_app(name, org=org, network=network)

    async def machine(
        self,
        app: str,
        *services: dict[str, Any],
        is_asleep: bool = False,
        region: str = "iad",
        program: Backend | None = None,
        **more: Any,
    ) -> Machine:
        """A machine of an app, running the guest or a program of the test, or stopped.

        Without `services` it has one on 443.
        """
        image = f"{PROGRAM}{program.port}" if program else "guest"
        config = {"image": image, "services": list(services or [service()]), **more}
        machine = self.world.add_machine(
            self.world.apps[app],
            name=f"m{len(self.world.machines)}",
            region=region,
            config=config,
            submitted=config,
            secrets=self.world.apps[app].secrets,
        )
        self.lifecycle.launch(machine, skip_launch=is_asleep)
        wanted = "stopped" if is_asleep else "started"
        assert await self.lifecycle.until(machine, lambda m: m.state == wanted, timeout_s=60)
        return machine


def service(*, port: int = 443, internal_port: int = 8080, **more: Any) -> dict[str, Any]:
    """A service with one public port; TLS and HTTP handlers and autostart unless told."""
    handlers = more.pop("handlers", ["tls", "http"])
    ports = more.pop("ports", [{"port": port, "handlers": handlers}])
    return {"protocol": "tcp", "internal_port": internal_port, "autostart": True, "ports": ports, **more}


@contextlib.asynccontextmanager
async def edge(
    *attached: Attached,
    doors: Sequence[Door] = (Door("127.0.0.1", 0, 443),),
    past: Sequence[Direct] = (),
    settings: ProxySettings | None = None,
    timings: Timings | None = None,
) -> AsyncIterator[Edge]:
    """A proxy with these doors (public port 443 unless told), on the running virtual-time loop's clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    world, journal = World(loop.wall), Journal(loop.wall)
    world.add_org("acme")
    runtime = _Programs(world)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runtime.aclose)
        lifecycle = await stack.enter_async_context(Lifecycle(world, runtime, timings))

        def log(app: str, machine_id: str, region: str, text: str, *, is_warning: bool = False) -> None:
            journal.proxy_line(
                app=app, message=text, region=region, machine_id=machine_id, is_warning=is_warning
            )

        proxy = Proxy(world, lifecycle, doors=doors, past=past, attached=attached, settings=settings, log=log)
        opened = await stack.enter_async_context(proxy.open())
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=None))  # noqa: S113 - virtual time jumps
        yield Edge(world, lifecycle, journal, client, [door.port for door in opened])


class _Programs(LaptopRuntime):
    """Machines whose image names a program of the test: while they run, they are where it listens."""

    def __init__(self, world: World) -> None:
        super().__init__({}, exited=_never, output=_never)
        self._world = world

    def address(self, machine_id: str, internal_port: int) -> tuple[str, int] | None:
        """The program's address in place of the guest's."""
        where = super().address(machine_id, internal_port)
        image = self._world.machines[machine_id].config["image"]
        return (
            ("127.0.0.1", int(image.removeprefix(PROGRAM))) if where and image.startswith(PROGRAM) else where
        )


def _never(*_: object) -> None:
    raise AssertionError("the guest neither exits nor prints")
