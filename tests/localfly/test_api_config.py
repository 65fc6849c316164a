"""The config that comes back: what Fly fills in, rewrites, ignores and refuses."""

from typing import Any

import pytest

from tests.localfly.inprocess import laptop
from tests.localfly.requests import config, create_app, create_machine

SERVICE = {"protocol": "tcp", "internal_port": 8080}


async def echo_of(**fields: Any) -> dict[str, Any]:
    async with laptop() as fly:
        await create_app(fly)
        echo: dict[str, Any] = (await create_machine(fly, config=config(**fields)))["config"]
        return echo


async def test_a_bare_config_comes_back_with_guest_init_and_dns() -> None:
    assert await echo_of() == {
        "image": "registry.fly.io/studio:1",
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
        "init": {},
        "dns": {},
    }


@pytest.mark.parametrize(
    ("given", "shown"),
    [("off", False), ("stop", True), ("suspend", "suspend"), (True, True), (False, False)],
)
async def test_autostop_comes_back_as_boolean_or_suspend(given: str | bool, shown: str | bool) -> None:
    echo = await echo_of(services=[{**SERVICE, "autostop": given}])

    assert echo["services"] == [{**SERVICE, "autostop": shown}]


async def test_misspelt_autostart_is_silently_ignored_as_on_fly() -> None:
    echo = await echo_of(services=[{**SERVICE, "auto_start": True, "auto_stop": "stop"}])

    assert echo["services"] == [{**SERVICE}]


@pytest.mark.parametrize(
    ("given", "shown"),
    [("90s", "1m30s"), (15_000_000_000, "15s"), ("1m0.5s", "1m0.5s"), ("250ms", "250ms"), ("0", "0s")],
)
async def test_durations_come_back_as_text(given: str | int, shown: str) -> None:
    assert (await echo_of(stop_config={"timeout": given}))["stop_config"] == {"timeout": shown}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"guest": {"cpus": 2}}, ("shared", 2, 512)),
        ({"guest": {"cpu_kind": "performance"}}, ("performance", 1, 2048)),
        ({"guest": {"memory_mb": 1024}}, ("shared", 1, 1024)),
        ({"size": "shared-cpu-4x"}, ("shared", 4, 1024)),
        ({"size": "performance-2x"}, ("performance", 2, 4096)),
    ],
)
async def test_a_guest_comes_back_whole(given: dict[str, Any], shown: tuple[str, int, int]) -> None:
    assert tuple((await echo_of(**given))["guest"].values()) == shown


async def test_what_fly_echoes_can_be_submitted_again_and_comes_back_the_same() -> None:
    async with laptop() as fly:
        await create_app(fly)
        echo = (
            await create_machine(
                fly,
                config=config(
                    services=[{**SERVICE, "autostop": "suspend", "ports": [{"port": 80}]}],
                    restart={"policy": "always"},
                    env={"A": "b"},
                    stop_config={"signal": "SIGTERM", "timeout": "30s"},
                ),
            )
        )["config"]

        assert (await create_machine(fly, config=echo))["config"] == echo


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"colour": "red"}, 400, "unknown field 'config.colour'"),
        ({"env": {"A": 1}}, 400, "invalid field 'config.env.A'"),
        ({"guest": {"cpus": 3}}, 400, "config.guest.cpus"),
        ({"guest": {"memory_mb": 300}}, 400, "config.guest.memory_mb"),
        ({"size": "huge-9x"}, 400, "config.size"),
        ({"size": "shared-cpu-1x", "guest": {"cpus": 1}}, 400, "exclude each other"),
        ({"services": [{"internal_port": 80}]}, 400, "config.services.0.protocol"),
        ({"services": [{**SERVICE, "internal_port": 0}]}, 400, "config.services.0.internal_port"),
        ({"services": [{**SERVICE, "ports": [{}]}]}, 400, "config.services.0.ports"),
        ({"services": [{**SERVICE, "ports": [{"port": 80, "force_https": True}]}]}, 400, "http handler"),
        ({"services": [{**SERVICE, "ports": [{"start_port": 9, "end_port": 8}]}]}, 400, "start_port"),
        ({"services": [{**SERVICE, "name": "public"}]}, 400, "unknown field 'config.services.0.name'"),
        ({"services": [{**SERVICE, "checks": [{"type": "ping"}]}]}, 400, "checks.0.type"),
        ({"checks": {"up": {"type": "http"}}}, 400, "config.checks.up.port"),
        ({"checks": {"up": {"type": "tcp", "port": 80, "interval": "soon"}}}, 400, "up.interval"),
        ({"services": [SERVICE], "standbys": ["e28650abc12345"]}, 400, "config.standbys"),
        ({"stop_config": {"timeout": "6m"}}, 400, "invalid stop_config.timeout, cannot exceed 5 minutes"),
        ({"stop_config": {"timeout": "-1s"}}, 400, "config.stop_config.timeout"),
        ({"stop_config": {"signal": "SIGWINCH"}}, 400, "config.stop_config.signal"),
        ({"restart": {"policy": "on-fail"}}, 400, "config.restart.policy"),
        ({"mounts": [{"volume": "v", "path": "/"}]}, 400, "config.mounts.0.path"),
        ({"mounts": [{"volume": "v", "path": "/a"}, {"volume": "w", "path": "/b"}]}, 400, "config.mounts"),
        ({"schedule": "yearly"}, 400, "config.schedule"),
        ({"metrics": {"port": 9090, "path": "/metrics"}}, 501, "'metrics'"),
        ({"containers": [{"name": "a"}]}, 501, "'containers'"),
        ({"init": {"cmd": ["sleep"]}}, 501, "'cmd'"),
    ],
)
async def test_a_config_that_is_wrong_or_not_imitated_is_refused_by_its_field(
    fields: dict[str, Any], status: int, text: str
) -> None:
    async with laptop() as fly:
        await create_app(fly)
        refused = await fly.client.post("/v1/apps/alice/machines", json={"config": config(**fields)})

    assert refused.status_code == status, refused.text
    assert text in refused.json()["error"]


@pytest.mark.parametrize(
    ("image", "registry", "repository", "tag", "digest"),
    [
        ("nginx", "registry-1.docker.io", "library/nginx", "latest", ""),
        ("acme/app:2", "registry-1.docker.io", "acme/app", "2", ""),
        ("registry.fly.io/studio@sha256:ab", "registry.fly.io", "studio", "", "sha256:ab"),
        ("localhost:5000/a/b:t", "localhost:5000", "a/b", "t", ""),
    ],
)
async def test_an_image_reference_is_shown_taken_apart(
    image: str, registry: str, repository: str, tag: str, digest: str
) -> None:
    async with laptop() as fly:
        await create_app(fly)
        shown = (await create_machine(fly, config={"image": image}))["image_ref"]

    assert shown == {
        "registry": registry,
        "repository": repository,
        "tag": tag,
        "digest": digest,
        "labels": {},
    }
