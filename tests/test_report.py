"""Plans and states as text: summary first, alike changes once, one fact a line whatever a name holds."""

import io

from rich.console import Console

from reconciler.core.action import CreateApp, CreateMachine
from reconciler.core.fleet_plan import FleetPlan, Unread
from reconciler.core.hold import Hold
from reconciler.core.plan import AppPlan
from reconciler.report import plan_lines
from reconciler.survey import Survey


def shown(plan: FleetPlan, *silent_regions: str) -> list[str]:
    """The lines as a pipe gets them, however narrow the terminal would be."""
    out = io.StringIO()
    console = Console(file=out, soft_wrap=True, highlight=False, width=20)
    for line in plan_lines(Survey(plan, (), silent_regions)):
        console.print(line)
    return out.getvalue().splitlines()


def creating(name: str) -> AppPlan:
    app = f"acme-{name}"
    machine = CreateMachine(
        app_name=app,
        because="no machine fills the slot",
        slot="web-0",
        name="web-0",
        regions=("iad",),
        config={"env": {"CANARY": "canary-env"}},
        mount=None,
        volume_name=None,
        skip_launch=False,
        must_run=True,
    )
    return AppPlan(name=name, app_name=app, actions=(machine,))


def test_the_summary_comes_first_and_counts_everything() -> None:
    """One line says how many apps are right, change, and by which actions."""
    plan = FleetPlan(apps=(creating("alice"), creating("bob")), in_sync=7)
    assert shown(plan)[0] == "9 user apps: 7 as documented, 2 to change (2 create-machine)"


def test_changes_that_are_alike_are_shown_once() -> None:
    """Ten users with the same change are one paragraph with their names."""
    lines = shown(FleetPlan(apps=tuple(creating(f"user-{n}") for n in range(10))))
    assert len([line for line in lines if "create-machine " in line and line.startswith("  +")]) == 1
    assert any(
        line.startswith("user-0, user-1, ") and line.endswith("and 2 more (10 apps alike)") for line in lines
    )


def test_what_was_not_read_is_said_before_the_changes() -> None:
    """Silent regions, unread apps and faulty documents stand above the plan that lacks them."""
    plan = FleetPlan(
        apps=(creating("alice"),), unread=(Unread("bob", "cannot read app acme-bob"),), problems=2
    )
    lines = shown(plan, "iad")
    assert lines[1:4] == [
        "2 problems in the documents; what they concern stays as it is",
        "no answer from iad; machines there are not seen",
        "bob: not read: cannot read app acme-bob",
    ]


def test_a_text_from_outside_cannot_forge_a_line_or_a_colour() -> None:
    """Line breaks, escapes and markup in a message are shown as what they are."""
    hold = Hold("", "Foreign", "evil\n  + create-app \x1b[31m[bold]red")
    app = CreateApp(app_name="acme-a", because="a\r\nb", org="acme", network="n")
    lines = shown(FleetPlan(apps=(AppPlan(name="a", app_name="acme-a", actions=(app,), holds=(hold,)),)))
    assert [line for line in lines if line.startswith("  +")] == [r"  + create-app      acme-a: a\r\nb"]
    assert lines[-1].endswith(r"evil\n  + create-app \x1b[31m[bold]red")


def test_nothing_of_an_environment_is_shown() -> None:
    """A plan names slots and reasons; values of a config are not in it."""
    assert not any("canary" in line for line in shown(FleetPlan(apps=(creating("alice"),))))


def test_a_secret_without_a_value_is_named_with_the_reason() -> None:
    """One line each, before the changes, and nothing that a reason holds breaks it."""
    found = Survey(FleetPlan(), (), (), (("API_KEY", "the file k\n cannot be read"),))
    lines = [line.plain for line in plan_lines(found)]
    assert lines[1].startswith("secret API_KEY has no value here: the file k")
    assert "\n" not in lines[1]
