"""The reconciler's loop on a laptop's Fly, in virtual time: real client, real messages, real documents.

Answers for starting it, editing what it reads and waiting until it has what it wants. What must then be true
is said by the tests.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from localfly.world import App, Machine
from reconciler.census import Census
from reconciler.core.keys import RootKey
from reconciler.core.spec import Specs, Unreadable, load
from reconciler.fly.client import FlyClient
from reconciler.fly.pace import Pace, Rates
from reconciler.gate import Gate
from reconciler.intent import Intent
from reconciler.ledger import Ledger, in_memory
from reconciler.loop import Loop
from reconciler.secret_source import SecretSource
from reconciler.source import Source
from reconciler.survey import Survey, survey
from reconciler.witness import Witness
from router.table import Entry, Table
from tests.localfly.asgi import Straight
from tests.localfly.inprocess import TOKEN, Laptop, laptop
from tests.virtual_time import VirtualTimeLoop

ROOT_KEY = "1f" * 32
SECRET = "canary-7f3a9c"
FOLLOW_EVERY_S = (
    15.0  # how soon a folder's changes are seen; the operating system's notices know no virtual time
)

FLEET = """
apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: acme}
spec: {org: acme, installation: teststage, app_name: "acme-{name}", regions: [iad], drift: correct}
---
apiVersion: reconciler/v1alpha1
kind: Router
metadata: {name: router}
spec:
  domains: [example.com]
  listeners: [{name: public, app: acme-router, bind: "127.0.0.1:0", ports: [80]}]
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: OPENAI_API_KEY}
spec: {from: {env: FLEET_SECRET_OPENAI_API_KEY}}
"""

MACHINE = """
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: studio}
spec:
  config:
    image: registry.fly.io/studio:1
    guest: {cpu_kind: shared, cpus: 1, memory_mb: 256}
    env: {GREETING: hello}
    services: [{internal_port: 8080, ports: [{port: 80, handlers: [http]}]}]
"""

USER = """
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {name: NAME}
spec:
  hosts: [NAME.example.com]
  machines: [{name: web, template: studio, mount: {name: data, path: /data, size_gb: 1}}]
  secrets: [OPENAI_API_KEY]
"""


def user(name: str) -> str:
    """A user's document."""
    return USER.replace("NAME", name)


def fleet_of(*names: str) -> dict[str, str | Unreadable]:
    """A source: the common documents, and one file for each user."""
    users: dict[str, str | Unreadable] = {f"users/{name}.yaml": user(name) for name in names}
    return {"fleet.yaml": FLEET, "machine.yaml": MACHINE, **users}


class Line(httpx.AsyncBaseTransport):
    """The network between us and Fly.

    `is_cut`: nothing gets through; `refuse` may answer in Fly's place; `distort` may change an answer.
    """

    def __init__(self, api: Any) -> None:
        self._inner = Straight(api)
        self.is_cut = False
        self.refuse: Callable[[httpx.Request], httpx.Response | None] = lambda _request: None
        self.distort: Callable[[httpx.Request, httpx.Response, Any], Any] = lambda _q, _a, body: body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_cut:
            raise httpx.ConnectError("connection refused", request=request)
        refused = self.refuse(request)
        if refused is not None:
            return refused
        answer = await self._inner.handle_async_request(request)
        content = await answer.aread()
        if not content or answer.headers.get("content-type", "").partition(";")[0] != "application/json":
            return httpx.Response(answer.status_code, headers=answer.headers, content=content)
        body = self.distort(request, answer, httpx.Response(200, content=content).json())
        return httpx.Response(answer.status_code, json=body)


@dataclass(slots=True)
class Stage:
    """A laptop's Fly, a source that tests edit, and the loops that run on them."""

    fly: Laptop
    line: Line
    files: dict[str, str | Unreadable]
    environ: dict[str, str] = field(default_factory=lambda: {"FLEET_SECRET_OPENAI_API_KEY": SECRET})
    pace: Rates | None = None
    ledger: Ledger = field(default_factory=in_memory)  # outlives every reconciler, as a folder would
    folder: Path | None = None  # the documents are files below it, and not `files`
    skew_s: float = 0.0  # by which the reconciler's wall clock is ahead of Fly's

    @asynccontextmanager
    async def running(self, *, yes: bool = True) -> AsyncIterator["Running"]:
        """A reconciler for as long as the block; it ends as on SIGTERM. `yes`: to the first apply."""
        intent = self.intent()
        tables: list[Table] = []
        census = Census(intent, tables.append)
        changes: asyncio.Queue[Specs] = asyncio.Queue()
        stop = asyncio.Event()
        async with self.client() as client:
            loop = Loop(
                fly=client,
                intent=intent,
                census=census,
                witness=Witness(self._reader()),
                gate=Gate(self.ledger, wall=client.now, is_first_approved=yes),
                source=_Files(self.folder) if self.folder else _Edits(changes),
                describe="teststage/test",
                random=Random(11),  # noqa: S311 - jitter, not a secret
            )
            task = asyncio.create_task(loop.run(stop))
            try:
                yield Running(self, intent, census, tables, changes)
            finally:
                stop.set()
                await task

    @asynccontextmanager
    async def client(self) -> AsyncIterator[FlyClient]:
        """A client of the reconciler's own kind."""
        async with httpx.AsyncClient(transport=self.line, base_url="http://localhost:4280") as http:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            yield FlyClient(http, token=TOKEN, pace=Pace(self.pace), wall=lambda: loop.wall() + self.skew_s)

    def documents(self) -> Specs:
        """What the source says now."""
        return Source(self.folder).read() if self.folder else load(self.files)

    def _reader(self) -> Callable[[], Awaitable[Specs]]:
        source = Source(self.folder) if self.folder else None

        async def read() -> Specs:
            return source.read() if source else load(self.files)

        return read

    def intent(self, *, has_root_key: bool = True) -> Intent:
        """What the source wants now."""
        root_key = RootKey(ROOT_KEY) if has_root_key else None
        secrets = SecretSource(environ=self.environ, derive=root_key.derive if root_key else None)
        intent = Intent(secrets=secrets, root_key=root_key)
        intent.take(self.documents())
        return intent

    async def plan(self, *, has_root_key: bool = True) -> Survey:
        """What `reconciler plan` would find now."""
        async with self.client() as client:
            return await survey(client, self.intent(has_root_key=has_root_key))

    def app(self, name: str) -> App:
        return self.fly.world.apps[f"acme-{name}"]

    def machine(self, name: str) -> Machine:
        """The one living machine of a user."""
        (machine,) = self.app(name).living()
        return machine

    async def by_hand(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Somebody uses Fly's API past the reconciler."""
        answer = await self.fly.client.request(method, f"/v1{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def destroy(self, name: str) -> Machine:
        """Somebody destroys the machine of a user; returns what it was."""
        machine = self.machine(name)
        await self.by_hand("DELETE", f"/apps/acme-{name}/machines/{machine.id}?force=true")
        return machine

    @property
    def shape(self) -> dict[str, tuple[int, int]]:
        """Of each app: living machines, volumes."""
        return {
            app.name: (len(list(app.living())), sum(not v.deleted_at for v in app.volumes.values()))
            for app in sorted(self.fly.world.apps.values(), key=lambda app: app.name)
        }


@dataclass(slots=True)
class Running:
    """One reconciler at work."""

    stage: Stage
    intent: Intent
    census: Census
    tables: list[Table]
    changes: asyncio.Queue[Specs]

    def save(self, files: Mapping[str, str | Unreadable]) -> None:
        """Somebody saves the source; the reconciler hears it when it next runs."""
        self.stage.files = dict(files)
        self.changes.put_nowait(load(self.stage.files))

    async def converged(self, *, within_s: float = 120) -> None:
        """Wait until every user app is as its present document says."""
        await self.until(lambda: self.changes.empty() and self.census.has_converged, within_s=within_s)

    async def until(self, condition: Callable[[], object], *, within_s: float = 120) -> None:
        """Wait, in virtual time, until a condition holds."""
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 (a condition of the world, in virtual time)
                await asyncio.sleep(0.05)

    def condition(self, name: str, kind: str) -> tuple[str, str]:
        """Status and reason of a user app's condition; Absent when it has none of that type."""
        member = self.census.members.get(name)
        conditions = member.conditions if member else ()
        found = {one.type: (one.status.value, one.reason) for one in conditions}
        return found.get(kind, ("Absent", ""))

    def entry(self, host: str) -> Entry | None:
        """Where a host leads now."""
        return self.tables[-1].hosts.get(host) if self.tables else None


class _Edits:
    def __init__(self, changes: asyncio.Queue[Specs]) -> None:
        self._changes = changes

    async def watch(self, stop: asyncio.Event) -> AsyncIterator[Specs]:
        while not stop.is_set():
            yield await self._changes.get()


class _Files:
    """A folder, read again and again."""

    def __init__(self, folder: Path) -> None:
        self._source = Source(folder)

    async def watch(self, stop: asyncio.Event) -> AsyncIterator[Specs]:
        before = self._source.read()
        while not stop.is_set():
            await asyncio.sleep(FOLLOW_EVERY_S)
            specs = self._source.read()
            if specs != before:
                before = specs
                yield specs


@asynccontextmanager
async def stage(*names: str, **settings: Any) -> AsyncIterator[Stage]:
    """A laptop's Fly with nothing on it, and documents for these users."""
    async with laptop(orgs=("acme", "rivals")) as fly:
        yield Stage(fly, Line(fly.api), fleet_of(*names), **settings)
