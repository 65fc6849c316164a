"""What counts as age ciphertext in a document, and that nothing of what stands there is repeated."""

import pytest
from pyrage import passphrase, x25519

from reconciler import age
from reconciler.core.armor import BEGIN, END, armored

CANARY = "sk-live-canary-4f1a"
WHOLE = age.encrypt(CANARY, [str(x25519.Identity.generate().to_public())])
LINES = WHOLE.splitlines()


def refused(text: str) -> str:
    with pytest.raises(ValueError, match=r"age ciphertext|passphrase") as found:
        armored(text)
    assert not set(str(found.value).split()) & {CANARY, *LINES[1:-1]}
    assert "\n" not in str(found.value)
    return str(found.value)


@pytest.mark.parametrize("text", [WHOLE, WHOLE.strip(), WHOLE.replace("\n", "\r\n"), f"\n{WHOLE}\n\n"])
def test_ciphertext_as_age_writes_it_is_taken(text: str) -> None:
    """Line ends and blank lines around it are the editor's."""
    assert armored(text) == text


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        "",
        f"{BEGIN}\n{CANARY}",
        "\n".join(LINES[1:-1]),
        f"-----BEGIN PGP MESSAGE-----\n{CANARY}\n-----END PGP MESSAGE-----",
        f"{BEGIN}\n{END}",
    ],
    ids=["the value itself", "nothing", "no end", "no armor", "PGP", "nothing inside"],
)
def test_what_is_no_armor_is_refused(text: str) -> None:
    """Most likely somebody pasted the value itself."""
    assert refused(text).startswith("is no age ciphertext; expected a block from -----BEGIN AGE")


@pytest.mark.parametrize(
    "text",
    [
        "\n".join([LINES[0], *LINES[2:]]),
        "\n".join([*LINES[:2], END]),
        WHOLE.replace(LINES[1], LINES[1][:-1]),
        WHOLE.replace(LINES[1], f"{LINES[1][:-1]}*"),
        f"{BEGIN}\n{CANARY}\n{END}",
        " ".join(LINES),
    ],
    ids=["first line lost", "cut off", "a character lost", "no base64", "the value itself", "folded"],
)
def test_damage_is_seen_before_anybody_needs_the_value(text: str) -> None:
    """A line lost in a merge is told by `validate`, without any key."""
    assert refused(text).startswith(("is damaged age ciphertext", "is no age ciphertext"))


def test_a_passphrase_is_refused_since_nobody_can_enter_it() -> None:
    """The line says what to do instead."""
    text = passphrase.encrypt(CANARY.encode(), "correct horse", armored=True).decode()
    assert refused(text).startswith("is encrypted with a passphrase")
