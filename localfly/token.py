"""Tokens of the Machines API: what each may do, and the making of narrower ones.

Answers for scopes and for telling a minted token from a forged or expired one: it carries its scope, signed,
so it holds as long as the tokens that localfly was started with. Refusing is the API's.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

PREFIX = "localfly_"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token may do; None is no limit. A deploy token has `app`, by id: the name may go to another."""

    orgs: Collection[str] | None = None
    app: str | None = None
    machine: str | None = None
    is_read_only: bool = False
    expires_at: float | None = None  # unix seconds

    @property
    def is_unlimited(self) -> bool:
        """Whether it may do everything, also look into the world from outside."""
        return self == EVERYTHING


EVERYTHING = Scope()


class Tokens:
    """The tokens that the API takes: those given, for ever, and those minted from them."""

    def __init__(self, given: Mapping[str, Collection[str] | None], clock: Callable[[], float]) -> None:
        """`given` maps each token to the organisations it may act in (None: all)."""
        if not given or not all(given):
            raise ValueError("an empty token would let everybody in; give localfly a token that is not empty")
        self._given = {bare(token).encode(): Scope(orgs=orgs) for token, orgs in given.items()}
        self._clock = clock
        self._key = hashlib.sha256(b"localfly minted tokens\n" + "\n".join(sorted(given)).encode()).digest()

    def scope(self, token: str) -> Scope | None:
        """What it may do; None for a token that is unknown, forged or expired. Of a list the first known.

        Fly's own tokens are lists too, so the whole is looked up before its parts.
        """
        for each in (bare(token), *bare(token).split(",")):
            found = self._scope(each.strip())
            if found is not None:
                return found
        return None

    def mint(self, scope: Scope) -> str:
        """A token of that scope."""
        claims = {
            "orgs": None if scope.orgs is None else sorted(scope.orgs),
            "app": scope.app,
            "machine": scope.machine,
            "is_read_only": scope.is_read_only,
            "expires_at": scope.expires_at,
        }
        body = base64.urlsafe_b64encode(json.dumps(claims).encode())
        return f"{PREFIX}{body.decode()}.{self._mac(body)}"

    def _scope(self, token: str) -> Scope | None:
        found = None
        for known, scope in self._given.items():
            if hmac.compare_digest(known, token.encode()):
                found = scope
        return found or self._minted(token)

    def _minted(self, token: str) -> Scope | None:
        body, _, mac = token.removeprefix(PREFIX).encode().rpartition(b".")
        if not token.startswith(PREFIX) or not hmac.compare_digest(self._mac(body).encode(), mac):
            return None
        try:
            claims = json.loads(base64.urlsafe_b64decode(body))
        except (ValueError, binascii.Error):
            return None
        scope = Scope(**claims)
        is_over = scope.expires_at is not None and scope.expires_at <= self._clock()
        return None if is_over else scope

    def _mac(self, body: bytes) -> str:
        return hmac.new(self._key, body, hashlib.sha256).hexdigest()[:32]


def bare(token: str) -> str:
    """The token without the scheme that Fly's command line prints before it."""
    return token.strip().removeprefix("FlyV1 ").strip()
