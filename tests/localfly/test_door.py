"""Doors and backends as flags: what is understood, and one clear line for what is not."""

import pytest

from localfly.proxy.door import (
    Attached,
    BadFlag,
    Door,
    parse_attached,
    parse_door,
    refuse_beyond_loopback,
    refuse_mixed_doors,
)

DOORS = {
    "127.0.0.1:8443=443": Door("127.0.0.1", 8443, 443),
    "127.0.0.1:8443=443@acme-router": Door("127.0.0.1", 8443, 443, "acme-router"),
    "127.0.0.1:9090=9090@gateway:flycast": Door("127.0.0.1", 9090, 9090, "gateway", is_flycast=True),
    "127.0.0.1:0=80:flycast": Door("127.0.0.1", 0, 80, is_flycast=True),
    "[::1]:8443=443": Door("::1", 8443, 443),
}
BAD_DOORS = (
    "",
    "8443",
    "8443=443",
    "127.0.0.1:8443",
    "127.0.0.1:8443=",
    "127.0.0.1:8443=0",
    "127.0.0.1:8443=65536",
    "127.0.0.1:65536=443",
    "127.0.0.1:8443=443@",
    "127.0.0.1:8443=443@Bad_Name",
    "127.0.0.1:8443=443:private",
    "example.com:8443=443",
    "::1:8443=443",
)
BAD_BACKENDS = (
    "",
    "router",
    "router=127.0.0.1:1",
    "router:443",
    "router:443=127.0.0.1",
    "router:443=127.0.0.1:0",
    "router:0=127.0.0.1:1",
    "Router:443=127.0.0.1:1",
    "router@:443=127.0.0.1:1",
    "router:443=localhost.example:1",
)


@pytest.mark.parametrize("text", DOORS)
def test_a_door_is_read_and_written_alike(text: str) -> None:
    """HOST:PORT=PUBLIC_PORT[@APP][:flycast]."""
    assert parse_door(text) == DOORS[text]
    assert str(DOORS[text]) == text


@pytest.mark.parametrize("text", BAD_DOORS)
def test_a_door_that_is_none_is_one_line_that_names_the_flag(text: str) -> None:
    """Ports out of range, names that are no app's, hosts that are no address."""
    with pytest.raises(BadFlag) as error:
        parse_door(text)
    assert str(error.value).startswith(f"--listen {text}")
    assert "\n" not in str(error.value)


def test_a_backend_is_in_the_organisation_named_or_the_default_one() -> None:
    """APP[@ORG]:PUBLIC_PORT=HOST:PORT; localhost means 127.0.0.1."""
    assert parse_attached("router:443=localhost:8080", default_org="acme") == Attached(
        "router", "acme", 443, "127.0.0.1", 8080
    )
    assert parse_attached("router@platform:443=[::1]:8080", default_org="acme") == Attached(
        "router", "platform", 443, "::1", 8080
    )


@pytest.mark.parametrize("text", BAD_BACKENDS)
def test_a_backend_that_is_none_is_one_line_that_names_the_flag(text: str) -> None:
    """As for doors."""
    with pytest.raises(BadFlag) as error:
        parse_attached(text, default_org="acme")
    assert str(error.value).startswith(f"--attach {text}")
    assert "\n" not in str(error.value)


def test_a_backend_keeps_its_machine_id() -> None:
    """14 hex digits that depend on app and address alone."""
    ids = [
        Attached(app, org, port, "127.0.0.1", to).machine_id
        for app, org, port, to in (("a", "x", 1, 1), ("a", "y", 2, 1), ("a", "x", 1, 2), ("b", "x", 1, 1))
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(one) == 14 and int(one, 16) >= 0 for one in ids)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::"])
def test_an_address_beyond_this_computer_needs_the_switch(host: str) -> None:
    """The line names the flag and what to add."""
    with pytest.raises(BadFlag, match=r"--listen x: other computers could reach .*--allow-non-loopback"):
        refuse_beyond_loopback([("--api y", "127.0.0.1"), ("--api z", "::1"), ("--listen x", host)])


def test_two_apps_may_share_a_public_port_behind_doors_of_both_kinds() -> None:
    """Each door names its app; without names every app on the port is behind both."""
    attached = [Attached(app, "acme", 443, "127.0.0.1", 1) for app in ("router", "gateway")]
    named = [Door("127.0.0.1", 1, 443, "router"), Door("127.0.0.1", 2, 443, "gateway", is_flycast=True)]
    refuse_mixed_doors(named, attached)
    with pytest.raises(BadFlag, match=r"--listen 127\.0\.0\.1:2=443:flycast: app router is also behind"):
        refuse_mixed_doors([Door("127.0.0.1", 1, 443), Door("127.0.0.1", 2, 443, is_flycast=True)], attached)
