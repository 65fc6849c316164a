"""What is shown while a rollout goes on: a live line on a terminal, a line a user elsewhere."""

import io

from reconciler.report.progress import watching


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_each_user_is_a_line_when_done() -> None:
    """Counted, with how it ended and how long it took; nothing is drawn."""
    out = io.StringIO()
    with watching(3, out, lambda: 7) as watcher:
        watcher.begun("alice")
        watcher.begun("bob")
        watcher.begun("carol")
        watcher.ended("bob", "no room")
        watcher.ended("alice", None)
        watcher.ended("carol", None, "Stalled")
    assert out.getvalue() == (
        "1/3 bob: failed in 0.0 s\n2/3 alice: done in 0.0 s\n3/3 carol: held, Stalled, in 0.0 s\n"
    )


def test_a_terminal_shows_what_runs_waits_and_failed_and_is_clean_afterwards() -> None:
    """Done of all, failures, calls that wait for limits, in one line; then the line is gone."""
    out = Terminal()
    with watching(9, out, lambda: 4) as watcher:
        for name in ("alice", "bob", "carol", "dave", "eve"):
            watcher.begun(name)
        watcher.ended("alice", None)
        watcher.ended("bob", "no room")
    shown = out.getvalue()
    for told in ("2/9", "1 failed, 4 calls waiting for limits"):
        assert told in shown
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")
    assert shown.endswith("\x1b[2K")
