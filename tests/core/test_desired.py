"""One user app, resolved: overlay, slots, names, defaults, and a hash that moves when the machine would."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.desired import DesiredApp, resolve
from reconciler.core.overlay import SERVICE_DEFAULTS, merge_patch, sent_config
from reconciler.core.spec import load
from tests.core import sample


def desired(user: str = "", base: str = sample.BASE) -> DesiredApp:
    specs = load({"base.yaml": base, "user.yaml": user or sample.user()})
    assert [str(problem) for problem in specs.problems] == []
    return resolve(specs, "alice", secrets_digest="digest", key_id="kid")


def test_names_follow_from_installation_and_document() -> None:
    """App, network, owner and label need nothing but the fleet and the document's name."""
    app = desired()
    assert (app.name, app.app_name, app.org) == ("alice", "acme-alice", "acme")
    assert (app.network, app.owner) == ("a1b2c3-alice", "a1b2c3.alice")
    assert app.owner_label == "RECONCILER_OWNER_A1B2C3"
    assert (app.secrets_digest, app.key_id, app.corrects_drift) == ("digest", "kid", True)


def test_hosts_default_to_the_name_below_each_domain() -> None:
    """A user app that names no hosts is found by its own name; one that names none on purpose is not."""
    assert desired().hosts == ("alice.example.com",)
    two = sample.BASE.replace("domains: [example.com]", "domains: [example.com, example.org]")
    assert desired(base=two).hosts == ("alice.example.com", "alice.example.org")
    assert desired(sample.user(more="  hosts: [example.com]\n")).hosts == ("example.com",)
    assert desired(sample.user(more="  hosts: []\n")).hosts == ()


def test_regions_default_to_the_fleets() -> None:
    """A user app's own regions replace the fleet's, in order."""
    assert desired().machines[0].regions == ("iad", "lhr")
    assert desired(sample.user(more="  regions: [syd, fra]\n")).machines[0].regions == ("syd", "fra")


@pytest.mark.parametrize(
    ("auth", "keys"),
    [
        ("signed", ("PRESHARED_KEY", "PRESHARED_KEY_MANAGEMENT")),
        ("psk", ("PRESHARED_KEY", "PRESHARED_KEY_MANAGEMENT")),
        ("none", ()),
    ],
)
def test_replay_keys_follow_from_how_the_router_proves_itself(auth: str, keys: tuple[str, ...]) -> None:
    """Without authentication an app carries no key."""
    assert desired(base=sample.BASE.replace("reserved:", f"auth: {auth}\n  reserved:")).key_names == keys


def test_slots_and_volumes_are_numbered() -> None:
    """`count` machines, each with its own volume; Fly takes no dashes in a volume's name."""
    growth = "add_size_gb: 1, extend_threshold_percent: 80"
    mount = f"mount: {{name: data, path: /data, size_gb: 3, encrypted: true, {growth}}}"
    app = desired(sample.user(machine=f"name: web-ui, template: studio, count: 2, {mount}"))
    assert [machine.slot for machine in app.machines] == ["web-ui-0", "web-ui-1"]
    mounts = [machine.mount for machine in app.machines if machine.mount]
    assert [found.volume_name for found in mounts] == ["web_ui_data_0", "web_ui_data_1"]
    assert mounts[0].size_gb == 3
    assert mounts[0].create == {"encrypted": True}
    assert mounts[0].config == {"path": "/data", "add_size_gb": 1, "extend_threshold_percent": 80}
    assert desired(sample.user(machine="name: web, template: studio, count: 0")).machines == ()


def test_the_overlay_is_a_merge_patch_and_the_config_is_sent_verbatim() -> None:
    """Mappings are merged, null removes, lists are replaced; what nobody touched stays as written."""
    overlay = "config: {env: {MODE: null, B: x}, guest: {cpus: 2}, init: {cmd: [a]}}"
    (machine,) = desired(sample.user(machine=f"name: web, template: studio, {overlay}")).machines
    assert {name: value for name, value in machine.config.items() if name != "services"} == {
        "image": "registry.fly.io/studio:1",
        "env": {"B": "x"},
        "guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 512},
        "init": {"cmd": ["a"]},
    }


def test_services_carry_the_defaults_and_no_label() -> None:
    """What we fill in is sent unless a document says null; what it says wins; `name` stays here."""
    (machine,) = desired().machines
    assert machine.config["services"][0] == {
        "protocol": "tcp",
        "autostart": True,
        "autostop": "stop",
        "min_machines_running": 0,
        "internal_port": 9090,
        "ports": [{"port": 9090, "handlers": ["http"]}],
    }
    service = "{name: x, internal_port: 1, autostop: 'off', autostart: null, protocol: udp}"
    overlay = f"config: {{services: [{service}]}}"
    (machine,) = desired(sample.user(machine=f"name: web, template: studio, {overlay}")).machines
    assert machine.config["services"] == [
        {
            "protocol": "udp",
            "autostop": "off",
            "min_machines_running": 0,
            "internal_port": 1,
        }
    ]


@pytest.mark.parametrize(
    ("machine", "may_sleep"),
    [
        ("name: web, template: studio", True),
        ("name: web, template: studio, config: {services: null}", False),
        ("name: web, template: studio, config: {services: [{internal_port: 1, autostart: false}]}", False),
        ("name: web, template: studio, config: {services: null}, skip_launch: true", True),
    ],
)
def test_a_machine_may_sleep_when_a_request_wakes_it(machine: str, *, may_sleep: bool) -> None:
    """A service with autostart, or `skip_launch`, makes stopped fine."""
    assert desired(sample.user(machine=machine)).machines[0].may_sleep is may_sleep


BARE = "name: web, template: studio"
MOUNT = "mount: {name: data, path: /data, size_gb: 1}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (BARE, "template: studio, name: web, count: 1", True),
        (BARE, f"{BARE}, config: {{}}", True),
        (BARE, f"{BARE}, config: {{env: {{MODE: build}}}}", True),
        (f"{BARE}, config: {{env: {{A: x, B: y}}}}", f"{BARE}, config: {{env: {{B: y, A: x}}}}", True),
        (BARE, f"{BARE}, count: 2", True),
        (BARE, f"{BARE}, config: {{env: {{MODE: run}}}}", False),
        (BARE, f"{BARE}, config: {{env: {{MODE: null}}}}", False),
        (BARE, f"{BARE}, {MOUNT}", False),
        (f"{BARE}, {MOUNT}", f"{BARE}, {MOUNT.replace('/data', '/home')}", False),
        (f"{BARE}, {MOUNT}", f"{BARE}, {MOUNT.replace('size_gb: 1', 'size_gb: 2')}", False),
    ],
)
def test_the_hash_moves_exactly_when_the_machine_would(one: str, other: str, *, same: bool) -> None:
    """Order, spelling and other machines leave it; each value of config and volume moves it."""
    hashes = [desired(sample.user(machine=machine)).machines[0].spec_hash for machine in (one, other)]
    assert (hashes[0] == hashes[1]) is same


def test_the_hash_is_the_same_in_every_process() -> None:
    """It stands on machines for years: this value changes only together with a migration."""
    expected = "be3127d57dc0ab00e1b2164a4c016f578c6b7f189f5b2274196f7ad8190183fd"
    assert desired().machines[0].spec_hash == expected


SCALAR = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, JSON)
def test_a_patch_laid_over_twice_is_laid_over_once(target: Any, patch: Any) -> None:
    """Merge patch is idempotent."""
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(JSON)
def test_an_empty_patch_changes_nothing_of_a_mapping(target: Any) -> None:
    """`{}` is the neutral patch, and the input is left alone."""
    if isinstance(target, dict):
        assert merge_patch(target, {}) == target


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_examples_of_its_standard(target: Any, patch: Any, result: Any) -> None:
    """RFC 7396, appendix A."""
    assert merge_patch(target, patch) == result


FIELDS = st.sampled_from([*SERVICE_DEFAULTS, "name", "internal_port"])


@given(st.lists(st.dictionaries(FIELDS, SCALAR.filter(lambda value: value is not None)), max_size=3))
def test_filling_in_defaults_twice_changes_nothing(services: list[dict[str, Any]]) -> None:
    """What was filled in counts as given."""
    once = sent_config({"services": services})
    assert sent_config(once) == once
