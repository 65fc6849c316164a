"""App names that outsiders can guess: they are global on Fly, so anybody may take one first."""

import re

from reconciler.core.problem import quote

SHORTEST_TOKEN = 6


def predictable(pattern: str, installation: str) -> str | None:
    """Words for a fleet whose apps' names hold nothing that outsiders cannot guess."""
    tokens = re.split(r"[^a-z0-9]+", pattern.replace("{name}", "-"))
    if installation in tokens or any(map(_is_unguessable, tokens)):
        return None
    return (
        f"whoever knows a user's name can guess the app's, and take it on Fly first; "
        f"expected an unguessable part, such as the installation: {quote(_suggested(pattern, installation))}"
    )


def _is_unguessable(token: str) -> bool:
    return len(token) >= SHORTEST_TOKEN and not token.isalpha() and not token.isdigit()


def _suggested(pattern: str, installation: str) -> str:
    return pattern.replace("{name}", f"{installation}-{{name}}")
