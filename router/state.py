"""The replay `state`: keys of apps, the signature a guard checks, and a signer that works once per slot.

Answers for the format alone. Which key a machine carries is the reconciler's; checking is `router.guard`'s.
"""

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from typing import Literal, TypeVar

Purpose = Literal["public", "management"]
Auth = Literal["signed", "psk", "none"]

MAX_STATE = 96  # Fly's own limit for `state` is not documented; ours keeps answers to one small packet
SLOT_S = 60
GRACE_S = 120  # a replay waits at most 60 s for its machine, and clocks differ
MIN_ROOT_BYTES = 32
MAX_REMEMBERED = 65_536

_STATE = re.compile(r"[A-Za-z0-9_.-]{1,96}\Z")
_KID = re.compile(r"[0-9a-f]{8}\Z")

K = TypeVar("K")


def app_key(replay_root: bytes, purpose: Purpose, app: str) -> str:
    """The pre-shared key of one app for one purpose: 64 hex digits, as a guard finds it in its environment.

    `replay_root` is HKDF(root key, "replay/v1"), 32 bytes (else ValueError); `app` is the Fly app name.
    """
    if len(replay_root) < MIN_ROOT_BYTES:
        raise ValueError(f"the replay root must have at least {MIN_ROOT_BYTES} bytes")
    return hmac.new(replay_root, f"{purpose}\n{app}".encode(), hashlib.sha256).hexdigest()


def sign(key: str, *, kid: str, app: str, host: str, port: int, now: float) -> str:
    """The signed state for one app, host and public port, good for the 60 s slot of `now` and 120 s more.

    `key` is used as its 64 characters, not as the bytes they spell. `now` is unix seconds.
    """
    if not _KID.match(kid):
        raise ValueError("a key id has 8 hex digits")
    exp = expiry(now)
    message = f"v1\n{app}\n{host}\n{port}\n{exp}".encode()
    mac = hmac.new(key.encode(), message, hashlib.sha256).digest()
    return checked(f"v1.{kid}.{exp}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")


def expiry(now: float) -> int:
    """When a state made at `now` ends: the end of its 60 s slot and 120 s more, in unix seconds."""
    return (int(now) // SLOT_S + 1) * SLOT_S + GRACE_S


def checked(state: str) -> str:
    """`state` itself when it may stand in a `fly-replay` answer; ValueError without its text otherwise."""
    if not _STATE.match(state):
        raise ValueError("a replay state has 1 to 96 characters of A-Z a-z 0-9 _ . -")
    return state


class Signer:
    """Gives the state for a replay; remembers each for its slot, at most 65,536 of them."""

    def __init__(self, *, auth: Auth, replay_root: bytes | None, kid: str) -> None:
        """`replay_root` and `kid` come from the root key and are needed unless `auth` is "none"."""
        if auth != "none" and replay_root is None:
            raise ValueError(f"router auth {auth!r} needs a root key: set RECONCILER_ROOT_KEY")
        self._auth = auth
        self._root = replay_root or b""
        self._kid = kid
        self._slot = -1
        self._states: OrderedDict[tuple[Purpose, str, str, int], str] = OrderedDict()
        self._keys: OrderedDict[tuple[Purpose, str], str] = OrderedDict()

    def __repr__(self) -> str:
        return f"Signer(auth={self._auth!r}, kid={self._kid!r})"

    def state(self, purpose: Purpose, app: str, *, host: str, port: int, now: float) -> str | None:
        """The state for this replay, or None when replays are not authenticated; `now` is unix seconds."""
        if self._auth == "none":
            return None
        if self._auth == "psk":
            return checked(self._key(purpose, app))
        slot = int(now) // SLOT_S
        if slot != self._slot:  # a new slot makes every remembered state stale at once
            self._slot = slot
            self._states.clear()
        name = (purpose, app, host, port)
        state = self._states.get(name)
        if state is None:
            state = sign(self._key(purpose, app), kid=self._kid, app=app, host=host, port=port, now=now)
            _remember(self._states, name, state)
        return state

    def _key(self, purpose: Purpose, app: str) -> str:
        name = (purpose, app)
        key = self._keys.get(name)
        if key is None:
            key = app_key(self._root, purpose, app)
            _remember(self._keys, name, key)
        return key


def _remember(memory: OrderedDict[K, str], name: K, value: str) -> None:
    if len(memory) >= MAX_REMEMBERED:
        memory.popitem(last=False)
    memory[name] = value
