"""Differences: what Fly merely spells otherwise is none; what is one is told without giving values away."""

from typing import Any

import pytest

from reconciler.core.defaults import normalise, normalise_guest
from reconciler.core.diff import compare, keep_unknown
from tests.core.alice import CONFIG
from tests.core.model import echo

Json = Any


def services(**fields: Json) -> dict[str, Json]:
    return {"services": [{"protocol": "tcp", "internal_port": 8080, **fields}]}


SAME: dict[str, tuple[dict[str, Json], dict[str, Json]]] = {
    "autostop text and boolean": (services(autostop="stop"), services(autostop=True)),
    "autostop off": (services(autostop="off"), services(autostop=False)),
    "autostop suspend": (services(autostop="suspend"), services(autostop="suspend")),
    "nulls and empties": ({"image": "a"}, {"image": "a", "env": None, "init": {}, "dns": {}, "files": []}),
    "null inside": (services(), services(force_instance_key=None, checks=[], concurrency=None)),
    "restart policy": ({}, {"restart": {"policy": "on-failure", "max_retries": 10}}),
    "empty restart policy": ({}, {"restart": {"policy": ""}}),
    "stop timeout": ({"stop_config": {"timeout": "1m30s"}}, {"stop_config": {"timeout": 90_000_000_000}}),
    "default stop": ({}, {"stop_config": {"timeout": "5s", "signal": "SIGINT"}}),
    "check interval": (
        services(checks=[{"type": "tcp", "interval": "60s"}]),
        services(checks=[{"type": "tcp", "interval": "1m0s", "tls_skip_verify": False}]),
    ),
    "named check": (
        {"checks": {"up": {"type": "tcp", "port": 1, "timeout": "2s"}}},
        {"checks": {"up": {"type": "tcp", "port": 1, "timeout": "2000ms", "kind": "informational"}}},
    ),
    "concurrency": (
        services(concurrency={"soft_limit": 5}),
        services(concurrency={"type": "connections", "soft_limit": 5, "hard_limit": 0}),
    ),
    "guest": ({}, {"guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}}),
    "size preset": (
        {"size": "performance-2x"},
        {"guest": {"cpu_kind": "performance", "cpus": 2, "memory_mb": 4096}},
    ),
    "metadata is not compared here": ({"metadata": {"a": "1"}}, {"metadata": {"b": "2"}}),
    "list or tuple": ({"init": {"cmd": ["a"]}}, {"init": {"cmd": ("a",)}}),
}


@pytest.mark.parametrize(("desired", "found"), SAME.values(), ids=SAME.keys())
def test_what_fly_only_spells_otherwise_is_no_difference(
    desired: dict[str, Json], found: dict[str, Json]
) -> None:
    assert compare(desired, found).changes == ()
    assert compare(found, desired).changes == ()


def test_what_fly_fills_into_a_mount_is_compared_only_where_the_document_says_something() -> None:
    found = {"mounts": [{"volume": "vol_1", "path": "/data", "size_gb": 1, "encrypted": True, "name": "d"}]}
    assert compare({"mounts": [{"volume": "vol_1", "path": "/data"}]}, found).changes == ()
    changed = compare({"mounts": [{"volume": "vol_1", "path": "/more", "encrypted": False}]}, found).changes
    assert changed == ("mounts[0].encrypted: true → false", "mounts[0].path: /data → /more")


def test_a_config_and_its_echo_are_the_same() -> None:
    assert compare(CONFIG, echo(CONFIG)).changes == ()


CHANGED: dict[str, tuple[dict[str, Json], dict[str, Json], tuple[str, ...]]] = {
    "image": ({"image": "b"}, {"image": "a"}, ("image: a → b",)),
    "memory": ({"guest": {"memory_mb": 512}}, {}, ("guest.memory_mb: 256 → 512",)),
    "port": (
        services(ports=[{"port": 80}, {"port": 443}]),
        services(ports=[{"port": 80}, {"port": 444}]),
        ("services[0].ports[1].port: 444 → 443",),
    ),
    "service gone": ({}, services(), ("services[0]: removed",)),
    "service more": (services(), {}, ("services[0]: added",)),
    "known field only there": ({}, {"schedule": "daily"}, ("schedule: daily → (none)",)),
    "autostart unset": (services(autostart=True), services(), ("services[0].autostart: (none) → true",)),
    "zero is not false": (
        services(min_machines_running=1),
        services(min_machines_running=True),
        ("services[0].min_machines_running: true → 1",),
    ),
    "two, sorted": (
        {"schedule": "daily", "image": "b"},
        {},
        ("image: (none) → b", "schedule: (none) → daily"),
    ),
    "a line cannot be forged": ({}, {"image": "a\nok: \x1b[2J"}, ("image: a\\nok: \\x1b[2J → (none)",)),
}


@pytest.mark.parametrize(("desired", "found", "lines"), CHANGED.values(), ids=CHANGED.keys())
def test_a_change_is_one_line_that_names_its_field(
    desired: dict[str, Json], found: dict[str, Json], lines: tuple[str, ...]
) -> None:
    assert compare(desired, found).changes == lines


SECRET = "hunter2"
HIDDEN: dict[str, dict[str, Json]] = {
    "env": {"env": {"TOKEN": SECRET}},
    "process env": {"processes": [{"env": {"TOKEN": SECRET}}]},
    "container env": {"containers": [{"name": "c", "env": {"TOKEN": SECRET}}]},
    "file": {"files": [{"guest_path": "/f", "raw_value": SECRET}]},
    "command": {"init": {"cmd": ["run", "--token", SECRET]}},
    "entrypoint": {"init": {"entrypoint": [SECRET]}},
    "check header": {"checks": {"up": {"headers": [{"name": "Authorization", "values": [SECRET]}]}}},
    "response header": services(
        ports=[{"http_options": {"response": {"headers": {"x-token": SECRET, "y": [SECRET]}}}}]
    ),
    "health check": {"containers": [{"name": "c", "healthchecks": [{"exec": {"command": [SECRET]}}]}]},
}


@pytest.mark.parametrize("config", HIDDEN.values(), ids=HIDDEN.keys())
def test_values_that_may_be_secret_are_never_in_the_text(config: dict[str, Json]) -> None:
    other = _replaced(config)
    for desired, found in ((config, other), (other, config), (config, {}), ({}, config)):
        lines = compare(desired, found).changes
        assert lines
        assert SECRET not in "".join(lines)


def _replaced(value: Json) -> Json:
    """The same config with another secret in it."""
    if isinstance(value, dict):
        return {key: _replaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    return "correct horse" if value == SECRET else value


def test_names_in_an_environment_are_told() -> None:
    assert compare({"env": {"A": "1", "B": "1"}}, {"env": {"B": "2", "C": "3"}}).changes == (
        "env.A: added",
        "env.B: changed",
        "env.C: removed",
    )


def test_an_empty_variable_is_not_a_missing_one() -> None:
    assert compare({"env": {"A": ""}}, {}).changes == ("env.A: added",)


def test_a_field_that_nobody_knows_is_no_change_and_is_kept_and_told() -> None:
    found = {
        "image": "a",
        "hyperdrive": {"level": 9},
        "guest": {"cpus": 1, "warp": 2},
        "services": [{"internal_port": 8080, "lanes": 3}],
    }
    desired = {"image": "b", "guest": {"cpus": 1}, "services": [{"internal_port": 8080}]}
    assert compare(desired, found).changes == ("image: a → b",)
    assert compare(desired, found).unknown == ("guest.warp", "hyperdrive", "services[0].lanes")
    assert keep_unknown(desired, found) == {**found, "image": "b"}


def test_news_in_a_part_that_the_document_has_not_is_kept_unless_the_part_is_taken_away() -> None:
    found = {
        "image": "a",
        "dns": {"skip_registration": False, "shield": 1},
        "metrics": {"port": 1, "path": "/", "shield": 2},
        "checks": {"up": {"type": "tcp", "shield": 3}},
    }
    assert keep_unknown({"image": "a"}, found) == {"image": "a", "dns": {"shield": 1}}


def test_a_known_field_of_the_live_config_is_not_kept() -> None:
    assert keep_unknown({"image": "a"}, {"image": "a", "schedule": "daily", "env": {"X": "1"}}) == {
        "image": "a"
    }


def test_normalising_twice_changes_nothing_more() -> None:
    once = normalise(echo(CONFIG))
    assert normalise(once) == once


def test_a_guest_is_written_out() -> None:
    assert normalise_guest({"guest": {"cpus": 4}}) == {"cpu_kind": "shared", "cpus": 4, "memory_mb": 1024}
