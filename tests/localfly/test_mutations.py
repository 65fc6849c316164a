"""The list of mutations: whole, and true of the code as it is. Trying them is `tests.localfly.mutate`'s."""

from tests.localfly.mutate import ROOT
from tests.localfly.mutations import MUTATIONS


def test_each_of_the_43_rows_has_a_mutation_and_each_applies_in_one_place() -> None:
    """A change of the code that a mutation no longer fits changes the mutation too."""
    assert {one.row for one in MUTATIONS} == set(range(1, 44))
    assert len(set(MUTATIONS)) == len(MUTATIONS)
    lost = [one for one in MUTATIONS if (ROOT / one.file).read_text("utf-8").count(one.old) != 1]
    assert lost == []
