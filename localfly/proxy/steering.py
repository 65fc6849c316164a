"""Request headers by which a client chooses the region or machine, and what they mean for the choice.

Answers for reading them; any outsider may send them. Following them is `reach`'s.
"""

from dataclasses import dataclass

from localfly.proxy.header import Headers
from localfly.proxy.region import ANYWHERE


@dataclass(frozen=True, slots=True)
class Steering:
    """What a client asked for; regions are codes and aliases in order of preference."""

    regions: tuple[str, ...] = ()
    instance: str | None = None
    prefer_instance: str | None = None


NOWHERE = Steering()


def of(headers: Headers) -> Steering:
    """The steering in a request's headers; forcing goes before preferring. Source: behaviour.md §1.3."""
    forced, preferred = (_words(headers, name) for name in (b"fly-force-region", b"fly-prefer-region"))
    regions = forced or ((*preferred, ANYWHERE) if preferred else ())
    return Steering(
        regions=regions,
        instance=_one(headers, b"fly-force-instance-id"),
        prefer_instance=_one(headers, b"fly-prefer-instance-id"),
    )


def _words(headers: Headers, name: bytes) -> tuple[str, ...]:
    words = (_one(headers, name) or "").split(",")
    return tuple(word.strip() for word in words if word.strip())


def _one(headers: Headers, name: bytes) -> str | None:
    """Its values in printable ASCII, the rest escaped: an outsider's words end in logs."""
    value = b",".join(value for found, value in headers if found == name).strip()
    return value.decode("latin-1").encode("unicode_escape").decode("ascii") or None
