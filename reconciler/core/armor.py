"""The outer form of age ciphertext, as it may stand in a document: armored, for recipients, whole.

Answers for form alone, without ever quoting: what stands there instead may be the secret itself.
Decrypting is `reconciler.age`'s.
"""

import base64
import binascii

from reconciler.core.scalar import wrong

BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----"
END = "-----END AGE ENCRYPTED FILE-----"
CODE = "secret-ciphertext"

_LINE = 64  # characters of every line but the last
_FIRST_LINE = b"age-encryption.org/v1\n"
_PASSPHRASE = b"-> scrypt "
_AFTER_HEADER = b"\n--- "


def armored(text: str) -> str:
    """`text` as it stands, when it has the form of armored age ciphertext; else ValueError without it."""
    lines = text.strip().splitlines()
    if len(lines) < len((BEGIN, "", END)) or (lines[0].rstrip(), lines[-1].rstrip()) != (BEGIN, END):
        raise wrong(
            f"is no age ciphertext; expected a block from {BEGIN} to {END}, "
            "as `reconciler secret encrypt` prints it",
            CODE,
        )
    header = _content([line.rstrip() for line in lines[1:-1]])
    if not header.startswith(_FIRST_LINE) or _AFTER_HEADER not in header:
        raise wrong("is damaged age ciphertext; encrypt the value again", CODE)
    if header.startswith(_FIRST_LINE + _PASSPHRASE):
        raise wrong(
            "is encrypted with a passphrase, which nobody can enter here; encrypt it for a recipient (age1…)",
            CODE,
        )
    return text


def _content(lines: list[str]) -> bytes:
    """What the lines carry; nothing when one of them is not as it was written."""
    if any(len(line) != _LINE for line in lines[:-1]) or not 0 < len(lines[-1]) <= _LINE:
        return b""
    try:
        return base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError):
        return b""
