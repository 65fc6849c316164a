"""The JSON form of a replay: the same fields, a transform, and what the cache is to keep.

Answers for the document's shape; an unknown member is malformed here, where Fly's handling is not published.
What the fields mean is `replay`'s.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, ValidationError

from localfly.proxy.replay import SHORTEST_TTL_S, CacheWish, Malformed, Replay, from_fields
from localfly.proxy.transform import Transform

CONTENT_TYPE = b"application/vnd.fly.replay+json"
SIZE_LIMIT = 64 * 1024  # bytes of the document; Fly's limit is not published

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
Value = Annotated[str, Field(pattern=r"^([!-~]([ -~]*[!-~])?)?$")]  # what h11 lets into a header
Target = Annotated[str, Field(pattern=r"^/[!-~]*$")]
LIMIT = Field(lt=10**9, allow_inf_nan=False)  # seconds


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Pair(_Part):
    name: Name
    value: Value


class _Transform(_Part):
    path: Target | None = None
    delete_headers: list[Name] = []
    set_headers: list[_Pair] = []


class _Cache(_Part):
    prefix: str | None = None
    ttl: Annotated[StrictInt, LIMIT] | Annotated[StrictFloat, LIMIT] | None = None
    invalidate: StrictBool = False
    allow_bypass: StrictBool = False


class _Document(_Part):
    app: str | None = None
    region: str | None = None
    instance: str | None = None
    prefer_instance: str | None = None
    state: str | None = None
    elsewhere: StrictBool = False
    timeout: str | None = None
    fallback: str | None = None
    transform: _Transform | None = None
    cache: _Cache | None = None
    allow_bypass: StrictBool = False


def is_json(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether an answer's content type is that of a replay (names in lower case)."""
    types = (value for name, value in headers if name == b"content-type")
    return any(value.split(b";")[0].strip().lower() == CONTENT_TYPE for value in types)


def parse(body: bytes) -> Replay:
    """The replay of a document; raises Malformed. Source: behaviour.md §2.4."""
    try:
        document = _Document.model_validate_json(body)
    except ValidationError as error:
        where = ".".join(str(step) for step in error.errors()[0]["loc"])
        raise Malformed(f"{where or 'the document'}: {error.errors()[0]['msg']}") from None
    given: dict[str, Any] = document.model_dump(
        exclude_none=True, exclude={"transform", "cache", "allow_bypass"}
    )
    if given.pop("elsewhere"):
        given["elsewhere"] = "true"
    return from_fields(given, transform=_transform(document.transform), cache=_cache_wish(document))


def _transform(asked: _Transform | None) -> Transform | None:
    if asked is None:
        return None
    return Transform(
        target=asked.path.encode() if asked.path else None,
        delete=tuple(name.lower().encode() for name in asked.delete_headers),
        put=tuple((pair.name.lower().encode(), pair.value.encode()) for pair in asked.set_headers),
    )


def _cache_wish(document: _Document) -> CacheWish | None:
    asked = document.cache
    if asked is None:
        return CacheWish(flaw="allow_bypass without cache") if document.allow_bypass else None
    if asked.invalidate:
        return CacheWish(invalidates=True)
    if asked.ttl is None or asked.ttl < SHORTEST_TTL_S:
        return CacheWish(flaw=f"cache.ttl is not {SHORTEST_TTL_S} seconds or more")
    if asked.allow_bypass != document.allow_bypass:  # where Fly looks for it is not published
        return CacheWish(flaw="allow_bypass is not both in cache and beside it")
    return CacheWish(asked.prefix or "", float(asked.ttl), allows_bypass=asked.allow_bypass)
