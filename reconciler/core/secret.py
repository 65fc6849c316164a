"""A secret's value, in a type that does not give it away.

Answers for never showing it. Where values come from is `reconciler.secret_source`'s.
"""

from hmac import compare_digest
from typing import NoReturn

HIDDEN = "SecretText(***)"


class SecretText:
    """Text that is shown by `reveal()` and by nothing else: no repr, format, pickle, copy or JSON has it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself; call this only where it is sent to Fly or digested."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash would let a value be guessed from a set or a log

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")
