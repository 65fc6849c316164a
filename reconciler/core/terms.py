"""On what terms a plan may take something away from one app."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What stands beside document and reading when something is to be destroyed."""

    now: float  # unix seconds
    protected: bool  # nothing is destroyed at all
    approved: frozenset[str]  # ids of volumes whose loss somebody approved
    stuck: Mapping[str, str]  # machine id → why an update of it cannot succeed where it is
