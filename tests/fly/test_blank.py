"""Foreign text loses whatever gives a secret away, in any spelling, and keeps the rest."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

import pytest

from reconciler.fly.blank import blanked

VALUE = 'sk-live "7f3a\\9c"\nand + more é'


@pytest.mark.parametrize(
    "quoted",
    [
        VALUE,
        json.dumps({"values": {"A": VALUE}}),
        json.dumps(json.dumps({"values": {"A": VALUE}})),
        quote(VALUE),
        VALUE.encode().hex(),
        base64.b64encode(f'{{"A":"{VALUE}"}}'.encode()).decode(),
        base64.b64encode(f'{{"AB":"{VALUE}"}}'.encode()).decode(),
        base64.b64encode(f'{{"ABC":"{VALUE}"}}'.encode()).decode(),
        VALUE[:12],
        VALUE[-12:],
    ],
    ids=["plain", "JSON", "JSON in JSON", "URL", "hex", "base64", "base64+1", "base64+2", "begin", "end"],
)
def test_no_part_of_a_value_survives(quoted: str) -> None:
    """Fly may quote the request, whole or cut, as it came or encoded."""
    text = blanked(f"cannot take {quoted} for app acme-alice", [VALUE, "another-one"])
    assert text.startswith("cannot take ")
    assert text.endswith(" for app acme-alice")
    assert "…" in text
    decoded = [text, *_decoded(text.removeprefix("cannot take ").removesuffix(" for app acme-alice"))]
    assert not any(VALUE[at : at + 8] in each for each in decoded for at in range(len(VALUE) - 7))


def _decoded(kept: str) -> Iterator[str]:
    """What a curious reader could make of the pieces that are left."""
    for piece in kept.split("…"):
        yield unquote(piece)
        for drop in range(4):
            cut = re.sub(r"[^A-Za-z0-9+/]", "", piece)[drop:]
            yield base64.b64decode(cut[: len(cut) // 4 * 4], validate=False).decode("utf-8", "replace")
        if not piece.strip("0123456789abcdef"):
            yield bytes.fromhex(piece[: len(piece) // 2 * 2]).decode("utf-8", "replace")


def test_short_values_are_blanked_whole_and_other_text_stays() -> None:
    """What has fewer than eight characters counts only as a whole."""
    assert blanked("the PIN is 4711, not 471", ["4711"]) == "the PIN is …, not 471"
    assert blanked("nothing to hide", ["", "4711"]) == "nothing to hide"
    assert blanked("", [VALUE]) == ""
