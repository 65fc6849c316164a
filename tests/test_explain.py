"""`explain`: a writer asks for a field or a code, and reads what it means."""

import json

import pytest

from reconciler.cli import command
from reconciler.core.finding import FINDINGS
from reconciler.exit import Exit
from reconciler.writing.explain import explained, lines, to_json
from reconciler.writing.field import Field, NoSuchFieldError, find
from reconciler.writing.schema import schema

SCHEMA = schema()


def told(subject: str) -> str:
    return "\n".join(line.plain for line in lines(explained(subject, SCHEMA)))


def every_field(field: Field, seen: frozenset[str] = frozenset()) -> list[Field]:
    """A field and all below it, each kind of thing once."""
    below = [each for each in field.below() if each.name not in seen]
    return [field, *(found for each in below for found in every_field(each, seen | {field.name}))]


def test_a_field_is_told_with_type_default_example_and_fields() -> None:
    """What a writer needs stands on one screen."""
    said = told("UserApp.spec.machines.mount")
    assert said.startswith("UserApp.spec.machines.mount  mapping\n  A volume for each machine.\n")
    assert "mount: {name: data, path: /data, size_gb: 1" in said
    assert "size_gb                   whole number, at least 1, at most 500, required" in said
    assert "default false" in told("UserApp.spec.machines.skip_launch")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("Machine.spec.config.guest.cpu_kind", "shared, performance"),
        ("UserApp.spec.machines[0].count", "whole number, at least 0, at most 100"),
        ("UserApp.spec.machines[].config.guest.memory_mb", "whole number, at least 1"),
        ("Machine.spec.config.checks.alive.path", "text"),
        ("Machine.spec.config.env", "mapping of names to texts"),
        ("Service.spec.ports.handlers", "list of http, tls, pg_tls, proxy_proto"),
        ("Service.spec.autostop", "off, stop, suspend, true, false"),
        ("Fleet.spec.budget.delete.max_percent", "whole number, at least 1, at most 100"),
        ("Router.kind", "Router"),
        ("Router.spec.replay.region", "list of regions or comma list"),
        ("UserAppSet.spec.template.spec.machines.count", "whole number, at least 0, at most 100 or text"),
        ("UserAppSet.spec.overrides.bob.regions", "list of regions"),
    ],
)
def test_types_are_told_in_words(path: str, kind: str) -> None:
    """Through lists, mappings of names, overlays and choices."""
    assert find(path, SCHEMA).type == kind


@pytest.mark.parametrize("kind", SCHEMA["properties"]["kind"]["enum"])
def test_every_field_of_every_kind_can_be_explained(kind: str) -> None:
    """None lacks words, and each is found under the path that it is shown with."""
    for field in every_field(find(kind, SCHEMA)):
        if not field.path.startswith("UserApp.spec.machines.config."):
            assert field.description, field.path
        assert find(field.path, SCHEMA).node == field.node
        assert told(field.path).startswith(field.path)
        json.dumps(to_json(field))


@pytest.mark.parametrize("code", FINDINGS)
def test_every_code_can_be_explained(code: str) -> None:
    """`explain CODE` says why it matters and what mends it."""
    assert told(code) == f"{code}\n  why  {FINDINGS[code].why}\n  fix  {FINDINGS[code].fix}"
    assert to_json(code)["fix"] == FINDINGS[code].fix


@pytest.mark.parametrize(
    ("subject", "answer"),
    [
        ("UserApp.spec.machnes", 'UserApp.spec has no field "machnes"; did you mean "machines"?'),
        ("UserAp", '"UserAp" is neither a kind nor a code of a finding; did you mean "UserApp"?'),
        ("UserAp.spec", '"UserAp" is not a kind; did you mean "UserApp"?'),
        ("yaml-anchr", '"yaml-anchr" is neither a kind nor a code of a finding; did you mean "yaml-anchor"?'),
        ("Fleet.spec.org.x", "Fleet.spec.org has no fields; it is text"),
        ("Spot.x", '"Spot" is not a kind'),
    ],
)
def test_an_unknown_field_or_code_is_told_the_nearest(subject: str, answer: str) -> None:
    """A slip costs one line."""
    with pytest.raises(NoSuchFieldError) as caught:
        explained(subject, SCHEMA)
    assert str(caught.value).startswith(answer)


def test_the_command_answers_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain lines in a pipe, JSON when asked for, one line and exit code 1 for what is not there."""
    assert command(["explain", "UserApp.spec.protect"], environ={}) == Exit.OK
    assert capsys.readouterr().out.startswith("UserApp.spec.protect  true or false\n")
    assert command(["explain", "Fleet.spec.drift", "--format", "json"], environ={}) == Exit.OK
    answer = json.loads(capsys.readouterr().out)
    assert (answer["type"], answer["default"], answer["required"]) == ("correct, warn", "correct", False)
    assert command(["explain", "Fleet.spec.drif"], environ={}) == Exit.ERROR
    assert capsys.readouterr().err.startswith(
        'reconciler: Fleet.spec has no field "drif"; did you mean "drift"?'
    )


def test_the_schema_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """To be saved beside one's specs."""
    assert command(["schema"], environ={}) == Exit.OK
    assert json.loads(capsys.readouterr().out) == SCHEMA
