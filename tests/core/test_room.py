"""A machine is not destroyed to make room for one that may not come."""

import pytest

from reconciler.core.action import CreateMachine, CreateVolume
from reconciler.core.withhold import without
from tests.core.scenes import SCENES


@pytest.mark.parametrize(
    "name",
    ["region-moved", "region-moved-and-given-up", "volume-added", "stuck", "group-renamed", "host-lost"],
)
def test_whatever_keeps_the_new_machine_away_keeps_the_old_one(name: str) -> None:
    """A budget, a change that failed everywhere: what was running goes on running, with its volume."""
    actions = SCENES[name].plan.actions
    makers = [one for one in actions if isinstance(one, CreateMachine | CreateVolume)]
    assert makers
    for maker in makers:
        left = without(actions, {maker.key})
        assert not [one for one in left if one.kind.startswith(("destroy", "create"))]
