"""How many points the matrices of crashes and faults covered, for the line at the end of a test run."""

import pytest

COVERED = pytest.StashKey[dict[str, int]]()


def count(config: pytest.Config, what: str, points: int) -> None:
    """Add points that ended as they should."""
    covered = config.stash.setdefault(COVERED, {})
    covered[what] = covered.get(what, 0) + points


def line(config: pytest.Config) -> str | None:
    """The closing line; none when no matrix ran."""
    covered = config.stash.get(COVERED, {})
    if not covered:
        return None
    return "matrices: " + ", ".join(f"{points} {what}" for what, points in sorted(covered.items()))
