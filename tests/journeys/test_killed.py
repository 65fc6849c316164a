"""`kill -9` of the reconciler in the middle of its work, again and again: nothing twice, nothing half made.

Each test has five deaths, at calls drawn from a seed, while users are made and, from the third on, changed.
`make crash-matrix` has one test for each call instead (KILL_AT=every).
"""

import itertools
import os
import random
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from localfly.world import App, World
from tests import matrix_report, wire
from tests.journeys.hosted import TOKEN, Handle, Hosted, hosted_api

USERS = [f"user{n}" for n in range(6)]
SEED = 25
LIVES, DEATHS = 5, 5
CALLS = 90  # of a life without a death, and a little more
LEASE_S = 15.0  # how long what a dead process held stays held


@dataclass(frozen=True, slots=True)
class Death:
    """The process dies at its n-th call, before it or after its effect; the answer never arrives.

    `is_changed`: it works on the changed documents.
    """

    nth: int
    has_effect: bool
    is_changed: bool

    def __str__(self) -> str:
        what = "change" if self.is_changed else "create"
        return f"{what} {'after' if self.has_effect else 'before'} {self.nth}"


def lives() -> list[list[Death]]:
    """Seeded ones, or one for each call and kind."""
    if os.environ.get("KILL_AT") == "every":
        kinds = list(itertools.product((False, True), repeat=2))
        return [[Death(nth, *kind)] for nth in range(1, CALLS + 1) for kind in kinds]
    draw = random.Random(SEED)  # noqa: S311 (a seed that gives the same points each time is what we want)
    return [
        [Death(draw.randrange(2, 30), draw.random() < 0.5, number > 1) for number in range(DEATHS)]
        for _ in range(LIVES)
    ]


@dataclass(slots=True)
class Assassin:
    """Kills the program that it is told of at its n-th call."""

    death: Death | None = None
    victim: int = 0
    calls: int = 0

    async def between(self, method: str, path: str, handle: Handle) -> None:  # noqa: ARG002 - every call counts
        """Let every request through but the one."""
        self.calls += 1
        if self.death is None or self.calls != self.death.nth:
            await handle()
            return
        if self.death.has_effect:
            await handle(answer=False)
        os.kill(self.victim, signal.SIGKILL)


@pytest.mark.wire
@pytest.mark.parametrize("deaths", lives(), ids=lambda deaths: ", ".join(map(str, deaths)))
async def test_killed_again_and_again_it_ends_with_exactly_what_is_wanted(
    deaths: list[Death], tmp_path: Path, record_property: matrix_report.Record
) -> None:
    """Six users are made, updated, given room and a second machine, and no `kill -9` shows in the end."""
    specs = tmp_path / "specs"
    specs.mkdir()
    wanted = specs / "all.yaml"
    wanted.write_text(documents(), "utf-8")
    assassin = Assassin()
    died = 0
    async with hosted_api(assassin.between) as fly:
        if deaths[0].is_changed:
            await one_life(fly, assassin, None, tmp_path)
        for death in deaths:
            wanted.write_text(documents(is_changed=death.is_changed), "utf-8")
            died += await one_life(fly, assassin, death, tmp_path)
        wanted.write_text(documents(is_changed=True), "utf-8")
        await one_life(fly, assassin, None, tmp_path)
        assert wrongs(fly.world) == []
    matrix_report.count(record_property, "kills -9", died)


async def one_life(fly: Hosted, assassin: Assassin, death: Death | None, place: Path) -> bool:
    """A process until it has nothing left to do; whether it was killed before."""
    assassin.death, assassin.calls = death, 0
    words = ("run", place / "specs", "--pace", "off", "--yes", "--state", place / "state")
    argv = (wire.PYTHON, "-m", "reconciler", *words, "--listen", "public=127.0.0.1:0")
    env = {"FLY_API_HOSTNAME": fly.url, "FLY_API_TOKEN": TOKEN, "RECONCILER_ROOT_KEY": "ab" * 32}
    async with wire.started(*argv, env=env) as program:
        assassin.victim = program.pid
        await wire.until(lambda: program.is_over or is_content(program), within_s=30, what="an end")
        if not program.is_over:
            assassin.death = None
            program.send(signal.SIGTERM)
        code = await program.ended(within_s=15)
    await fly.world.clock.advance(LEASE_S)
    assert code == (0 if assassin.death is None else -signal.SIGKILL)
    return code != 0


def is_content(program: wire.Program) -> bool:
    """Whether it said that it has nothing left to do."""
    return any('"fleet.converged"' in line for line in (*program.out, *program.err))


def wrongs(world: World) -> list[str]:
    """What is not as the changed documents want it, or there twice; one line each."""
    found = [] if sorted(world.apps) == [f"acme-{name}" for name in USERS] else [f"apps {sorted(world.apps)}"]
    for app in world.apps.values():
        found += [f"{app.name}: {what}" for what in app_wrongs(app)]
    return found


def app_wrongs(app: App) -> list[str]:
    """The same of one app."""
    has_more, has_room = app.name.endswith("user1"), app.name.endswith("user0")
    machines = sorted(app.living(), key=lambda machine: machine.name)
    volumes = [volume for volume in app.volumes.values() if volume.deleted_at is None]
    mounted = sorted(machine.config["mounts"][0]["volume"] for machine in machines)
    holds = {
        "network": app.network == f"acmekill-{app.name.removeprefix('acme-')}",
        "secrets": {"PRESHARED_KEY", "RECONCILER_OWNER_ACMEKILL"} <= set(app.secrets),
        "machines": [m.name for m in machines] == (["web-0", "web-1"] if has_more else ["web-0"]),
        "nothing made in vain": len(app.machines) == len(machines) and len(app.volumes) == len(volumes),
        "volumes": mounted == sorted(volume.id for volume in volumes),
        "room": [volume.size_gb for volume in volumes] == [2 if has_room else 1] * len(volumes),
        "image": {m.config["image"] for m in machines} == {"registry.fly.io/studio:2"},
        "marks": all(m.config["metadata"].get("reconciler_version") == m.instance_id for m in machines),
    }
    return [f"wrong {what}" for what, is_so in holds.items() if not is_so]


def documents(*, is_changed: bool = False) -> str:
    """Six users with a volume each, and a router, so that apps need keys."""
    machine = MACHINE.replace("studio:1", "studio:2") if is_changed else MACHINE
    users = [
        USER.format(
            name=name,
            count=2 if is_changed and name == "user1" else 1,
            size=2 if is_changed and name == "user0" else 1,
        )
        for name in USERS
    ]
    return "---\n".join([FLEET, ROUTER, machine, *users])


FLEET = """
apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: acme}
spec: {org: acme, installation: acmekill, app_name: "acme-{name}", regions: [iad]}
"""
ROUTER = """
apiVersion: reconciler/v1alpha1
kind: Router
metadata: {name: router}
spec:
  domains: [localhost]
  listeners: [{name: public, app: acme-router, bind: "0.0.0.0:8080", ports: [80]}]
"""
MACHINE = """
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: studio}
spec:
  config:
    image: registry.fly.io/studio:1
    services: [{internal_port: 8080, ports: [{port: 80, handlers: [http]}]}]
"""
USER = """
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {{name: {name}}}
spec:
  machines:
    - {{name: web, template: studio, count: {count}, mount: {{name: data, path: /data, size_gb: {size}}}}}
"""
