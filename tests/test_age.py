"""Opening age ciphertext: the right identity gives the value, everything else a reason without content."""

import pickle

import pytest
from pyrage import passphrase, x25519

from reconciler.age import AgeError, AgeIdentities, encrypt, recipients_in

CANARY = "sk-live-canary-4f1a"
KEY = x25519.Identity.generate()
OTHER = x25519.Identity.generate()
KEYGEN = f"# created: 2026-01-01T00:00:00Z\n# public key: {KEY.to_public()}\n{KEY}\n"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (CANARY, CANARY),
        (f"{CANARY}\n", CANARY),
        (f"{CANARY}\r\n", CANARY),
        ("a\nb\n\n", "a\nb\n"),
        ("é", "é"),
    ],
)
def test_what_was_encrypted_comes_back(value: str, found: str) -> None:
    """As with files, one line break at the end is left out."""
    assert AgeIdentities(KEYGEN).decrypt(encrypt(value, [str(KEY.to_public())])) == found


def test_each_of_several_recipients_and_identities_will_do() -> None:
    """A team and its reconciler open the same document."""
    ciphertext = encrypt(CANARY, [str(KEY.to_public()), str(OTHER.to_public())])
    assert AgeIdentities(str(OTHER)).decrypt(ciphertext) == CANARY
    assert AgeIdentities(f"{OTHER}\n{KEY}").decrypt(encrypt(CANARY, [str(KEY.to_public())])) == CANARY


def test_another_identity_and_damage_are_told_apart_without_content() -> None:
    """The first needs another key, the second a new document."""
    ciphertext = encrypt(CANARY, [str(KEY.to_public())])
    with pytest.raises(AgeError) as refused:
        AgeIdentities(str(OTHER)).decrypt(ciphertext)
    assert str(refused.value) == "it was encrypted for other identities than those here"
    lines = ciphertext.splitlines()
    lines[-2] = lines[-2][:-4] + ("AAAA" if lines[-2][-4:] != "AAAA" else "BBBB")
    with pytest.raises(AgeError) as refused:
        AgeIdentities(str(KEY)).decrypt("\n".join(lines))
    assert str(refused.value) == "its ciphertext is damaged"
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no identity in it"),
        ("# nothing\n", "there is no identity in it"),
        (CANARY, "a line is no identity; each begins with AGE-SECRET-KEY-1, as age-keygen prints it"),
        (f"{str(KEY)[:-1]}Q", "an identity in it is damaged"),
        (
            f"{KEY}\n{CANARY}",
            "a line is no identity; each begins with AGE-SECRET-KEY-1, as age-keygen prints it",
        ),
        (
            passphrase.encrypt(str(KEY).encode(), CANARY, armored=True).decode(),
            "the identity is itself encrypted, and nobody can enter its passphrase here",
        ),
    ],
    ids=["empty", "comments", "something else", "a character changed", "a line too many", "encrypted"],
)
def test_what_is_no_identity_is_refused_without_being_repeated(text: str, reason: str) -> None:
    """It may be half a key."""
    with pytest.raises(AgeError) as refused:
        AgeIdentities(text)
    assert str(refused.value) == reason


def test_an_identity_given_as_a_recipient_is_not_repeated() -> None:
    """The commonest slip would print the private key."""
    with pytest.raises(AgeError) as refused:
        encrypt(CANARY, [str(KEY.to_public()), str(KEY)])
    assert str(refused.value) == "recipient 2 is none; expected age1…, as age-keygen prints it"
    with pytest.raises(AgeError, match="no recipient"):
        encrypt(CANARY, [])


def test_identities_do_not_show_themselves() -> None:
    """Neither their text form nor a pickle has them."""
    identities = AgeIdentities(KEYGEN)
    identities.decrypt(encrypt(CANARY, [str(KEY.to_public())]))
    assert repr(identities) == "AgeIdentities(1)"
    with pytest.raises(TypeError):
        pickle.dumps(identities)


def test_a_recipients_file_may_have_comments() -> None:
    """One a line."""
    assert recipients_in("# the team\nage1a\n\n  age1b \n") == ["age1a", "age1b"]
