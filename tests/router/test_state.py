"""Keys and states: worth something for one app, one host, one port and some minutes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import state
from router.state import Signer, app_key, expiry, sign
from tests.router.wireless import ROOT, signer

ALPHABET = re.compile(r"[A-Za-z0-9_.-]{1,96}\Z")


def test_every_app_and_purpose_has_its_own_key() -> None:
    """A key of one app, or of one purpose, opens no other door."""
    keys = {app_key(ROOT, purpose, app) for purpose in ("public", "management") for app in ("a", "b")}
    assert len(keys) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)


def test_a_short_root_makes_no_keys() -> None:
    """An empty or cut root key is an error, never a weak key."""
    with pytest.raises(ValueError, match="32 bytes"):
        app_key(b"short", "public", "a")


@given(
    now=st.floats(0, 4e9),
    host=st.from_regex(r"[a-z0-9.-]{1,253}", fullmatch=True),
    port=st.integers(1, 65_535),
)
def test_a_state_fits_where_it_is_put(now: float, host: str, port: int) -> None:
    """At most 96 characters of Fly's safest alphabet, whatever is signed, good for 120 to 180 s from now."""
    made = sign("k" * 64, kid="a1b2c3d4", app="a", host=host, port=port, now=now)
    assert ALPHABET.match(made)
    assert 120 < expiry(now) - int(now) <= 180


@pytest.mark.parametrize("text", ["", "a" * 97, "a=b", "a;b", "a b", "a\nb", "é", "a\n"])
def test_nothing_else_is_a_state(text: str) -> None:
    """What could add a field or a line to the header is refused without being repeated."""
    with pytest.raises(ValueError, match="96 characters") as refused:
        state.checked(text)
    assert len(text) < 2 or text not in str(refused.value)


@pytest.mark.parametrize("kid", ["", "A1B2C3D4", "a1b2c3d", "a1b2c3d4\n", "a.b.c.d."])
def test_a_key_id_has_eight_hex_digits(kid: str) -> None:
    """Another key id would shift the state's parts."""
    with pytest.raises(ValueError, match="8 hex digits"):
        sign("k" * 64, kid=kid, app="a", host="h", port=443, now=0)


def test_states_differ_by_app_host_port_and_slot_and_by_nothing_else() -> None:
    """Within a slot the same route has the same state, so that it is made once."""
    made = signer()
    base = made.state("public", "a", host="h", port=443, now=1_000_020)
    assert made.state("public", "a", host="h", port=443, now=1_000_079.9) == base
    others = [
        made.state("public", "b", host="h", port=443, now=1_000_020),
        made.state("public", "a", host="i", port=443, now=1_000_020),
        made.state("public", "a", host="h", port=80, now=1_000_020),
        made.state("management", "a", host="h", port=443, now=1_000_020),
        made.state("public", "a", host="h", port=443, now=1_000_080),
        made.state("public", "a", host="h", port=443, now=1_000_019),
    ]
    assert len({base, *others}) == 7


def test_what_a_signer_remembers_is_bounded() -> None:
    """A flood of hosts and ports in one slot does not grow the memory beyond its limit."""
    made = signer()
    states = {
        made.state("public", "a", host=f"h{i}", port=443, now=60) for i in range(state.MAX_REMEMBERED + 10)
    }
    assert len(states) == state.MAX_REMEMBERED + 10
    assert len(made._states) == state.MAX_REMEMBERED


def test_psk_is_the_key_itself_and_none_is_nothing() -> None:
    """The guide's form carries the app's key; without authentication there is no state."""
    assert signer("psk").state("public", "a", host="h", port=443, now=0) == app_key(ROOT, "public", "a")
    assert Signer(auth="none", replay_root=None, kid="").state("public", "a", host="h", port=1, now=0) is None


def test_a_signer_without_a_root_key_does_not_start() -> None:
    """Authentication that is asked for and cannot be had is an error at start, not an open door."""
    with pytest.raises(ValueError, match="RECONCILER_ROOT_KEY"):
        Signer(auth="signed", replay_root=None, kid="a1b2c3d4")


def test_a_signer_does_not_show_its_key() -> None:
    """Nothing secret stands in a repr."""
    made = signer("psk")
    made.state("public", "a", host="h", port=443, now=0)
    assert app_key(ROOT, "public", "a") not in repr(made)
    assert ROOT.hex() not in repr(made)
