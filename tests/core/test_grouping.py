"""What counts as alike: the same thing done to another user, never a volume that would be lost."""

from dataclasses import replace

from reconciler.core import grouping
from reconciler.core.action import Class, DestroyVolume
from reconciler.core.hold import Hold
from reconciler.core.plan import AppPlan
from tests.report.fleet import NEW, OLD, creating, many, updating


def test_every_action_of_a_plan_is_in_exactly_one_group() -> None:
    """Nothing is hidden and nothing counted twice, however users and steps cross."""
    apps = [*many(20), creating("ann"), creating("ben"), updating("user-00003", "restart.policy: a → b")]
    groups = grouping.group(apps)
    assert sum(doing.times for one in groups for doing in one.doings) == sum(len(app.actions) for app in apps)
    steps = [doing.step for one in groups for doing in one.doings]
    assert len(steps) == len(set(steps))


def test_a_user_with_one_change_more_does_not_split_the_group() -> None:
    """The shared change is told once, and the further one apart."""
    both = updating("bob", f"image: {OLD} → {NEW}")
    more = updating("bob", "guest.memory_mb: 256 → 512", slots=("worker-0",))
    bob = replace(both, actions=(*both.actions, *more.actions))
    first, second = grouping.group([updating("alice"), bob])
    assert (first.users, second.users) == (("alice", "bob"), ("bob",))


def test_the_machines_of_one_group_are_one_step() -> None:
    """web-0 and web-1 with the same change are `web`, twice; a worker is something else."""
    (one,) = grouping.group([updating("alice", slots=("web-0", "web-1", "worker-0"))])
    assert [(doing.step.subject, doing.times) for doing in one.doings] == [("web", 2), ("worker", 1)]


def test_volumes_that_would_be_lost_never_share_a_group() -> None:
    """The same loss of two users is two groups, and they stand first."""

    def losing(name: str) -> AppPlan:
        loss = DestroyVolume(
            app_name=name,
            because="approved",
            key=f"destroy-volume:vol_{name}",
            klass=Class.DATA_LOSS,
            volume_id=f"vol_{name}",
            name="web_data_0",
        )
        return AppPlan(name=name, app_name=name, actions=(*updating(name).actions, loss))

    groups = grouping.group([losing("alice"), losing("bob"), *many(5)])
    assert [one.klass for one in groups] == [Class.DATA_LOSS, Class.DATA_LOSS, Class.RESTART]
    assert [one.users for one in groups[:2]] == [("alice",), ("bob",)]


def test_the_severest_comes_first_then_the_most_frequent() -> None:
    """A reader meets what hurts before what does not."""
    groups = grouping.group([creating("ann"), updating("ben", "image: a → c"), *many(3)])
    assert [(one.klass, len(one.users)) for one in groups] == [
        (Class.RESTART, 3),
        (Class.RESTART, 1),
        (Class.CREATE, 1),
    ]


def test_a_group_keeps_its_id_in_every_plan() -> None:
    """The id says what is done, not to how many; programs can follow it from plan to plan."""
    (small,), (large,) = grouping.group(many(1)), grouping.group(many(9))
    assert small.id == large.id
    (other,) = grouping.group([updating("user-00000", "image: a → c")])
    assert other.id != small.id


def test_reasons_that_differ_are_not_told_as_one() -> None:
    """A reason stands at a step only when it is everybody's."""
    ann, ben = creating("ann"), creating("ben")
    ben = replace(ben, actions=(replace(ben.actions[0], because="another reason"), *ben.actions[1:]))
    (one,) = grouping.group([ann, ben])
    assert [doing.because for doing in one.doings][:2] == ["", "they are not set"]


def test_what_is_said_of_many_is_kept_for_each() -> None:
    """Holds of one reason are together, with each user's own message."""
    apps = [
        AppPlan(name=name, app_name=name, holds=(Hold("", "NameTaken", f"{name} is taken"),))
        for name in ("ben", "ann")
    ]
    (told,) = grouping.holds(apps)
    assert told.users == ("ann", "ben")
    assert told.lines == (("ann", "ann is taken"), ("ben", "ben is taken"))
