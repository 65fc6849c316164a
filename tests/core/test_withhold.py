"""A plan without what may not be done: its own order stays whole, and every gap has its reason."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.action import (
    Action,
    Class,
    CreateApp,
    CreateMachine,
    CreateVolume,
    DestroyVolume,
    MarkMachine,
    SetSecrets,
    UpdateMachine,
    WithdrawRoute,
)
from reconciler.core.breaker import Breaker, change_key, failed
from reconciler.core.data_loss import Loss
from reconciler.core.guard import Verdict
from reconciler.core.hold import Hold
from reconciler.core.item import WHOLE, Item, batch, items_of, may_be_lost
from reconciler.core.plan import AppPlan
from reconciler.core.withhold import guarded, without

SECRETS = SetSecrets(app_name="acme-u1", because="", key="secrets", after=("app",), names=(), unset=())
APP = CreateApp(app_name="acme-u1", because="", key="app", org="acme", network="inst01-u1")
VOLUME = CreateVolume(
    app_name="acme-u1",
    because="",
    key="volume:web_data_0",
    after=("app",),
    name="web_data_0",
    regions=("iad",),
    size_gb=1,
    create={},
    compute=None,
)
NEW = CreateMachine(
    app_name="acme-u1",
    because="",
    key="machine:web-0",
    after=("app", "secrets", "volume:web_data_0"),
    slot="web-0",
    name="web-0",
    regions=("iad",),
    config={"image": "studio:1"},
    mount=None,
    volume_name=None,
    skip_launch=False,
    must_run=True,
)
UPDATE = UpdateMachine(
    app_name="acme-u1",
    because="",
    key="machine:web-1",
    after=("secrets",),
    klass=Class.RESTART,
    machine_id="m1",
    slot="web-1",
    expected_version="v1",
    config={},
    changes=("image: studio:1 → studio:2",),
    skip_launch=False,
    must_run=True,
)
MARK = MarkMachine(
    app_name="acme-u1",
    because="",
    key="mark:web-2",
    machine_id="m2",
    slot="web-2",
    expected_version="v1",
    metadata={},
)
FRESH = AppPlan(name="u1", app_name="acme-u1", actions=(APP, SECRETS, VOLUME, NEW))
LIVING = AppPlan(name="u1", app_name="acme-u1", actions=(replace(SECRETS, after=()), UPDATE, MARK))


def keys(plan: AppPlan) -> list[str]:
    return [action.key for action in plan.actions]


def test_a_new_app_is_one_item_and_held_it_is_held_whole() -> None:
    (made,) = items_of(FRESH)
    assert made == Item("u1", "acme-u1", Class.CREATE, WHOLE)
    held = batch("OverBudget", "300 creates over the budget of 200 an hour", [made])
    plan = guarded(FRESH, Verdict(held={made: held}))
    assert plan.actions == ()
    assert plan.holds == (
        Hold(
            "",
            "OverBudget",
            f"300 creates over the budget of 200 an hour; reconciler approve {held.id}",
        ),
    )
    assert guarded(FRESH, Verdict(admitted=frozenset({made}))).actions == FRESH.actions


def test_a_paced_restart_waits_and_the_rest_goes_on() -> None:
    (restart,) = items_of(LIVING)
    plan = guarded(LIVING, Verdict(paced={restart: "restarts are paced: 50 user apps an hour"}))
    assert keys(plan) == ["mark:web-2"]  # secrets are set together with the restart that needs them
    assert (plan.holds, plan.waiting) == ((), ("restarts are paced: 50 user apps an hour",))


def test_a_machine_that_is_made_again_and_its_volume_are_one_item() -> None:
    (made,) = items_of(replace(FRESH, actions=(VOLUME, NEW)))
    assert (made.klass, made.what) == (Class.CREATE, "machine:web-0")


def test_every_step_of_a_removal_is_the_deletion_of_its_app() -> None:
    step = WithdrawRoute(app_name="acme-u1", because="", key="withdraw", machines=())
    plan = AppPlan(name="u1", app_name="acme-u1", actions=(step,))
    (gone,) = items_of(plan, is_removal=True)
    assert gone == Item("u1", "acme-u1", Class.DELETE, WHOLE)
    held = Verdict(held={gone: batch("EveryUser", "…", [gone])})
    assert guarded(plan, held, is_removal=True).actions == ()


def test_a_volume_that_would_be_lost_is_an_item_before_anything_may_be_done_about_it() -> None:
    loss = Loss(volume_id="vol_1", name="web_data_0", region="iad", size_gb=1, because="", approved=False)
    asked = Hold("web_data_0", "DataLossNotApproved", "volume vol_1 (web_data_0) would be lost")
    plan = AppPlan(name="u1", app_name="acme-u1", holds=(asked,), losses=(loss,))
    lost, whole = items_of(plan, is_removal=True)
    assert lost == Item("u1", "acme-u1", Class.DATA_LOSS, "vol_1")
    assert whole == Item("u1", "acme-u1", Class.DELETE, WHOLE)  # counted before the loss is approved
    kept = replace(plan, holds=(asked, Hold("", "Protected", "…")))
    assert items_of(kept, is_removal=True) == (lost,)
    together = batch("DataLoss", "1 volume would be lost", [lost])
    (told,) = guarded(plan, Verdict(held={lost: together}), is_removal=True).holds
    assert told.message.endswith(f"would be lost; reconciler approve {together.id}")
    destroy = DestroyVolume(app_name="acme-u1", because="", key="destroy", volume_id="vol_1", name="")
    assert items_of(replace(plan, actions=(destroy,))) == (lost,)
    assert may_be_lost([lost], "u1") == {"vol_1"}
    assert may_be_lost([lost], "u2") == frozenset()


def test_a_change_that_failed_everywhere_is_held_for_everybody_and_nothing_else_is() -> None:
    breaker = Breaker()
    for user in ("a", "b", "a"):
        breaker = failed(
            breaker, change_key(UPDATE), user=user, reason="NotRunning", message="it is stopped after 1"
        )
    (restart,) = items_of(LIVING)
    plan = guarded(LIVING, Verdict(admitted=frozenset({restart})), breaker=breaker)
    assert keys(plan) == ["mark:web-2"]
    (hold,) = plan.holds
    assert (hold.what, hold.reason) == ("web-1", "Stalled")
    assert "NotRunning: it is stopped after 1" in hold.message


names = st.sampled_from("abcdefgh")


graphs = st.lists(st.tuples(names, st.sets(names, max_size=3)), max_size=8, unique_by=lambda each: each[0])


@given(graphs, st.sets(names))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_what_is_left_never_waits_for_what_was_left_out(
    graph: list[tuple[str, set[str]]], dropped: set[str]
) -> None:
    known = {key for key, _ in graph}
    actions: tuple[Action, ...] = tuple(
        replace(MARK, key=key, after=tuple(sorted(after & known))) for key, after in graph
    )
    left = without(actions, dropped)
    remaining = {action.key for action in left}
    assert all(set(action.after) <= remaining for action in left)
    assert not remaining & dropped
    independent = {key for key, after in graph if key not in dropped and not after & known}
    assert independent <= remaining


def test_a_mark_is_tried_again_however_often_it_failed() -> None:
    """It is a look that harms nobody: what waits for it must not go ahead, and one day all is well."""
    breaker = Breaker()
    for user in ("u1", "u2", "u3"):
        breaker = failed(breaker, change_key(MARK), user=user, reason="Crashing", message="ended twice")
    plan = AppPlan(name="u1", app_name="acme-u1", actions=(MARK,))
    assert guarded(plan, Verdict(), breaker=breaker) == plan
