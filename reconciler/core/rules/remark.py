"""What a rule has to say about a machine config."""

from dataclasses import dataclass

from reconciler.core.problem import Severity


@dataclass(frozen=True, slots=True)
class Remark:
    path: tuple[str | int, ...]  # within the config
    message: str
    code: str
    severity: Severity = "error"
