"""The helpers that wire tests lean on must themselves be able to fail."""

import signal

import pytest

from tests import wire


@pytest.mark.wire
async def test_a_program_that_ends_before_it_is_ready_is_reported_with_its_words() -> None:
    """Waiting for a line ends at once, with the program's last words, when the program is gone."""
    async with wire.started(wire.PYTHON, "-c", "import sys; sys.exit('no such door')") as program:
        with pytest.raises(AssertionError, match=r"ended with 1.*\n(.*\n)*no such door"):
            await program.said("ready", within_s=30)


@pytest.mark.wire
async def test_a_program_and_its_children_end_with_the_block() -> None:
    """A child that ignores SIGTERM does not outlive the block that started its parent."""
    child = "import signal; signal.signal(15, 1); print('child', flush=True); signal.pause()"
    parent = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {child!r}])"
    async with wire.started(wire.PYTHON, "-c", parent) as program:
        await program.said("^child$")
        children = wire.family(program.pid)
        assert len(children) == 1
    await wire.until(lambda: not wire.living(children), what="the child is gone")
    assert program.process.returncode == -signal.SIGTERM


@pytest.mark.wire
async def test_polling_gives_up_at_its_deadline_and_shows_the_last_answer() -> None:
    """A condition that never holds fails with what it last was."""
    with pytest.raises(AssertionError, match=r"three apples: not within 0.1 s; the last answer was \[\]"):
        await wire.until(list, within_s=0.1, what="three apples")


@pytest.mark.wire
async def test_programs_do_not_see_the_tokens_of_the_person_who_tests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment of a started program holds nothing of Fly's from the caller."""
    monkeypatch.setenv("FLY_API_TOKEN", "a-real-one")
    told = await wire.finished(wire.PYTHON, "-c", "import os; print(os.environ.get('FLY_API_TOKEN'))")
    assert (told.code, told.out) == (0, "None\n")
