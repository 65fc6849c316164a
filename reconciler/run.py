"""Everything that `reconciler run` starts, wired together, and its end.

Answers for signals, for the order of opening and closing, and for the doors. The work is `loop`'s.
"""

import asyncio
import contextlib
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from random import Random

import structlog

from reconciler.census import Census
from reconciler.config import ConfigError
from reconciler.core.keys import RootKey
from reconciler.core.kinds import RouterSpec
from reconciler.fly.client import FlyClient
from reconciler.gate import Gate
from reconciler.intent import Intent
from reconciler.loop import Loop, Watched
from reconciler.witness import Witness
from router.server import Listener, Router
from router.state import Signer
from router.table import Table

NO_KID = "0" * 8  # of a router that signs nothing

log = structlog.get_logger()


async def run(
    *,
    fly: FlyClient,
    intent: Intent,
    source: Watched,
    witness: Witness,
    gate: Gate,
    root_key: RootKey | None,
    listen: Mapping[str, tuple[str, int]],
    resync_s: float,
    workers: int,
) -> None:
    """Open the router's doors and work until SIGTERM or SIGINT; a second signal cancels at once.

    `gate` decides what may begin, `witness` reads the documents besides `source`; `listen` replaces where
    listeners bind, by their names. Raises ConfigError, ListenError, and FlyError when Fly refuses the very
    first look.
    """
    with _stop_signals() as stop:
        async with _routing(intent.router, root_key, listen) as publish:
            await Loop(
                fly=fly,
                intent=intent,
                census=Census(intent, publish),
                gate=gate,
                witness=witness,
                source=source,
                describe=describe(intent),
                random=Random(secrets.randbits(64)),  # noqa: S311 - jitter, not a secret
                resync_s=resync_s,
                workers=workers,
            ).run(stop)


@contextlib.asynccontextmanager
async def _routing(
    spec: RouterSpec | None, root_key: RootKey | None, listen: Mapping[str, tuple[str, int]]
) -> AsyncIterator[Callable[[Table], None]]:
    """Doors open for as long as the block; gives what publishes a table."""
    if spec is None:
        if listen:
            raise ConfigError("--listen: there is no Router document, so there are no listeners")
        log.info("router.left_out", because="there is no Router document")
        yield lambda _table: None
        return
    signer = Signer(
        auth=spec.auth,
        replay_root=root_key.replay_root if root_key else None,
        kid=root_key.kid if root_key else NO_KID,
    )
    router = Router(signer)
    doors = listeners(spec, listen)
    async with router.listening(doors) as ports:
        for door in doors:
            log.info("router.listening", name=door.name, host=door.host, port=ports[door.name])
        yield router.publish


def listeners(spec: RouterSpec, overrides: Mapping[str, tuple[str, int]]) -> list[Listener]:
    """The Router document's listeners, bound elsewhere where `overrides` says so. Raises ConfigError."""
    unknown = sorted(overrides.keys() - {listener.name for listener in spec.listeners})
    if unknown:
        known = ", ".join(sorted(listener.name for listener in spec.listeners))
        raise ConfigError(f"--listen {unknown[0]}=…: the Router has no such listener; it has {known}")
    doors = []
    for listener in spec.listeners:
        door = Listener(
            name=listener.name,
            app=listener.app,
            host=listener.host,
            port=listener.port,
            private=listener.private,
            ports=frozenset(listener.ports),
        )
        if listener.name in overrides:
            host, port = overrides[listener.name]
            door = replace(door, host=host, port=port)
        doors.append(door)
    return doors


def describe(intent: Intent) -> str:
    """How this process signs leases: `{installation}/{a word of its own}`."""
    return f"{intent.fleet.installation}/{secrets.token_hex(4)}"


@contextlib.contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    stop = asyncio.Event()
    main = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if stop.is_set() and main is not None:
            log.warning("run.cut_short")
            main.cancel()
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, heard)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
