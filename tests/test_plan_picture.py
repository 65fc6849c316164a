"""The picture of a plan in the docs is what the program shows."""

from tests.plan_picture import PICTURE, draw


async def test_the_picture_in_the_docs_is_a_plan_as_it_is_shown_now() -> None:
    """Draw it again with `python -m tests.plan_picture` when a plan looks different."""
    drawn = await draw()
    assert drawn == PICTURE.read_text("utf-8")
    assert "http://" not in drawn.replace("http://www.w3.org/2000/svg", "")
