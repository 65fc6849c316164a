"""The fuzzer of specs finds nothing in a short run, and would find what it is there for."""

from random import Random

from reconciler.core.spec import load
from tests.core.fuzz_seeds import seeds
from tests.core.fuzz_specs import Input, check, run, state

INPUTS = 1000
SEED = 20261122


def test_no_changed_spec_crashes_hangs_or_is_accepted_and_ignored() -> None:
    """Every input ends in problems or in another wanted state; for more: python -m tests.core.fuzz_specs."""
    tally = run(INPUTS, Random(SEED))  # noqa: S311 (to be had again)
    assert not tally.faults, "\n".join(tally.faults)
    assert len(tally.by_kind) == 7


def test_what_is_accepted_and_changes_nothing_counts_as_a_fault() -> None:
    """The judgement itself, of unchanged files that should have been refused or have changed something."""
    files = seeds()[0]
    before = state(load(files))
    assert check(Input(files, "", must_tell=False, must_complain=False), before) == ""
    assert (
        check(Input(files, "", must_tell=True, must_complain=False), before) == "accepted, and then ignored"
    )
    assert check(Input(files, "", must_tell=True, must_complain=True), before) == "accepted"
