"""Moments as people write them and as Fly does."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import moment

SECONDS = st.integers(0, 253_402_300_799)  # until the year 9999


@given(SECONDS)
def test_a_moment_is_shown_as_the_calendar_has_it(unix_s: int) -> None:
    expected = datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert moment.shown(unix_s) == expected


@given(SECONDS)
def test_what_fly_writes_is_read_back(unix_s: int) -> None:
    assert moment.parse(datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456Z")) == unix_s


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00+02:00", "2026-01-01T00:00:00"]
)
def test_a_moment_written_another_way_is_not_guessed(text: str) -> None:
    assert moment.parse(text) is None
