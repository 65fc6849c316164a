"""What a `fly-replay` answer says: the grammar, the fields, and the `fly-replay-src` that the target sees.

Stricter than Fly where Fly's own behaviour is not published. Who may be a target is `select`'s;
sending the request there is `exchange`'s.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

JSON_FORM = b"application/vnd.fly.replay+json"
HOP_LIMIT = 10

_FIELD = re.compile(r'([a-z_]+)=(?:([A-Za-z0-9_.-]+)|"([A-Za-z0-9_.,-]+)")')
_OBEYED = frozenset(("app", "instance", "prefer_instance", "state"))
_KNOWN_TO_FLY = frozenset(("region", "elsewhere", "timeout", "fallback"))


class Malformed(ValueError):  # noqa: N818 - Fly's word
    """The header is not in the grammar: Fly's error PA03."""


class NotImitated(ValueError):  # noqa: N818 - reads as the sentence it is
    """The answer asks for something that Fly documents and localfly does not do."""

    def __init__(self, key: str) -> None:
        super().__init__(f"localfly does not imitate '{key}' in a replay; see docs/localfly.md")
        self.key = key


@dataclass(frozen=True, slots=True)
class Replay:
    """Where a request is to be sent again; a missing `app` means the app that answered."""

    app: str | None = None
    instance: str | None = None
    prefer_instance: str | None = None
    state: str | None = None


def parse(value: str) -> Replay:
    """One `fly-replay` value: `key=value` fields between semicolons, no blanks, no key twice.

    Unknown keys are ignored, as on Fly. Raises Malformed or NotImitated. Source: behaviour.md §2.2–2.3.
    """
    fields: dict[str, str] = {}
    for part in value.split(";"):
        match = _FIELD.fullmatch(part)
        if match is None or match[1] in fields:
            raise Malformed(part)
        fields[match[1]] = match[2] or match[3]
    for key in fields:
        if key in _KNOWN_TO_FLY:
            raise NotImitated(key)
    if "instance" in fields and "prefer_instance" in fields:
        raise Malformed("instance and prefer_instance exclude each other")
    return Replay(**{key: fields[key] for key in _OBEYED & fields.keys()})


def of(headers: Iterable[tuple[bytes, bytes]]) -> Replay | None:
    """The replay that an answer's headers ask for, or None for an ordinary answer (names in lower case).

    Raises Malformed or NotImitated.
    """
    found: list[bytes] = []
    for name, value in headers:
        if name == b"fly-replay":
            found.append(value)
        elif name == b"content-type" and value.split(b";")[0].strip().lower() == JSON_FORM:
            raise NotImitated(JSON_FORM.decode())
    if not found:
        return None
    if len(found) > 1:
        raise Malformed("several fly-replay headers")
    for name, _ in headers:
        if name.startswith(b"fly-replay-"):
            raise NotImitated(name.decode("latin-1"))
    return parse(found[0].decode("latin-1"))


def source(*, instance: str, region: str, micros: int, state: str | None) -> bytes:
    """The `fly-replay-src` value for the target: who replayed, from where, when, and the router's state."""
    text = f"instance={instance};region={region};t={micros}"
    return (text if state is None else f"{text};state={state}").encode("ascii")
