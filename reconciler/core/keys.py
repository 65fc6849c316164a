"""The root key and all that is made from it: replay keys of apps, derived secrets, digests of values.

Answers for derivation alone. A replay key's format is `router.state`'s; reading the root key is `config`'s.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn, Protocol

from router.state import Purpose, app_key

PURPOSES: Mapping[str, Purpose] = {  # a secret's name in the user's app, as in Fly's guide → what it opens
    "PRESHARED_KEY": "public",
    "PRESHARED_KEY_MANAGEMENT": "management",
}

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_KEY_BYTES = 32
_DIGEST_CHARACTERS = 32


class Revealable(Protocol):
    """A secret value that does not show itself unless asked."""

    def reveal(self) -> str: ...


class RootKey:
    """The installation's root key. Neither its text form nor a pickle shows it."""

    __slots__ = ("_derive", "_digest", "_kid", "_plan", "_replay")

    def __init__(self, text: str) -> None:
        """From 64 hex digits, blank space around them ignored. Raises ValueError without the text in it."""
        text = text.strip()
        if not _HEX.fullmatch(text):
            raise ValueError(
                f"the root key must be 64 hex digits, and this has {len(text)} characters; "
                "make one with: openssl rand -hex 32"
            )
        root = bytes.fromhex(text)
        self._replay = hkdf_sha256(root, info=b"replay/v1", length=_KEY_BYTES)
        self._derive = hkdf_sha256(root, info=b"derive/v1", length=_KEY_BYTES)
        self._digest = hkdf_sha256(root, info=b"digest/v1", length=_KEY_BYTES)
        self._plan = hkdf_sha256(root, info=b"plan/v1", length=_KEY_BYTES)
        self._kid = hkdf_sha256(root, info=b"kid/v1", length=4).hex()

    @property
    def kid(self) -> str:
        """Names the root key: 8 hex digits, public."""
        return self._kid

    @property
    def replay_root(self) -> bytes:
        """All that a router needs; it gives away neither the root key nor derived secrets."""
        return self._replay

    @property
    def plan_key(self) -> bytes:
        """Seals saved plans; it gives away nothing else."""
        return self._plan

    def app_keys(self, app_name: str, key_names: Iterable[str]) -> dict[str, str]:
        """The replay keys of one app by the names of its secrets; each must be in PURPOSES, else KeyError."""
        return {name: app_key(self._replay, PURPOSES[name], app_name) for name in sorted(key_names)}

    def derive(self, app_name: str, secret_name: str) -> str:
        """A secret of 64 hex digits, the same for ever for this root key, app and name."""
        message = f"{app_name}\n{secret_name}".encode()
        return hmac.new(self._derive, message, hashlib.sha256).hexdigest()

    def digest(self, values: Mapping[str, Revealable]) -> str:
        """32 hex digits that change when any name or value does; useless without the root key."""
        pairs = [[name, values[name].reveal()] for name in sorted(values)]
        message = json.dumps(pairs, ensure_ascii=True, separators=(",", ":")).encode()
        return hmac.new(self._digest, message, hashlib.sha256).hexdigest()[:_DIGEST_CHARACTERS]

    def __repr__(self) -> str:
        return f"RootKey(kid={self._kid!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a root key is not pickled")


def hkdf_sha256(key_material: bytes, *, salt: bytes = b"", info: bytes, length: int) -> bytes:
    """RFC 5869's extract and expand; `length` at most 8,160 bytes."""
    if length > 255 * hashlib.sha256().digest_size:
        raise ValueError("HKDF-SHA256 gives at most 8160 bytes")
    salt = salt or bytes(hashlib.sha256().digest_size)
    pseudo_random_key = hmac.new(salt, key_material, hashlib.sha256).digest()
    block, output, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.new(pseudo_random_key, block + info + bytes([counter]), hashlib.sha256).digest()
        output += block
        counter += 1
    return output[:length]
