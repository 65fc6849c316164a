"""Laws of what a router may write: nothing in it makes the proxy stumble; a pattern covers its paths."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localfly.proxy import cache_key, replay_header, replay_json
from localfly.proxy.cache_key import DEEPEST, Place
from localfly.proxy.replay import Malformed, Replay

NAMES = ("app", "region", "instance", "prefer_instance", "state", "elsewhere", "timeout", "fallback", "cache")
PARTS = st.lists(st.text("abc.-~%", min_size=1, max_size=5), min_size=1, max_size=DEEPEST)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*NAMES, "ttl", "prefix", "path")), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.text(max_size=60) | st.lists(st.sampled_from([*NAMES, "=", ";", '"', "a", "1s", ","])).map("".join))
def test_a_header_is_a_replay_or_malformed(value: str) -> None:
    """Whatever stands there, there is no third outcome."""
    try:
        found = replay_header.parse(value)
    except Malformed:
        return
    assert isinstance(found, Replay)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_document_is_a_replay_or_malformed(body: bytes) -> None:
    """Whatever stands in it, there is no third outcome, and a time to live is always a moment that comes."""
    try:
        found = replay_json.parse(body)
    except Malformed:
        return
    assert found.cache is None or found.cache.ttl_s < float("inf")


@pytest.mark.parametrize(
    "ttl", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"true", b'"60"', b"1" + b"0" * 400]
)
def test_a_time_to_live_is_a_number_that_ends(ttl: bytes) -> None:
    """What JSON parsers let pass beyond numbers is malformed."""
    with pytest.raises(Malformed):
        replay_json.parse(b'{"app": "a", "cache": {"prefix": "/", "ttl": ' + ttl + b"}}")


@example(["a"] * DEEPEST, "", True)
@given(PARTS, st.text("/ab", max_size=6), st.booleans())
def test_a_pattern_covers_its_path_and_what_is_below_and_nothing_beside(
    parts: list[str], below: str, has_star: bool
) -> None:
    """`/a/b` covers `/a/b` and `/a/b/…`, not `/a/bc` and not `/a`; `/*` at its end changes nothing."""
    path = "/" + "/".join(parts)
    prefix = cache_key.parse(path + "/*" * has_star)
    assert prefix is not None

    def covers(asked: str) -> bool:
        return prefix.covers(Place("router", 443, "x.example", asked))

    assert covers(path)
    assert covers(f"{path}/{below}")
    assert not covers(f"{path}x")
    assert not covers(path.rpartition("/")[0] or "/")
