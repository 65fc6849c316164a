"""A secret's value, in a type that does not give it away.

Answers for never showing it, and for what no value can be. Where values come from is
`reconciler.secret_source`'s.
"""

from hmac import compare_digest
from typing import NoReturn

HIDDEN = "SecretText(***)"
LARGEST_BYTES = 64 * 1024


def fault_in(value: str) -> str:
    """Why `value` cannot be a secret's, as the end of a sentence that does not hold it; "" when it can."""
    if not value:
        return "is empty"
    if "\0" in value:
        return "holds a NUL byte, which no environment variable can carry"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:  # whose text would show a part; Python reads other bytes as half characters
        return "is not UTF-8 text"
    return f"is larger than {LARGEST_BYTES} bytes" if size > LARGEST_BYTES else ""


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
