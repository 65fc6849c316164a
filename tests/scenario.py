"""A small fleet's life in acts that between them touch every action, for tests that break it at any call.

Answers for what is wanted in each act, for bringing a world there and to that act's end, and for saying
whether a world is as wanted. Where a call breaks, and how, is the tests'.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx

from localfly.passage import Timings
from localfly.world import App, Machine, Volume, World
from reconciler.apply import apply
from reconciler.core.desired import DesiredApp
from reconciler.core.keys import RootKey
from reconciler.core.observed import Claim
from reconciler.core.outcome import StepFailed, verdict
from reconciler.core.plan import AppPlan
from reconciler.core.removal import Removal, is_withdrawn, plan_removal
from reconciler.core.spec import load
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from reconciler.fly.pace import Pace
from reconciler.intent import Intent
from reconciler.observe import observe_app, observe_snapshots
from reconciler.reconcile import reconcile
from reconciler.secret_source import SecretSource
from tests.localfly.inprocess import TOKEN, Laptop, Wireless, laptop
from tests.virtual_time import VirtualTimeLoop

T = TypeVar("T")

ROOT_KEY = "1f" * 32
PASSES = 60  # of one user in one act, at most: more is spinning
LOOK_AGAIN_S, LONGEST_S = 2.0, 60.0

FLEET = """
apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  {org: acme, installation: playhouse, app_name: "acme-{name}", regions: [iad], drift: correct}
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
---
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: studio}
spec:
  config:
    image: registry.fly.io/studio:IMAGE
    guest: {cpu_kind: shared, cpus: 1, memory_mb: 256}
"""

USER = """
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {name: NAME}
spec:
  hosts: [NAME.example.com]
  regions: [REGION]
  machines: [{name: web, template: studio, count: COUNTMOUNT}]
  secrets: [OPENAI_API_KEY]
"""


@dataclass(frozen=True, slots=True)
class User:
    """What is wanted of one user app; `size_gb` 0: no volume."""

    count: int = 1
    size_gb: int = 1
    region: str = "iad"

    def document(self, name: str) -> str:
        mount = f", mount: {{name: data, path: /data, size_gb: {self.size_gb}}}" if self.size_gb else ""
        words = {"NAME": name, "REGION": self.region, "COUNT": str(self.count), "MOUNT": mount}
        text = USER
        for word, value in words.items():
            text = text.replace(word, value)
        return text


ByHand = Callable[[Laptop], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Act:
    """What is wanted from now on, and what somebody did by hand just before."""

    name: str
    users: Mapping[str, User]
    image: str = "1"
    secret: str = "first"
    by_hand: Sequence[ByHand] = ()
    gives_up: Sequence[tuple[str, str]] = ()  # (user, volume name) whose loss somebody approved

    @property
    def files(self) -> dict[str, str]:
        users = {f"users/{name}.yaml": user.document(name) for name, user in self.users.items()}
        return {"fleet.yaml": FLEET.replace("IMAGE", self.image), **users}

    def intent(self) -> Intent:
        """What a process that starts now reads."""
        root_key = RootKey(ROOT_KEY)
        environ = {"FLEET_SECRET_OPENAI_API_KEY": self.secret}
        intent = Intent(secrets=SecretSource(environ=environ, derive=root_key.derive), root_key=root_key)
        specs = load(dict(self.files))
        assert not [problem for problem in specs.problems if problem.severity == "error"], specs.problems
        intent.take(specs)
        return intent


def machine_of(box: Laptop, user: str, slot: str = "web-0") -> Machine:
    """The living machine that fills a slot."""
    (found,) = [each for each in box.world.apps[f"acme-{user}"].living() if _slot(each) == slot]
    return found


def wiping(user: str) -> ByHand:
    """A tenant clears what its machine says about its version."""

    async def wipe(box: Laptop) -> None:
        machine = machine_of(box, user)
        path = f"/v1/apps/acme-{user}/machines/{machine.id}/metadata/reconciler_version"
        assert (await box.client.delete(path)).is_success

    return wipe


def stopping(user: str) -> ByHand:
    """Somebody stops a machine that may not sleep."""

    async def stop(box: Laptop) -> None:
        machine = machine_of(box, user)
        assert (await box.client.post(f"/v1/apps/acme-{user}/machines/{machine.id}/stop")).is_success

    return stop


THREE = {"alice": User(count=2), "bob": User(size_gb=0), "carol": User()}
GROWN = {**THREE, "carol": User(size_gb=2)}
MORE = {**GROWN, "alice": User(count=3)}
MOVED = {**GROWN, "bob": User(size_gb=0, region="ord")}
FEWER = {name: user for name, user in MOVED.items() if name != "carol"}
NEW: dict[str, Any] = {"image": "2", "secret": "second"}

ACTS: tuple[Act, ...] = (
    Act("create", THREE),
    Act("update", THREE, **NEW),
    Act("mark and start", THREE, **NEW, by_hand=(wiping("alice"), stopping("bob"))),
    Act("extend", GROWN, **NEW),
    Act("raise the count", MORE, **NEW),
    Act("lower the count", GROWN, **NEW, gives_up=[("alice", "web_data_2")]),
    Act("replace", MOVED, **NEW),
    Act("remove", FEWER, **NEW, gives_up=[("carol", "web_data_0")]),
)

ONE = {"alice": User()}
ACTS_OF_ONE: tuple[Act, ...] = (  # the same with as few calls as may be
    Act("create", ONE),
    Act("update and extend", {"alice": User(size_gb=2)}, **NEW),
    Act("start", {"alice": User(size_gb=2)}, **NEW, by_hand=(stopping("alice"),)),
    Act("replace", {"alice": User(region="ord")}, **NEW, gives_up=[("alice", "web_data_0")]),
    Act("remove", {}, **NEW, gives_up=[("alice", "web_data_0")]),
)


@dataclass(slots=True)
class Told:
    """What became of a process: failures by reason, and the passes that it needed."""

    reasons: set[str] = field(default_factory=set)
    passes: int = 0


@asynccontextmanager
async def client(transport: httpx.AsyncBaseTransport) -> AsyncIterator[FlyClient]:
    """A client of the reconciler's own kind."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4280") as http:
        yield FlyClient(http, token=TOKEN, pace=Pace(), wall=loop.wall)


async def life(
    act: Act,
    transport: httpx.AsyncBaseTransport,
    *,
    approved: frozenset[str] = frozenset(),
    who: str = "one",
    told: Told | None = None,
) -> Told:
    """A process from its start until every user is as wanted; all it knows are the documents and the world.

    `approved`: ids of volumes that may be lost. What it tells is in `told` also when it is ended before.
    """
    told = told or Told()
    intent = act.intent()
    async with client(transport) as fly:
        gone = await _insisting(lambda: _not_wanted(fly, intent), told)
        async with asyncio.TaskGroup() as group:
            for name in sorted(act.users):
                group.create_task(_until(_Wanted(act, fly, intent.apps[name], intent, who, approved), told))
            for name in gone:
                group.create_task(_until(_Removed(fly, name, who, approved), told))
    return told


async def _not_wanted(fly: FlyClient, intent: Intent) -> list[str]:
    """Users whose app is proven ours while no document names them."""
    networks = {app.network: app.name for app in await fly.list_apps("acme")}
    names = [name.removeprefix("playhouse-") for name in networks if name.startswith("playhouse-")]
    return sorted(
        name for name in names if networks[f"playhouse-{name}"] == f"acme-{name}" and name not in intent.apps
    )


class _Job(Protocol):
    async def __call__(self) -> AppPlan:
        """One pass; what is left to do after it."""


async def _until(job: _Job, told: Told) -> None:
    """Pass after pass until nothing is left, as patiently as the loop."""
    pause_s = 0.0
    for _ in range(PASSES):
        plan = await _insisting(job, told)
        if plan.converged:
            return
        told.reasons.update(hold.reason for hold in plan.holds)
        pause_s = min(max(2 * pause_s, LOOK_AGAIN_S), LONGEST_S) if plan.holds else LOOK_AGAIN_S
        await asyncio.sleep(pause_s)
    raise AssertionError(f"it does not become as wanted: {plan}")


async def _insisting(job: Callable[[], Awaitable[T]], told: Told) -> T:
    """Try again after each failure, when its verdict says so."""
    pause_s = 0.0
    for _ in range(PASSES):
        told.passes += 1
        try:
            return await job()
        except (FlyError, StepFailed) as error:
            said = verdict(error)
            told.reasons.add(said.reason)
            pause_s = min(max(2 * pause_s, said.pause_s), said.longest_s)
            await asyncio.sleep(pause_s)
    raise AssertionError(f"it fails again and again: {sorted(told.reasons)}")


@dataclass(slots=True)
class _Wanted:
    """A user who has a document."""

    act: Act
    fly: FlyClient
    desired: DesiredApp
    intent: Intent
    who: str
    approved: frozenset[str]

    async def __call__(self) -> AppPlan:
        seen = await reconcile(
            self.fly,
            self.desired,
            values=self.intent.values(self.desired),
            describe=f"playhouse/{self.who}",
            seen=lambda _: None,
            approved=self.approved,
        )
        return seen.plan


@dataclass(slots=True)
class _Removed:
    """A user who has none any more; everything that is not on Fly is forgotten when the process ends."""

    fly: FlyClient
    name: str
    who: str
    approved: frozenset[str]
    withdrawn_at: float | None = None

    async def __call__(self) -> AppPlan:
        now = asyncio.get_running_loop().time
        label = "RECONCILER_OWNER_PLAYHOUSE"
        app, network = f"acme-{self.name}", f"playhouse-{self.name}"
        observed = await observe_app(self.fly, org="acme", app_name=app, network=network, owner_label=label)
        if observed.claim is Claim.OURS:
            observed = await observe_snapshots(self.fly, observed)
            if is_withdrawn(observed):
                self.withdrawn_at = now() if self.withdrawn_at is None else self.withdrawn_at
        removal = Removal(
            name=self.name,
            app_name=app,
            network=network,
            made_as=app,
            owner=f"playhouse.{self.name}",
            owner_label=label,
            absent_for_s=3600,
            grace_s=600,
            source_complete=True,
            withdrawn_for_s=None if self.withdrawn_at is None else now() - self.withdrawn_at,
            withdraw_s=10,
            approved=self.approved,
        )
        plan = plan_removal(removal, observed, now=self.fly.now())
        await apply(plan.actions, fly=self.fly, values={}, describe=f"playhouse/{self.who}")
        return plan


async def at_rest(world: World) -> None:
    """Wait until no machine is on its way anywhere, and all that are started run."""
    async with asyncio.timeout(600):
        while not all(map(_is_at_rest, world.machines.values())):  # noqa: ASYNC110 (a condition of the world, in virtual time)
            await asyncio.sleep(0.1)


def _is_at_rest(machine: Machine) -> bool:
    passing = {"created", "starting", "stopping", "restarting", "replacing", "destroying", "suspending"}
    return machine.state not in passing and (machine.state != "started" or machine.is_running)


@dataclass(frozen=True, slots=True)
class Kept:
    """All of a world, to begin the next act with, and when that was on the loop's clock."""

    world: bytes
    at: float


async def beginnings(acts: Sequence[Act]) -> dict[str, Kept | None]:
    """The world in which each act begins, by the act's name: all acts before it went well."""
    found: dict[str, Kept | None] = {}
    kept = None
    for act in acts:
        found[act.name] = kept
        async with opening(act, kept) as box:
            await life(act, Wireless(box.api), approved=holdings(act, box.world).approved)
            await at_rest(box.world)
            kept = ending(box)
    return found


@asynccontextmanager
async def opening(act: Act, kept: Kept | None) -> AsyncIterator[Laptop]:
    """A world as it is when `act` begins; `kept` may be of another loop, whose time goes on here."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    if kept is not None:
        loop.jump(max(0.0, kept.at - loop.time()))
    async with laptop(timings=TIMINGS, kept=kept.world if kept else None) as box:
        await at_rest(box.world)
        for deed in act.by_hand:
            await deed(box)
        await at_rest(box.world)
        yield box


def ending(box: Laptop) -> Kept:
    """What there is when an act ends."""
    box.world.save()
    return Kept(box.database.serialize(), asyncio.get_running_loop().time())


TIMINGS = Timings()


@dataclass(frozen=True, slots=True)
class Holdings:
    """What users had when an act began: ids of volumes by app, of machines, of volumes that may be lost."""

    volumes: Mapping[str, frozenset[str]]
    approved: frozenset[str]
    machines: frozenset[str]
    deleted: frozenset[str]  # volumes that were gone already


def holdings(act: Act, world: World) -> Holdings:
    given_up = {(f"acme-{user}", name) for user, name in act.gives_up}
    there = {app.name: _there(app) for app in world.apps.values()}
    return Holdings(
        {app: frozenset(volume.id for volume in volumes) for app, volumes in there.items()},
        frozenset(v.id for app, volumes in there.items() for v in volumes if (app, v.name) in given_up),
        frozenset(machine.id for app in world.apps.values() for machine in app.machines.values()),
        frozenset(
            v.id for app in world.apps.values() for v in app.volumes.values() if v.deleted_at is not None
        ),
    )


def in_vain(world: World, before: Holdings) -> list[str]:
    """What was made since and is not there any more: made twice, and cleared away. One line each."""
    found = []
    for app in world.apps.values():
        made = app.machines.keys() - before.machines - {machine.id for machine in app.living()}
        found += [f"{app.name}: machine {each} was made in vain" for each in sorted(made)]
        gone = {volume.id for volume in app.volumes.values() if volume.deleted_at is not None}
        twice = gone - before.volumes.get(app.name, frozenset()) - before.deleted
        found += [f"{app.name}: volume {each} was made in vain" for each in sorted(twice)]
    return found


def wrongs(act: Act, world: World, before: Holdings) -> list[str]:
    """What is not as the act wants it, lost, or there twice; one line each."""
    wanted = {f"acme-{name}": user for name, user in act.users.items()}
    found = [f"app {name} is missing" for name in wanted.keys() - world.apps.keys()]
    found += [f"app {name} is left over" for name in world.apps.keys() - wanted.keys()]
    for name, user in wanted.items():
        if name in world.apps:
            found += [f"{name}: {what}" for what in _app_wrongs(act, user, world.apps[name], before)]
    return sorted(found)


def _app_wrongs(act: Act, user: User, app: App, before: Holdings) -> list[str]:
    living = sorted(app.living(), key=_slot)
    found = []
    slots = [_slot(machine) for machine in living]
    if slots != [f"web-{number}" for number in range(user.count)]:
        found.append(f"slots {slots}")
    volumes = {volume.id: volume for volume in _there(app)}
    lost = before.volumes.get(app.name, frozenset()) - volumes.keys() - before.approved
    if lost:
        found.append(f"lost volumes {sorted(lost)}")
    mounted = [machine.config["mounts"][0]["volume"] for machine in living if machine.config.get("mounts")]
    if user.size_gb and sorted(mounted) != sorted(volumes):
        found.append(f"volumes {sorted(volumes)}, mounted {sorted(mounted)}")
    found += [f"{v.id} has {v.size_gb} GB" for v in volumes.values() if v.size_gb != user.size_gb]
    for machine in living:
        found += [f"{machine.name}: {what}" for what in _machine_wrongs(act, user, app, machine)]
    return found


def _machine_wrongs(act: Act, user: User, app: App, machine: Machine) -> list[str]:
    mount = machine.config["mounts"][0]["volume"] if machine.config.get("mounts") else None
    holds = {
        "started": machine.state == "started",
        "its image": machine.config["image"] == f"registry.fly.io/studio:{act.image}",
        "its region": machine.region == user.region,
        "its secret": machine.secrets["OPENAI_API_KEY"].value == act.secret,
        "verified": machine.config["metadata"].get("reconciler_version") == machine.instance_id,
        "as roomy as its volume": mount is None
        or max(event.at for event in machine.events if event.status == "started")
        >= app.volumes[mount].updated_at,
        "its own volume": bool(user.size_gb) == bool(mount)
        and (mount is None or app.volumes[mount].machine_id == machine.id),
    }
    return [f"not {what}" for what, is_so in holds.items() if not is_so]


def _there(app: App) -> list[Volume]:
    return [volume for volume in app.volumes.values() if volume.deleted_at is None]


def _slot(machine: Machine) -> str:
    return str(machine.config["metadata"].get("reconciler_slot"))
