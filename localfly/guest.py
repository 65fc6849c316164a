"""The built-in guest, for images that no `--image` names: it says who it is and what it saw.

Answers for listening on a free loopback port per internal port while its machine runs, and for its memory:
the number of requests served since it booted. When it runs is the lifecycle's matter. It never shows the
machine's env or secrets.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterable

import h11

from localfly.world import Machine

HEAD_LIMIT = 64 * 1024


class Guest:
    """One running guest; its answers tell the version that it was started with."""

    def __init__(self, machine: Machine) -> None:
        self._identity = {
            "app": machine.app.name,
            "machine": machine.id,
            "name": machine.name,
            "region": machine.region,
            "version": machine.instance_id,
        }
        self._internal_ports = internal_ports(machine)
        self._servers: dict[int, asyncio.Server] = {}
        self._served = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def ports(self) -> dict[int, int]:
        """Its ports on this laptop by internal port."""
        return {port: server.sockets[0].getsockname()[1] for port, server in self._servers.items()}

    async def start(self) -> None:
        """Listen for every internal port; raises OSError, and leaves nothing open, when that fails.

        After a `stop()` it goes on with its memory, at other ports of this laptop.
        """
        try:
            for internal_port in self._internal_ports:
                self._servers[internal_port] = await self._listen(internal_port)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every listener and connection at once; idempotent."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def address(self, internal_port: int) -> tuple[str, int] | None:
        """Where that internal port listens on this laptop."""
        server = self._servers.get(internal_port)
        return server.sockets[0].getsockname()[:2] if server else None

    async def _listen(self, internal_port: int) -> asyncio.Server:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = asyncio.current_task()
            if connection is None:
                return
            self._connections.add(connection)
            try:
                await self._serve(internal_port, reader, writer)
            except asyncio.CancelledError:  # only stop() cancels, and the streams' callback would print it
                writer.transport.abort()
            finally:
                self._connections.discard(connection)
                writer.close()

        return await asyncio.start_server(take, "127.0.0.1", 0)

    async def _serve(
        self, internal_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        with contextlib.suppress(ConnectionError, h11.ProtocolError):
            while request := await _request(http, reader):
                digest, size = hashlib.sha256(), 0
                while not isinstance(event := await _event(http, reader, writer), h11.EndOfMessage):
                    if not isinstance(event, h11.Data):
                        return
                    digest.update(event.data)
                    size += len(event.data)
                seen = {
                    "method": request.method.decode(),
                    "path": request.target.decode("latin-1"),
                    "headers": [[name.decode(), value.decode("latin-1")] for name, value in request.headers],
                    "body": {"size": size, "sha256": digest.hexdigest()},
                }
                self._served += 1
                told = {
                    **self._identity,
                    "internal_port": internal_port,
                    "served": self._served,
                    "saw": seen,
                }
                text = json.dumps(told, indent=1).encode() + b"\n"
                head = h11.Response(
                    status_code=200,
                    reason="OK",
                    headers=[("content-type", "application/json"), ("content-length", str(len(text)))],
                )
                for part in (head, h11.Data(data=text), h11.EndOfMessage()):
                    writer.write(http.send(part) or b"")
                await writer.drain()
                if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                    return
                http.start_next_cycle()


def internal_ports(machine: Machine) -> list[int]:
    """The internal ports of a machine's services and checks, each once, services first."""
    checks: Iterable[object] = (machine.config.get("checks") or {}).values()
    ports = [service.get("internal_port") for service in machine.services]
    ports += [check.get("port") for check in checks if isinstance(check, dict)]
    return [port for port in dict.fromkeys(ports) if isinstance(port, int)]


async def _request(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    event = await _event(http, reader, None)
    return event if isinstance(event, h11.Request) else None


async def _event(
    http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None
) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    while (event := http.next_event()) is h11.NEED_DATA:
        if writer and http.they_are_waiting_for_100_continue:
            writer.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        http.receive_data(await reader.read(HEAD_LIMIT))
    return event
