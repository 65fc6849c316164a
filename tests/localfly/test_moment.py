"""Durations and moments as Go and Fly write them."""

import pytest

from localfly.moment import duration_ns, duration_text, parse_rfc3339, rfc3339


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (250_000_000, "250ms"),
        (15 * 10**9, "15s"),
        (90_500_000_000, "1m30.5s"),
        (3_600 * 10**9, "1h0m0s"),
        (-(2 * 10**9), "-2s"),
    ],
)
def test_a_duration_prints_as_in_go_and_reads_back(ns: int, text: str) -> None:
    assert duration_text(ns) == text
    assert duration_ns(text) == ns


@pytest.mark.parametrize("value", ["", "15", "s", "1 s", "1d", "--1s", True, None, 1.5, "1s1"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration_ns(value)


def test_a_moment_reads_back_and_needs_a_zone() -> None:
    assert rfc3339(1_780_000_000.9) == "2026-05-28T20:26:40Z"
    assert parse_rfc3339("2026-05-28T22:26:40+02:00") == 1_780_000_000
    with pytest.raises(ValueError, match="no time zone"):
        parse_rfc3339("2026-05-28T20:26:40")


@pytest.mark.parametrize("value", ["9" * 400 + "h", "2562048h", 2**63, "9223372036s" * 2])
def test_a_duration_that_go_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="longer than a duration can be"):
        duration_ns(value)
