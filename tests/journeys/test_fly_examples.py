"""Machine configs as Fly's documentation shows them, retyped as specs: they hold, apply, and plan empty."""

from pathlib import Path

import jsonschema
import pytest

from reconciler.core.desired import resolve
from reconciler.core.document import Document, documents
from reconciler.core.spec import Unreadable, load
from reconciler.writing.schema import schema
from tests.localfly.inprocess import laptop
from tests.stage import FLEET, Line, Stage

HERE = Path(__file__).resolve().parent / "fly_examples"
APPLIED = sorted(HERE.glob("*.yaml"))
CHECKED_ONLY = sorted((HERE / "checked_only").glob("*.yaml"))  # localfly refuses what it does not imitate
SCHEMA = jsonschema.Draft7Validator(schema())

USER = """
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {name: alice}
spec:
  machines: [{name: web, template: studio, count: 2}]
"""


def fleet_with(path: Path) -> dict[str, str | Unreadable]:
    """A fleet of one user whose machines are made as the example says."""
    return {"fleet.yaml": FLEET, path.name: path.read_text("utf-8"), "alice.yaml": USER}


def test_there_are_ten_and_the_guides_own() -> None:
    """Each says which page of Fly's it is from."""
    assert len(APPLIED) >= 11
    assert all(path.read_text("utf-8").startswith("# Fly docs: ") for path in (*APPLIED, *CHECKED_ONLY))


@pytest.mark.parametrize("path", [*APPLIED, *CHECKED_ONLY], ids=lambda path: path.stem)
def test_an_example_of_flys_holds(path: Path) -> None:
    """Without a word of complaint from us or from an editor, and it is sent as it was written."""
    text = path.read_text("utf-8")
    specs = load(fleet_with(path))
    assert [str(problem) for problem in specs.problems] == []
    ((document, _),) = documents(path.name, text)
    assert isinstance(document, Document)
    assert [error.message for error in SCHEMA.iter_errors(document.value)] == []
    sent = resolve(specs, "alice", secrets_digest=None, key_id=None).machines[0].config
    written = document.value["spec"]["config"]
    assert {**sent, "services": None} == {**written, "services": None}
    for one, other in zip(sent.get("services", ()), written.get("services", ()), strict=True):
        assert {**one, **other} == {**one, **({"name": other["name"]} if "name" in other else {})}


@pytest.mark.parametrize("path", APPLIED, ids=lambda path: path.stem)
async def test_an_example_of_flys_applies_and_then_plans_empty(path: Path) -> None:
    """Two machines of it come to be, and nothing is left to do."""
    async with laptop(orgs=("acme",)) as fly:
        on = Stage(fly, Line(fly.api), fleet_with(path))
        async with on.running() as run:
            await run.converged(within_s=600)
        assert on.shape == {"acme-alice": (2, 0)}
        found = await on.plan()
        assert (found.plan.action_count, found.plan.hold_count, found.is_whole) == (0, 0, True)
