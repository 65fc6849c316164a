"""Takes secrets out of foreign text, also where only a part of one is quoted, or in another spelling.

Answers for texts of Fly that are about to be shown. Which values are secret says whoever sent them.
"""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

BLANK = "…"
SHORTEST_PART = 8  # characters of a secret in a row that give something away


def blanked(text: str, hidden: Iterable[str]) -> str:
    """`text` with every part of a hidden value, plain, escaped or encoded, replaced."""
    values = [value for value in hidden if value]
    if not text or not values:
        return text
    parts = {
        spelling[start : start + SHORTEST_PART]
        for value in values
        if len(value) >= SHORTEST_PART
        for spelling in _spellings(value)
        for start in range(len(spelling) - SHORTEST_PART + 1)
    }
    is_shown = [True] * len(text)
    for start in range(len(text) - SHORTEST_PART + 1):
        if text[start : start + SHORTEST_PART] in parts:
            is_shown[start : start + SHORTEST_PART] = [False] * SHORTEST_PART
    kept = "".join(
        letter if shown else (BLANK if index == 0 or is_shown[index - 1] else "")
        for index, (letter, shown) in enumerate(zip(text, is_shown, strict=True))
    )
    for value in values:
        kept = kept.replace(value, BLANK)
    return kept


def _spellings(value: str) -> Iterable[str]:
    content = value.encode("utf-8", "surrogatepass")
    escaped = json.dumps(value)[1:-1]
    yield value
    yield escaped
    yield json.dumps(escaped)[1:-1]
    yield quote(value, safe="", errors="replace")
    yield quote_plus(value, errors="replace")
    yield content.hex()
    for skipped in range(3):  # wherever in its groups of three an encoder came upon it
        yield base64.b64encode(content[skipped:]).decode().rstrip("=")[:-1]
        yield base64.urlsafe_b64encode(content[skipped:]).decode().rstrip("=")[:-1]
