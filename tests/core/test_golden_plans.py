"""Whole plans, situation by situation: a change of behaviour is a diff that somebody reads."""

from pathlib import Path

import pytest

from tests.core import golden
from tests.core.removal_scenes import REMOVALS
from tests.core.scenes import SCENES, Scene

EVERY = {**SCENES, **REMOVALS}


@pytest.mark.parametrize("name", EVERY)
def test_the_plan_is_as_it_was_read(name: str) -> None:
    golden.check(name, EVERY[name].says, EVERY[name].plan)


def test_no_file_is_left_over() -> None:
    assert {file.stem for file in Path(golden.PLANS).iterdir()} == EVERY.keys()


@pytest.mark.parametrize("scene", EVERY.values(), ids=EVERY.keys())
def test_each_action_has_a_reason_in_one_line(scene: Scene) -> None:
    for action in scene.plan.actions:
        assert action.because.isprintable()
        assert action.because
