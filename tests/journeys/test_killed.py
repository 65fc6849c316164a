"""`kill -9` of the reconciler in the middle of its work, then a restart: nothing twice, nothing half made."""

import os
import random
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from localfly.world import World
from tests import wire
from tests.journeys.hosted import TOKEN, Handle, hosted_api

USERS = [f"user{n:02}" for n in range(20)]
SEED = 20


@dataclass(frozen=True, slots=True)
class Point:
    """A moment: before or after the n-th call of a kind has had its effect; its answer never arrives."""

    call: str  # "METHOD path", a regular expression
    has_effect: bool
    nth: int

    def __str__(self) -> str:
        return f"{'after' if self.has_effect else 'before'} call {self.nth} of {self.call}"


def points() -> list[Point]:
    """Five moments, drawn from a seed: between app and secrets, volume and machine, machine and mark."""
    draw = random.Random(SEED)  # noqa: S311 (a seed that gives the same points each time is what we want)
    kinds = [
        (r"POST /v1/apps", True),
        (r"POST /v1/apps/[^/]+/secrets", False),
        (r"POST /v1/apps/[^/]+/volumes", True),
        (r"POST /v1/apps/[^/]+/machines", True),
        (r"PATCH /v1/apps/[^/]+/machines/[^/]+/metadata", False),
    ]
    return [Point(call, has_effect, draw.randrange(1, len(USERS))) for call, has_effect in kinds]


@dataclass(slots=True)
class Assassin:
    """Kills the program that it is told of at its point, once."""

    point: Point
    victim: int = 0
    seen: int = 0
    is_done: bool = False

    async def between(self, method: str, path: str, handle: Handle) -> None:
        """Let every request through but the one."""
        if not self.is_done and re.fullmatch(self.point.call, f"{method} {path}"):
            self.seen += 1
            if self.seen == self.point.nth:
                self.is_done = True
                if self.point.has_effect:
                    await handle(answer=False)
                os.kill(self.victim, signal.SIGKILL)
                return
        await handle()


@pytest.mark.wire
@pytest.mark.parametrize("point", points(), ids=str)
async def test_killed_while_it_creates_twenty_apps_it_finishes_exactly_twenty(
    point: Point, tmp_path: Path
) -> None:
    """After a kill -9 and a restart there are twenty apps, machines and volumes, all whole and ours."""
    specs = written(tmp_path)
    assassin = Assassin(point)
    async with hosted_api(assassin.between) as fly:
        argv = (
            wire.PYTHON,
            "-m",
            "reconciler",
            "run",
            specs,
            "--pace",
            "off",
            "--yes",
            "--state",
            tmp_path / "state",
            "--listen",
            "public=127.0.0.1:0",
        )
        env = {"FLY_API_HOSTNAME": fly.url, "FLY_API_TOKEN": TOKEN, "RECONCILER_ROOT_KEY": "ab" * 32}

        async with wire.started(*argv, env=env) as first:
            assassin.victim = first.pid
            assert await first.ended(within_s=30) == -signal.SIGKILL
        assert len(machines(fly.world)) < len(USERS) or "metadata" in point.call

        async with wire.started(*argv, env=env) as second:
            await second.said(r'"fleet\.converged"', within_s=30)
            second.send(signal.SIGTERM)
            assert await second.ended(within_s=15) == 0

        assert sorted(fly.world.apps) == [f"acme-{name}" for name in USERS]
        assert {app.network for app in fly.world.apps.values()} == {f"acmekill-{name}" for name in USERS}
        assert sorted(machines(fly.world)) == [(f"acme-{name}", "web-0") for name in USERS]
        assert sorted(volumes(fly.world)) == [(f"acme-{name}", "web_data_0") for name in USERS]
        for app in fly.world.apps.values():
            assert {"PRESHARED_KEY", "RECONCILER_OWNER_ACMEKILL"} <= set(app.secrets)
            (machine,) = [each for each in app.machines.values() if each.state != "destroyed"]
            assert machine.config["metadata"]["reconciler_version"] == machine.instance_id
            assert machine.config["mounts"][0]["volume"] in app.volumes


def written(place: Path) -> Path:
    """Twenty users with a volume each, and a router, so that apps need keys."""
    specs = place / "specs"
    specs.mkdir()
    documents = [FLEET, ROUTER, MACHINE, *(USER.format(name=name) for name in USERS)]
    (specs / "all.yaml").write_text("---\n".join(documents), "utf-8")
    return specs


def machines(world: World) -> list[tuple[str, str]]:
    """(app, name) of every machine that lives."""
    return [
        (app.name, machine.name)
        for app in world.apps.values()
        for machine in app.machines.values()
        if machine.state != "destroyed"
    ]


def volumes(world: World) -> list[tuple[str, str]]:
    """(app, name) of every volume that is there."""
    return [
        (app.name, volume.name)
        for app in world.apps.values()
        for volume in app.volumes.values()
        if volume.deleted_at is None
    ]


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
  machines: [{{name: web, template: studio, mount: {{name: data, path: /data, size_gb: 1}}}}]
"""
