"""The header form of a replay: `fly-replay: app=…;state=…` and the `fly-replay-cache*` headers beside it.

Answers for the grammar alone. What the fields mean is `replay`'s.
"""

import re
from dataclasses import replace

from localfly.proxy.header import Headers
from localfly.proxy.replay import (
    FIELDS,
    SHORTEST_TTL_S,
    CacheWish,
    Malformed,
    NotImitated,
    Replay,
    from_fields,
)

_FIELD = re.compile(r'([a-z_]+)=(?:([A-Za-z0-9_.-]+)|"([A-Za-z0-9_.,-]+)")')
_PATTERN, _TTL, _BYPASS = (f"fly-replay-cache{end}".encode() for end in ("", "-ttl-secs", "-allow-bypass"))


def read(headers: Headers) -> Replay | None:
    """The replay that an answer's headers ask for, or None for an ordinary answer (names in lower case).

    Raises Malformed or NotImitated.
    """
    found = [value for name, value in headers if name == b"fly-replay"]
    if not found:
        return None
    if len(found) > 1:
        raise Malformed("several fly-replay headers")
    for name, _ in headers:
        if name.startswith(b"fly-replay-") and name not in (_PATTERN, _TTL, _BYPASS):
            raise NotImitated(name.decode("latin-1"))
    return replace(parse(found[0].decode("latin-1")), cache=_cache_wish(headers))


def parse(value: str) -> Replay:
    """One `fly-replay` value: `key=value` fields between semicolons, no blanks, no key twice.

    Unknown keys are ignored, as on Fly. Raises Malformed. Source: behaviour.md §2.2.
    """
    fields: dict[str, str] = {}
    for part in value.split(";"):
        match = _FIELD.fullmatch(part)
        if match is None or match[1] in fields:
            raise Malformed(part)
        fields[match[1]] = match[2] or match[3]
    return from_fields({key: text for key, text in fields.items() if key in FIELDS})


def _cache_wish(headers: Headers) -> CacheWish | None:
    given = [(name, value.decode("latin-1")) for name, value in headers if name in (_PATTERN, _TTL, _BYPASS)]
    if not given:
        return None
    wish = dict(given)
    if wish.get(_PATTERN) == "invalidate":
        return CacheWish(invalidates=True)
    ttl, bypass = wish.get(_TTL, ""), wish.get(_BYPASS)
    if len(wish) < len(given):
        flaw: str | None = "a fly-replay-cache header is there twice"
    elif not re.fullmatch(r"[0-9]{1,9}", ttl) or int(ttl) < SHORTEST_TTL_S:
        flaw = f"fly-replay-cache-ttl-secs is not {SHORTEST_TTL_S} seconds or more"
    else:
        flaw = None if bypass in (None, "yes") else "fly-replay-cache-allow-bypass is not 'yes'"
    if flaw:
        return CacheWish(flaw=flaw)
    return CacheWish(wish.get(_PATTERN, ""), float(ttl), allows_bypass=bypass == "yes")
