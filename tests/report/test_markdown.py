"""A plan as a comment: within what GitHub takes, nothing cut in silence, texts shown and no more."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.core.hold import Hold
from reconciler.core.plan import AppPlan
from reconciler.report.escape import code, html
from reconciler.report.markdown import LIMIT, ROOM, plan_markdown
from tests.report.fleet import CANARY, creating, losing, many, survey_of, updating

RENDERER = MarkdownIt("commonmark", {"html": True})
MENTION = re.compile(r"(?<!\w)@\w")


def holding(name: str, reason: str = "NameTaken", message: str = "it is taken; choose another") -> AppPlan:
    return AppPlan(name=name, app_name=f"acme-{name}", holds=(Hold("", reason, message),))


def test_a_plan_of_ten_thousand_users_fits_into_one_comment() -> None:
    """Summary, lost volumes and holds stand; the groups collapse; who is not named is counted."""
    names = [f"a-user-with-quite-a-long-name-{number:05}" for number in range(10_000)]
    apps = [updating(name) for name in names] + [losing("zoe"), holding("yan")]
    page = plan_markdown(survey_of(*apps))
    assert len(page) <= ROOM < LIMIT
    assert page.startswith("### Plan: 10,002 user apps: ")
    assert "DATA LOSS  zoe" in page
    assert "NameTaken" in page
    assert "10,000× <code>web: image …1a1a1a1a1a1a → …2b2b2b2b2b2b [restart]</code>" in page
    shown = sum(name in page for name in names)
    assert shown > 1_000
    assert f"and {10_000 - shown:,} more, for which there is no room here" in page


def test_groups_that_do_not_fit_are_counted_with_their_users() -> None:
    """Ten thousand different changes: as many as there is room for, and how many there was none for."""
    apps = [updating(f"user-{number}", f"guest.memory_mb: 256 → {number}") for number in range(10_000)]
    page = plan_markdown(survey_of(*apps))
    assert len(page) <= ROOM
    shown = page.count("<details>")
    assert (
        f"and {10_000 - shown:,} groups more ({10_000 - shown:,} users, {10_000 - shown:,} actions)" in page
    )


def test_lost_volumes_beyond_the_room_are_counted_and_holds_still_stand() -> None:
    """Even a plan that would lose thousands of volumes says so, how many, and what is held."""
    apps = [losing(f"user-{number}") for number in range(5_000)] + [holding("yan")]
    page = plan_markdown(survey_of(*apps))
    assert len(page) <= ROOM
    shown = page.count("DATA LOSS")
    assert f"- and {5_000 - shown:,} lost volumes more, for which there is no room here" in page
    assert "NameTaken" in page


@pytest.mark.parametrize("room", [600, 1_000, 2_500, 10_000])
def test_it_keeps_to_any_room(room: int) -> None:
    """However little there is, the page is no longer, its summary stands and its blocks are closed."""
    apps = [*many(40), *(creating(f"new-{n}") for n in range(9)), losing("zoe"), holding("yan")]
    page = plan_markdown(survey_of(*apps), room=room)
    assert len(page) <= room
    assert page.startswith("### Plan: 51 user apps")
    assert page.count("<details>") == page.count("</details>")


def test_a_small_plan_is_whole() -> None:
    """Each step, each user, each value in full: nothing is left out where there is room."""
    page = plan_markdown(survey_of(creating("alice"), updating("bob"), updating("carol")))
    assert "for which there is no room" not in page
    for told in ("create-volume web_data_0 [create]: web-0 never had a volume", "bob, carol", "1a" * 32):
        assert told in page
    assert CANARY not in page


EVIL = (
    "x</details><img src=y onerror=z>\n## heading\n![i](http://h) `code` ``two`` **b** @team #1 "
    "[l](http://l) |"
)


def test_texts_of_documents_are_shown_and_nothing_but_shown() -> None:
    """Mark-up, tags, links and mentions in a message or a field come out as their own letters."""
    apps = [
        holding("yan", message=EVIL),
        updating("bob", f"guest.{EVIL}: a → {EVIL}"),
        holding("zoe", "Other", EVIL),
    ]
    page = plan_markdown(replace(survey_of(*apps), missing_secrets=(("KEY", EVIL),)))
    rendered = RENDERER.render(page)
    assert "<img" not in rendered
    assert "<h2" not in rendered
    assert "<a " not in rendered
    assert "<strong>b" not in rendered
    assert rendered.count("<details>") == rendered.count("</details>") == 1
    assert not MENTION.search(page)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_is_one_code_span_that_shows_it(text: str) -> None:
    """Whatever it holds, a span ends where the text does and shows its letters; no mention comes of it."""
    rendered = RENDERER.render(f"- {code(f'<{text}>')} end\n")
    assert rendered.startswith("<ul>\n<li><code>&lt;")
    assert rendered.endswith("&gt;</code> end</li>\n</ul>\n")
    assert not MENTION.search(code(text) + html(text))
    assert "<" not in html(text)


def test_a_block_has_no_blank_line_inside() -> None:
    """A blank line would end the HTML block, and what follows would be taken for Markdown."""
    page = plan_markdown(survey_of(creating("alice"), updating("bob")))
    for block in re.findall(r"<details>.*?</details>", page, re.DOTALL):
        assert "\n\n" not in block


def test_nothing_to_do_is_said() -> None:
    """A converged fleet gets a comment as well."""
    assert (
        plan_markdown(survey_of(in_sync=3)) == "### Plan: 3 user apps: 3 as documented, nothing to change\n"
    )
