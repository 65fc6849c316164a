"""Texts of documents and of Fly in a Markdown page: shown as they are, and nothing but shown.

No mark-up, link, image or mention comes of them. Layout is `markdown`'s.
"""

import re
from html import escape

from reconciler.core.problem import printable

LONGEST = 600  # of one code span: a longer text ends in …

_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_TICKS = re.compile(r"`+")
_JOINER = "\u2060"  # invisible; a name does not go on behind it


def code(text: str) -> str:
    """A code span that ends where the text does, whatever backticks are in it."""
    text = _harmless(text)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    longest = max((len(found) for found in _TICKS.findall(text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def html(text: str) -> str:
    """For the inside of an HTML block, where Markdown means nothing."""
    return escape(_harmless(text))


def _harmless(text: str) -> str:
    return _MENTION.sub(f"@{_JOINER}", printable(text))
