"""A secret's value shows itself only when asked."""

import copy
import json
import logging
import pickle
from dataclasses import dataclass

import pytest

from reconciler.core.secret import SecretText

VALUE = "sk-live-canary"


@dataclass(frozen=True, slots=True)
class Holder:
    name: str
    secret: SecretText


@pytest.mark.parametrize(
    "shown",
    [
        str(SecretText(VALUE)),
        repr(SecretText(VALUE)),
        f"{SecretText(VALUE)} {SecretText(VALUE):>40} {SecretText(VALUE)!r} {SecretText(VALUE)!s}",
        "{}".format(SecretText(VALUE)),  # noqa: UP032 (the other way of formatting is meant)
        "%s %r" % (SecretText(VALUE), SecretText(VALUE)),  # noqa: UP031 (this one too)
        repr(Holder("A", SecretText(VALUE))),
        repr({"A": SecretText(VALUE), "B": [SecretText(VALUE)]}),
        logging.Formatter().format(logging.LogRecord("", 0, "", 0, "%s", (SecretText(VALUE),), None)),
        json.dumps({"A": SecretText(VALUE)}, default=str),
        str(dir(SecretText(VALUE))),
    ],
)
def test_no_way_of_showing_it_shows_it(shown: str) -> None:
    """repr, str, format, %, containers, logging and JSON with a default: none has the value."""
    assert VALUE not in shown


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars, hash])
def test_it_cannot_be_carried_off(take: object) -> None:
    """Pickling, copying, plain JSON, its variables and its hash are errors that do not name the value."""
    assert callable(take)
    with pytest.raises(TypeError) as error:
        take(SecretText(VALUE))
    assert VALUE not in str(error.value)


def test_it_is_there_when_asked() -> None:
    """`reveal()` gives the text; two of the same text are equal, and never equal to the text itself."""
    assert SecretText(VALUE).reveal() == VALUE
    assert SecretText(VALUE) == SecretText(VALUE)
    assert SecretText(VALUE) != SecretText("other")
    assert SecretText(VALUE) != VALUE
