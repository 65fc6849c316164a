"""The YAML that we accept, and what is said about the rest."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.document import DEEPEST, Document, Lost, documents


def only(text: str) -> Document:
    ((document, problems),) = documents("a.yaml", text)
    assert [str(problem) for problem in problems] == []
    assert isinstance(document, Document)
    return document


def lines(text: str) -> list[str]:
    found = [str(problem) for _, problems in documents("a.yaml", text) for problem in problems]
    return [line.rsplit(" [", 1)[0] for line in found]  # codes stand in bad_specs.txt


MEANINGS: list[tuple[object, str]] = [
    (True, "true True TRUE"),
    (False, "false False FALSE"),
    (None, "null Null NULL ~"),
    (1, "1 +1 0x1 0o1"),
    (-12, "-12"),
    (0, "0 -0"),
    (255, "0xfF 255 0o377"),
    (1.5, "1.5 +1.5 15e-1 0.15e+1"),
    (0.5, ".5 0.5"),
    (1.0, "1. 1.0 1e0"),
]
TEXTS = "yes no on off y N 0644 007 1_000 0b11 12:30:45 2026-01-01 2026-01-01T00:00:00Z .inf .nan 1.2.3 = -a"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *((word, value) for value, words in MEANINGS for word in words.split()),
        *((word, word) for word in TEXTS.split()),
        ("", None),
        ('"1"', "1"),
        ("'true'", "true"),
        ("|-\n  1", "1"),
        (">-\n  null", "null"),
        ('"\\u00e9\\/"', "é/"),
    ],
)
def test_only_true_false_null_and_plain_numbers_are_typed(written: str, value: object) -> None:
    """YAML 1.2's core scalars are typed; `off`, `no`, dates and codes with leading zeros stay text."""
    found = only(f"a: {written}\nb: x").value["a"]
    assert (type(found), found) == (type(value), value)


def test_keys_are_text() -> None:
    """A key is its letters, as in JSON, whatever it would be as a value."""
    assert list(only("{1: a, true: b, null: c, 2026-01-01: d}").value) == ["1", "true", "null", "2026-01-01"]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [x]\n",
        "\ufeffa: 1\nb: [x]\n",
        "a: 1\r\nb: [x]\r\n",
        "a: 1\rb: [x]\r",
        "---\na: 1\nb: [x]\n...\n",
        "%YAML 1.2\n---\na: 1\nb: [x]\n",
        "# first\n---\n---\n# second\na: 1\nb: [x]\n---\n# third\n",
        '{\n\t"a": 1,\n\t"b": ["x"]\n}',
        "a:\t1\nb:\t[x]",
        "--- {a: 1, b: [x]}\n... # end\n",
    ],
)
def test_line_ends_marks_comments_and_json_do_not_matter(text: str) -> None:
    """BOM, CRLF, CR, document marks, directives, comments and JSON with tabs: the same document."""
    assert only(text).value == {"a": 1, "b": ["x"]}


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n---\n", "...\n", "\ufeff", "~", "null\n"])
def test_nothing_is_no_document(text: str) -> None:
    """An empty file is fine and says nothing."""
    assert list(documents("a.yaml", text)) == []


def test_several_documents_keep_their_places() -> None:
    """Lines are counted from the top of the file, in every document of it."""
    text = "# top\na: 1\n---\nb:\n  - c: 2\n...\n---\nd: 3\n"
    found = [document for document, _ in documents("a.yaml", text)]
    assert all(isinstance(document, Document) for document in found)
    first, second, third = (document for document in found if isinstance(document, Document))
    assert first.where == "a.yaml:2"
    assert str(second.problem(("b", 0, "c"), "here", code="c")) == "a.yaml:5:8: b[0].c: here [c]"
    assert str(second.problem(("b", 0, "c"), "here", code="c", at_key=True)) == "a.yaml:5:5: b[0].c: here [c]"
    assert str(second.problem(("b", 1, "x"), "gone", code="c")) == "a.yaml:5:3: b[1].x: gone [c]"
    assert str(third.problem(("d",), "here", code="c")) == "a.yaml:8:4: d: here [c]"


def test_a_marker_ends_a_document_even_where_a_bracket_is_open() -> None:
    """One document that cannot be parsed costs neither the one before nor the one after it."""
    found = [document for document, _ in documents("a.yaml", "a: 1\n---\nb: [\n---\nc: 3\n")]
    assert [type(document) for document in found] == [Document, Lost, Document]
    assert lines("a: 1\n---\nb: [\n---\nc: 3\n") == [
        "a.yaml:4:1: not valid YAML: did not find expected node content "
        "(while parsing a flow node that began in line 4)"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: b\n\tc: d", "a.yaml:2:1: a tab indents this line; use spaces"),
        ("a:\n  - b\n \t- c", "a.yaml:3:2: a tab indents this line; use spaces"),
        ("a: \0", "a.yaml:1:4: the character U+0000 is not accepted in YAML"),
        ("a: 1\nb: x\x1b[31m", "a.yaml:2:5: the character U+001B is not accepted in YAML"),
        ("a: \ud800", "a.yaml:1:4: the character U+D800 is not accepted in YAML"),
        ("[" * 100, f"a.yaml:1:{DEEPEST + 1}: nested more than {DEEPEST} deep"),
        ("? [a]\n: 1", "a.yaml:1:3: a key must be one word or a quoted text"),
        (
            "*a : 1",
            "a.yaml:1:1: aliases (*name) are not accepted; write the value out, in quotes if it is text",
        ),
        (
            "a: &x 1",
            "a.yaml:1:4: a: anchors (&name) are not accepted; write the value out, in quotes if it is text",
        ),
        (
            "a: !!python/object:os.system 1",
            "a.yaml:1:4: a: tags (!name) are not accepted; leave it out, or put text in quotes",
        ),
        ("a: 1\na: 2", 'a.yaml:2:1: a: the key "a" stands here twice'),
        ("{x: {a: 1, 'a': 2}}", 'a.yaml:1:12: x.a: the key "a" stands here twice'),
        ("<<: {a: 1}", 'a.yaml:1:1: ["<<"]: merge keys (<<) are not accepted; write the fields out'),
        (
            "a: " + "9" * 5000,
            "a.yaml:1:4: a: the number is too large; if it is text, put it in quotes",
        ),
    ],
)
def test_what_is_not_accepted_is_said_with_its_place(text: str, line: str) -> None:
    """Tabs, control characters, anchors, aliases, tags, merge keys and keys twice: one line each."""
    assert lines(text) == [line]


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    """Nine levels of nine aliases are nine problems a level, not a billion values."""
    bomb = "a: &a [x]\n" + "".join(
        f"{here}: &{here} [{', '.join(f'*{before}' for _ in range(9))}]\n"
        for before, here in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert len(lines(bomb)) == 9 + 8 * 9


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)  # NUL is refused anywhere
KEYS = st.text("abc<&*!é 1", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdé", min_size=1, max_size=4), JSON, min_size=1, max_size=4))
def test_json_is_read_as_json(value: dict[str, object]) -> None:
    """Every JSON document is YAML that means the same; what Fly's docs show can be pasted."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if not re.search("[^\\x20-\\x7e\\n\\xa0-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd]|[\\u2028\\u2029]", text):
        assert only(text).value == value


@given(st.text(st.sampled_from("ab:-[]{}#&*!|>'\"%@`,? \n\t\r\0\x85\u2028\ufeff~.0e1<"), max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    """Any text gives documents, problems or both, each problem on one line with a place."""
    for document, problems in documents("a.yaml", text):
        assert isinstance(document, Document) or problems
        for problem in problems:
            assert re.match(r"a\.yaml:[0-9]+:[0-9]+: \S", str(problem))
            assert str(problem).isprintable()
