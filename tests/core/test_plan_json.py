"""A plan for programs: its schema holds, its order is stable, and nothing private is in it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from reconciler.core.action import Action, Class, CreateApp, CreateMachine, CreateVolume, SetSecrets
from reconciler.core.fleet_plan import FleetPlan, Unread
from reconciler.core.hold import Hold, Note
from reconciler.core.item import Item, batch
from reconciler.core.judgement import Judgement
from reconciler.core.plan import AppPlan
from reconciler.core.plan_json import FIELDS, VERSION, to_json
from reconciler.report.document import survey_json
from tests.report.fleet import CANARY, creating, losing, survey_of, updating

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "plan.schema.json").read_text("utf-8"))
NEW_USER = (CreateApp, CreateMachine, CreateVolume, SetSecrets)
KINDS = {kind.kind: kind for kind in get_args(Action)}

EVERYTHING = survey_of(
    creating("dave"),
    updating("carol", holds=(Hold("web-0", "Drifted", "m"),), notes=(Note("", "Stray", "m"),)),
    updating("bob", "env.MODE: changed", "guest.memory_mb: (none) → 512", waiting=("web-1 is stopping",)),
    losing("alice", approved=True),
    in_sync=3,
    unclaimed=("zoe", "yan"),
    unread=(Unread("eve", "timeout"),),
    problems=2,
    not_compared=1,
    silent_regions=("iad",),
)


def test_the_schema_is_one_and_the_plan_keeps_it() -> None:
    """What `plan --format json` prints is what docs/plan.schema.json promises, with no field beyond it."""
    Draft202012Validator.check_schema(SCHEMA)
    held = batch(
        "OverBudget", "2 creates over the budget", [Item("alice", "acme-alice", Class.CREATE, "app")]
    )
    found = replace(EVERYTHING, missing_secrets=(("API_KEY", "why"),), judgement=Judgement(batches=(held,)))
    for survey in (found, survey_of(), survey_of(creating("alice"))):
        assert [*Draft202012Validator(SCHEMA).iter_errors(survey_json(survey))] == []


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"groups": "many"},
        {"surprise": True},
        {"apps": [{"name": "alice"}]},
    ],
)
def test_the_schema_refuses_what_is_not_promised(change: dict[str, Any]) -> None:
    """A schema that takes everything would promise nothing."""
    assert not Draft202012Validator(SCHEMA).is_valid({**survey_json(EVERYTHING), **change})


def test_every_kind_and_class_of_action_is_in_the_schema() -> None:
    """A new action cannot be forgotten: its fields are named, and the schema knows its kind."""
    kinds = SCHEMA["$defs"]["kind"]["enum"]
    assert set(FIELDS) == set(kinds)
    assert KINDS.keys() <= FIELDS.keys()
    assert SCHEMA["$defs"]["class"]["enum"] == [klass.value for klass in Class]
    for kind, fields in FIELDS.items():
        known = KINDS.get(kind)
        assert known is None or set(fields) <= set(known.__dataclass_fields__)


def test_the_fleets_plan_as_json_lists_what_is_to_be_told_and_counts_the_rest() -> None:
    """Apps as documented are a number; the others are listed by name."""
    plan = FleetPlan(
        apps=(creating("bob"), AppPlan(name="alice", app_name="acme-alice")),
        in_sync=3,
        unclaimed=("dave", "carl"),
        unread=(Unread("eve", "timeout"),),
        problems=2,
    )
    told = to_json(plan)
    assert told["version"] == VERSION == 2
    assert [one["name"] for one in told["apps"]] == ["bob"]
    assert told["unclaimed"] == ["carl", "dave"]
    summary = told["summary"]
    assert (summary["apps"], summary["in_sync"], summary["to_change"]) == (6, 4, 1)
    assert summary["actions_by_kind"] == {kind.kind: 1 for kind in NEW_USER}
    assert (summary["unclaimed"], summary["unread"], summary["problems"]) == (2, 1, 2)


def test_an_action_says_its_place_its_class_its_fields_and_its_group() -> None:
    """Key and what it waits for, class, old and new values, and the group that it shares with others."""
    told = to_json(FleetPlan(apps=(updating("alice", "image: a:1 → a:2"), creating("bob"))))
    (update,) = told["apps"][0]["actions"]
    assert update["class"] == "restart"
    assert update["changes"] == [{"field": "image", "old": "a:1", "new": "a:2"}]
    assert update["group"] in [group["id"] for group in told["groups"]]
    machine = told["apps"][1]["actions"][-1]
    assert (machine["key"], machine["after"]) == ("machine:web-0", ["volume:web_data_0"])


def test_the_same_plan_is_the_same_text_in_whatever_order_it_was_read() -> None:
    """Neither the order of apps nor that of their rows shows."""
    plan = EVERYTHING.plan
    turned = replace(plan, apps=plan.apps[::-1], unclaimed=plan.unclaimed[::-1])
    assert json.dumps(to_json(plan)) == json.dumps(to_json(turned))


def test_nothing_of_an_environment_is_in_it() -> None:
    """Configs are not in a plan, only the fields that it names."""
    assert CANARY not in json.dumps(survey_json(EVERYTHING))


def test_a_volume_that_would_be_lost_is_told_with_whether_it_is_approved() -> None:
    """By id, name, region and size, in its app and in the summary."""
    told = to_json(FleetPlan(apps=(losing("alice", approved=True), losing("bob"))))
    assert [app["losses"][0]["approved"] for app in told["apps"]] == [True, False]
    assert told["summary"]["volumes_lost"] == 1
