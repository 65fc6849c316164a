"""A plan as text: summary first, alike changes once, what hurts in sight, one fact a line."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from reconciler.core.action import Class, CreateApp
from reconciler.core.fleet_plan import FleetPlan, Unread
from reconciler.core.hold import Hold, Note
from reconciler.core.plan import AppPlan
from reconciler.report.text import Detail, plan_lines
from reconciler.report.wording import pair
from reconciler.survey import Survey
from tests.report.fleet import CANARY, NEW, OLD, creating, losing, many, survey_of, updating


def shown(found: Survey, detail: Detail = Detail.GROUPED, *, is_terminal: bool = False) -> list[str]:
    """The lines as a pipe gets them, however narrow the terminal would be; or with a terminal's colours."""
    out = io.StringIO()
    console = Console(
        file=out,
        soft_wrap=True,
        highlight=False,
        width=20,
        force_terminal=is_terminal,
        color_system="standard" if is_terminal else None,
        no_color=False,
    )
    for line in plan_lines(found, detail):
        console.print(line)
    return out.getvalue().splitlines()


def test_the_summary_comes_first_and_counts_every_user_once() -> None:
    """One line says how many apps are right and how many change, each by the severest thing that it gets."""
    found = survey_of(creating("alice"), updating("bob"), updating("carol"), in_sync=7)
    assert shown(found)[0] == "10 user apps: 7 as documented, 3 to change (2 restart, 1 create)"


def test_nothing_to_do_is_one_line() -> None:
    """A converged fleet has nothing else to say."""
    assert shown(survey_of(in_sync=3)) == ["3 user apps: 3 as documented, nothing to change"]


def test_identical_changes_of_many_users_are_one_line() -> None:
    """311 users with the same new image: one line with the difference, the class and a few names."""
    lines = shown(survey_of(*many(311)))
    assert lines[-1] == (
        "311× ~ web: image …1a1a1a1a1a1a → …2b2b2b2b2b2b [restart]  "
        "user-00000, user-00001, user-00002 … and 308 more"
    )
    assert len(lines) == 4


def test_steps_of_the_same_users_stand_together() -> None:
    """New users are one paragraph: who, and then each of the steps."""
    assert shown(survey_of(creating("alice"), creating("bob")))[3:] == [
        "2× alice, bob",
        "    + create-app [create]  (no app yet)",
        "    ~ set-secrets: API_KEY set [in-place]",
        "    + create-volume web_data: size_gb 1, regions iad [create]",
        "    + create-machine web: image registry.fly.io/studio:1, regions iad [create]",
    ]


def test_restarts_are_counted_in_machines() -> None:
    """Beneath the summary stands how many machines of how many users go down and come back."""
    found = survey_of(updating("alice", slots=("web-0", "web-1")), updating("bob"))
    assert shown(found)[1] == "3 machines of 2 users restarted; about 44 API calls"
    assert "[restart, 3 times]" in shown(found)[-1]


def test_a_machine_made_anew_with_a_new_volume_counts_as_one() -> None:
    """Destroyed and created, and a volume with it: one machine of one user."""
    volume, machine = creating("alice").actions[2:]
    anew = tuple(replace(each, klass=Class.REPLACE) for each in (volume, machine))
    found = survey_of(AppPlan(name="alice", app_name="acme-alice", actions=anew))
    assert shown(found)[1].startswith("1 machine of 1 user made anew;")


def test_the_price_is_told_with_the_time_that_fly_limits_alone_cost() -> None:
    """Many new apps take a second each, however fast we are."""
    found = survey_of(*(creating(f"user-{number}") for number in range(303)))
    assert shown(found)[1] == "about 4,848 API calls, at least 5 min under Fly's limits"


def test_what_was_changed_by_hand_is_named() -> None:
    """The field and both values, once for all to whom the same was done; not again where a note says it."""
    line = "web-0: image: studio:1 → studio:9"
    noted = Note("web-0", "Drifted", "left so by drift: warn")
    apps = [updating(name, changed_by_hand=(line,)) for name in ("alice", "bob")]
    apps.append(updating("carol", changed_by_hand=(line,), notes=(noted,)))
    lines = [each for each in shown(survey_of(*apps)) if "by hand" in each]
    assert lines == ["i changed by hand: web-0: image: studio:1 → studio:9  alice, bob"]


def test_every_volume_that_would_be_lost_has_a_red_line_of_its_own() -> None:
    """Ten thousand other changes hide none of them, and neither does --summary."""
    found = survey_of(*many(50), losing("zoe"), losing("yan", approved=True))
    for detail in Detail:
        lost = [line for line in shown(found, detail, is_terminal=True) if "DATA LOSS" in line]
        assert len(lost) == 2
        assert all(line.startswith("\x1b[1;31m") for line in lost)
    assert shown(found)[2] == (
        "DATA LOSS  zoe (acme-zoe): volume vol_zoe (web_data_1, 10 GB in iad): "
        "the document has no slot web-1 any more; not approved, so it stays"
    )


def test_holds_are_grouped_by_reason_with_the_next_step() -> None:
    """Many users with one reason are one paragraph: who, and what is said of the first few."""
    held = [
        AppPlan(
            name=name,
            app_name=f"acme-{name}",
            holds=(Hold("", "NameTaken", f"acme-{name} is held by another organisation; choose another"),),
        )
        for name in ("ann", "ben", "cat", "dan", "eve")
    ]
    assert shown(survey_of(*held))[2:] == [
        "! held NameTaken  ann, ben, cat … and 2 more:",
        "    ann: acme-ann is held by another organisation; choose another",
        "    ben: acme-ben is held by another organisation; choose another",
        "    cat: acme-cat is held by another organisation; choose another",
        "    and 2 more of the kind; --expand shows each",
    ]
    assert shown(survey_of(*held[1:]))[-1] == "    and 1 more of the kind; --expand shows each"


def test_what_was_not_read_is_said_before_the_changes() -> None:
    """Silent regions, unread apps and faulty documents stand above the plan that lacks them."""
    found = survey_of(
        creating("alice"),
        unread=(Unread("bob", "cannot read app acme-bob"),),
        problems=2,
        silent_regions=("iad",),
    )
    assert shown(found)[2:5] == [
        "2 problems in the documents; what they concern stays as it is",
        "no answer from iad; machines there are not seen",
        "bob: not read: cannot read app acme-bob",
    ]


def test_expanded_every_user_is_told_of_in_full() -> None:
    """--expand: each user, each action with its reason, old and new values whole, notes and waits."""
    bob = updating(
        "bob", notes=(Note("web-0", "Cordoned", "nobody reaches it"),), waiting=("web-1 is stopping",)
    )
    lines = shown(survey_of(updating("alice"), bob), Detail.EXPANDED)
    assert lines[3:] == [
        "alice (acme-alice)",
        f"  ~ update-machine web-0 [restart]: image: {OLD} → {NEW}",
        f"      image: {OLD} → {NEW}",
        "",
        "bob (acme-bob)",
        f"  ~ update-machine web-0 [restart]: image: {OLD} → {NEW}",
        f"      image: {OLD} → {NEW}",
        "  … waiting: web-1 is stopping",
        "  i note Cordoned: nobody reaches it",
    ]


def test_a_summary_is_a_line_or_two() -> None:
    """--summary: what it comes to, and nothing about single users."""
    assert len(shown(survey_of(*many(12), creating("zoe")), Detail.SUMMARY)) == 2


def test_a_text_from_outside_cannot_forge_a_line_or_a_colour() -> None:
    """Line breaks, escapes and markup in a message are shown as what they are."""
    hold = Hold("", "Foreign", "evil\n  + create-app \x1b[31m[bold]red")
    app = CreateApp(app_name="acme-a", because="a\r\nb", org="acme", network="n")
    found = survey_of(AppPlan(name="a", app_name="acme-a", actions=(app,), holds=(hold,)))
    for detail in Detail:
        lines = shown(found, detail)
        assert not any("\x1b" in line for line in lines)
        assert not any(line.startswith("  + create-app \\x1b") for line in lines)
    assert any(line.endswith(r"evil\n  + create-app \x1b[31m[bold]red") for line in shown(found))


def test_nothing_of_an_environment_is_shown() -> None:
    """A plan names slots and fields; values of a config's environment are in no form of it."""
    found = survey_of(creating("alice"), updating("bob", "env.MODE: changed"))
    for detail in Detail:
        assert not any(CANARY in line for line in shown(found, detail))


def test_a_secret_without_a_value_is_named_with_the_reason() -> None:
    """One line each, and nothing that a reason holds breaks it."""
    found = replace(survey_of(), missing_secrets=(("API_KEY", "the file k\n cannot be read"),))
    assert shown(found)[-1] == r"secret API_KEY has no value here: the file k\n cannot be read"


def test_apps_without_a_document_are_named_and_the_rest_counted() -> None:
    """Twenty names are enough for a look; --expand has all of them."""
    found = survey_of(unclaimed=tuple(f"user-{number:02}" for number in range(50)))
    assert shown(found)[-1].endswith("user-18, user-19 … and 30 more")
    assert shown(found, Detail.EXPANDED)[-1].endswith("user-48, user-49")


def test_secrets_that_are_not_compared_are_counted() -> None:
    """Without their values here nothing is claimed about them."""
    found = Survey(FleetPlan(in_sync=4, not_compared=3), (), ())
    assert "secrets of 3 apps not compared" in shown(found)[-1]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (OLD, NEW, ("…1a1a1a1a1a1a", "…2b2b2b2b2b2b")),
        ("studio:1", "studio:2", ("studio:1", "studio:2")),
        ("r/a@sha256:" + "ab" * 32, "r/b:1", ("r/a@sha256:abababababab", "r/b:1")),
        (
            "r@sha256:" + "ab" * 30 + "0000",
            "r@sha256:" + "ab" * 30 + "1111",
            ("…ab0000", "…ab1111"),
        ),
        ("256", "512", ("256", "512")),
        ("x" * 50, "x" * 49 + "y", ("x" * 50, "x" * 49 + "y")),
    ],
)
def test_two_values_are_shortened_so_that_they_still_differ(
    old: str, new: str, expected: tuple[str, str]
) -> None:
    """What they have in common goes first; what differs is always shown."""
    assert pair(old, new) == expected
