"""Which independent clients ran and how much of the API each drove, for the line at the end of a test run."""

import pytest

RAN = pytest.StashKey[dict[str, str]]()


def note(config: pytest.Config, client: str, said: str) -> None:
    """Keep what the closing line says about one client."""
    config.stash.setdefault(RAN, {})[client] = said


def line(config: pytest.Config) -> str | None:
    """The closing line; none when no client was meant to run."""
    said = config.stash.get(RAN, {})
    if not said:
        return None
    if "fly-go" not in said:
        said = {**said, "fly-go": "fly-go not run (no Go 1.24 or newer here)"}
    return "clients: " + ", ".join(said.values())
