"""Keys: one root, three purposes that do not open each other, and nothing of it in anything printed."""

import hashlib
import hmac
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.keys import RootKey, hkdf_sha256
from router.state import app_key

ROOT = "0123456789abcdef" * 4


class Value:
    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text


def values(**texts: str) -> dict[str, Value]:
    return {name: Value(text) for name, text in texts.items()}


@pytest.mark.parametrize(
    ("key_material", "salt", "info", "length", "expected"),
    [
        (
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            82,
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "0b" * 22,
            "",
            "",
            42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["basic", "long", "no salt, no info"],
)
def test_hkdf_gives_what_rfc_5869_prints(
    key_material: str, salt: str, info: str, length: int, expected: str
) -> None:
    made = hkdf_sha256(
        bytes.fromhex(key_material), salt=bytes.fromhex(salt), info=bytes.fromhex(info), length=length
    )
    assert made.hex() == expected


def test_hkdf_refuses_more_than_it_can_give() -> None:
    with pytest.raises(ValueError, match="8160"):
        hkdf_sha256(b"x", info=b"", length=8161)


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "0" * 63, "0" * 65, "０" * 64])
def test_a_root_key_that_is_not_64_hex_digits_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits") as refusal:
        RootKey(text)
    assert not text or text not in str(refusal.value)


def test_a_root_key_from_a_file_may_end_in_a_line_break_and_be_upper_case() -> None:
    assert RootKey(f"{ROOT.upper()}\n").replay_root == RootKey(ROOT).replay_root


def test_a_root_key_does_not_show_itself() -> None:
    root = RootKey(ROOT)
    shown = f"{root!r} {root!s} {root}"
    for secret in (ROOT, root.replay_root.hex(), repr(root.replay_root)):
        assert secret not in shown
    with pytest.raises(TypeError):
        pickle.dumps(root)
    assert not hasattr(root, "__dict__")


def test_the_key_id_names_the_root_in_8_hex_digits() -> None:
    assert len(bytes.fromhex(RootKey(ROOT).kid)) == 4
    assert RootKey(ROOT).kid != RootKey("f" * 64).kid


def test_an_apps_keys_are_those_that_the_router_signs_with() -> None:
    root = RootKey(ROOT)
    keys = root.app_keys("acme-alice", ["PRESHARED_KEY", "PRESHARED_KEY_MANAGEMENT"])
    assert keys == {
        "PRESHARED_KEY": app_key(root.replay_root, "public", "acme-alice"),
        "PRESHARED_KEY_MANAGEMENT": app_key(root.replay_root, "management", "acme-alice"),
    }
    assert (
        keys["PRESHARED_KEY"] == hmac.new(root.replay_root, b"public\nacme-alice", hashlib.sha256).hexdigest()
    )
    assert keys.keys().isdisjoint(root.app_keys("acme-bob", []))


def test_a_derived_secret_is_its_apps_and_its_names_own() -> None:
    root = RootKey(ROOT)
    made = {
        root.derive("acme-alice", "DB"),
        root.derive("acme-bob", "DB"),
        root.derive("acme-alice", "DB2"),
        RootKey("f" * 64).derive("acme-alice", "DB"),
    }
    assert len(made) == 4
    assert root.derive("acme-alice", "DB") == RootKey(ROOT).derive("acme-alice", "DB")


def test_a_digest_does_not_depend_on_order_and_changes_with_every_name_and_value() -> None:
    root = RootKey(ROOT)
    digest = root.digest(values(A="1", B="2"))
    assert len(digest) == 32
    assert digest == root.digest(values(B="2", A="1"))
    others = [values(A="2", B="1"), values(A="1"), values(A="1", B="2", C=""), values(A="12", B="")]
    assert digest not in {root.digest(other) for other in others}
    assert digest != RootKey("f" * 64).digest(values(A="1", B="2"))


TEXTS = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3)


@given(TEXTS, TEXTS)
def test_two_digests_are_equal_only_for_equal_values(one: dict[str, str], other: dict[str, str]) -> None:
    root = RootKey(ROOT)
    same = root.digest({k: Value(v) for k, v in one.items()}) == root.digest(
        {k: Value(v) for k, v in other.items()}
    )
    assert same is (one == other)
