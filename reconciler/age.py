"""Encrypts values for age recipients and opens them with the identities given to the process.

Answers for reasons that show neither a value nor a key. The form of ciphertext in documents is
`core.armor`'s; where identities come from is `config`'s.
"""

from collections.abc import Iterable
from typing import NoReturn

import pyrage
from pyrage import x25519

from reconciler.core.armor import BEGIN
from reconciler.core.secret import SecretText

_PREFIX = "AGE-SECRET-KEY-1"


class AgeError(Exception):
    """It cannot be done; str() is a reason for people, without any content."""


class AgeIdentities:
    """The private keys that open ciphertext. Neither their text form nor a pickle shows them."""

    __slots__ = ("_identities", "_opened")

    def __init__(self, text: str) -> None:
        """From lines as `age-keygen` prints them; comments are skipped. Raises AgeError."""
        lines = _lines(text)
        if lines[:1] == [BEGIN]:
            raise AgeError("the identity is itself encrypted, and nobody can enter its passphrase here")
        if not lines:
            raise AgeError("there is no identity in it")
        if not all(line.startswith(_PREFIX) for line in lines):
            raise AgeError(f"a line is no identity; each begins with {_PREFIX}, as age-keygen prints it")
        try:
            self._identities = [x25519.Identity.from_str(line) for line in lines]
        except pyrage.IdentityError:
            raise AgeError("an identity in it is damaged") from None
        self._opened: dict[str, SecretText] = {}  # one document serves a thousand apps

    def decrypt(self, armored: str) -> str:
        """The value; one line break at its end is left out, as with files. Raises AgeError."""
        if armored not in self._opened:
            self._opened[armored] = SecretText(self._decrypt(armored))
        return self._opened[armored].reveal()

    def _decrypt(self, armored: str) -> str:
        try:
            value = pyrage.decrypt(armored.strip().encode(), self._identities).decode()
        except UnicodeDecodeError:  # whose text would show the bytes
            raise AgeError("what is encrypted is not UTF-8 text") from None
        except pyrage.DecryptError as error:
            if "matching key" in str(error):
                raise AgeError("it was encrypted for other identities than those here") from None
            raise AgeError("its ciphertext is damaged") from None
        return value.removesuffix("\n").removesuffix("\r")

    def __repr__(self) -> str:
        return f"AgeIdentities({len(self._identities)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("identities are not pickled")


def encrypt(value: str, recipients: Iterable[str]) -> str:
    """Armored ciphertext that each of the recipients (age1…) can open. Raises AgeError."""
    keys = []
    for number, recipient in enumerate(recipients, start=1):
        try:
            keys.append(x25519.Recipient.from_str(recipient))
        except pyrage.RecipientError:  # it is not quoted: somebody may have given the identity
            raise AgeError(f"recipient {number} is none; expected age1…, as age-keygen prints it") from None
    if not keys:
        raise AgeError("there is no recipient")
    return pyrage.encrypt(value.encode(), keys, armored=True).decode()


def recipients_in(text: str) -> list[str]:
    """The recipients of a file: one a line, comments skipped."""
    return _lines(text)


def _lines(text: str) -> list[str]:
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
