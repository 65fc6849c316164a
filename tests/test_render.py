"""`render`: a writer sees each user app as Fly would get it, and no secret's value."""

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import command
from reconciler.core.desired import resolve
from reconciler.core.document import Document, documents
from reconciler.core.spec import load
from reconciler.exit import Exit
from reconciler.writing.plain_yaml import to_yaml
from reconciler.writing.render import rendered
from tests import wire
from tests.stage import SECRET, fleet_of, user

SPECS = wire.ROOT / "specs"


SET = """
apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: workshop}
spec:
  source: {rows: [{name: gina, region: fra, size: 1}, {name: hugo, region: ams, size: 2}]}
  template:
    spec:
      regions: ["{region}"]
      machines: [{name: web, template: studio, mount: {name: data, path: /data, size_gb: "{size}"}}]
"""


def render(capture: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = command(["render", *map(str, arguments)], environ={"FLEET_SECRET_OPENAI_API_KEY": SECRET})
    return code, *capture.readouterr()


def read_back(text: str) -> list[Any]:
    found = [document for document, problems in documents("rendered", text) if not problems]
    return [each.value for each in found if isinstance(each, Document)]


def test_every_user_app_is_rendered_as_it_would_be_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """One document each, in order of name; the config is what a create call would carry."""
    code, out, err = render(capsys, SPECS)
    apps = read_back(out)
    assert (code, err) == (Exit.OK, "")
    assert [app["user"] for app in apps] == ["alice", "bob", "carol"]
    specs = load({str(path): path.read_text("utf-8") for path in SPECS.rglob("*.yaml")})
    for app in apps:
        wanted = resolve(specs, app["user"], secrets_digest=None, key_id=None)
        assert [each["config"] for each in app["machines"]] == [dict(each.config) for each in wanted.machines]
        assert app["app"] == {"name": wanted.app_name, "org": wanted.org, "network": wanted.network}


def test_defaults_and_overlays_are_filled_in(capsys: pytest.CaptureFixture[str]) -> None:
    """What the documents leave unsaid is said."""
    _, out, _ = render(capsys, SPECS, "carol")
    (carol,) = read_back(out)
    (web,) = carol["machines"]
    assert (web["name"], web["regions"]) == ("web-0", ["fra", "ams"])
    assert web["config"]["guest"] == {"cpu_kind": "shared", "cpus": 2, "memory_mb": 1024}
    assert web["config"]["services"][0]["autostop"] == "stop"
    assert web["volume"] == {"name": "web_data_0", "size_gb": 3}
    assert web["mount"] == {"path": "/data"}


def test_secrets_are_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the value is known here."""
    for form in ("text", "json"):
        _, out, err = render(capsys, SPECS, "--format", form)
        assert "OPENAI_API_KEY" in out
        assert SECRET not in out + err


def test_both_forms_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """`--format json` is one list, and the same each time."""
    _, text, _ = render(capsys, SPECS)
    _, out, _ = render(capsys, SPECS, "--format", "json")
    assert json.loads(out) == read_back(text)
    assert render(capsys, SPECS, "--format", "json")[1] == out


def test_a_name_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest is told, and the others are rendered."""
    code, out, err = render(capsys, SPECS, "allice", "bob", "--format", "json")
    assert code == Exit.ERROR
    assert err == 'reconciler: there is no user app "allice"; did you mean "alice"?\n'
    assert [app["user"] for app in json.loads(out)] == ["bob"]
    assert render(capsys, SPECS, "nobody-near", "--format", "json")[1] == "[]\n"


def test_a_broken_document_does_not_hide_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its problem is told, and the exit code says that not all is there."""
    for name, text in fleet_of("alice", "bob").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(str(text))
    (tmp_path / "users" / "bob.yaml").write_text(user("bob").replace("studio", "stduio"))
    code, out, err = render(capsys, tmp_path, "alice", "bob")
    assert code == Exit.ERROR
    assert [app["user"] for app in read_back(out)] == ["alice"]
    assert "did you mean" in err
    assert 'there is no user app "bob"; its document, or one that it needs, does not hold' in err


def test_a_row_of_a_set_is_rendered_as_the_user_app_that_it_comes_to(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By its name, like any other user app."""
    for name, text in fleet_of("alice").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(str(text))
    (tmp_path / "set.yaml").write_text(SET)
    code, out, err = render(capsys, tmp_path)
    assert (code, err) == (Exit.OK, "")
    assert [app["user"] for app in read_back(out)] == ["alice", "gina", "hugo"]
    (hugo,) = read_back(render(capsys, tmp_path, "hugo")[1])
    assert hugo["app"]["name"] == "acme-hugo"
    assert hugo["machines"][0]["regions"] == ["ams"]
    assert hugo["machines"][0]["volume"]["size_gb"] == 2


def test_pauses_and_protection_are_shown() -> None:
    """What keeps an app from being changed is part of what would happen."""
    paused = "\n  protect: true\n  paused: {reason: a demo, until: 2027-01-31T18:00:00Z}\n"
    files = {**fleet_of("alice"), "users/alice.yaml": user("alice").rstrip() + paused}
    app = rendered(resolve(load(files), "alice", secrets_digest=None, key_id=None))
    assert app["protect"] is True
    assert app["paused"] == {"reason": "a demo", "until": "2027-01-31T18:00:00Z"}


ODD = (
    *(
        "off",
        "no",
        "null",
        "true",
        "1",
        "1.5",
        "0o17",
        "0x1f",
        "1e3",
        "-1",
        "+1",
        ".5",
        "2026-01-01",
        "~",
        "",
    ),
    *(
        "a: b",
        "# c",
        "- d",
        "a\nb",
        " a",
        "a ",
        "1m30s",
        "0644",
        "12:30:45",
        "=",
        "<<",
        "é",
        "\u2028",
        "\x85",
    ),
)


@pytest.mark.parametrize("value", ODD)
def test_what_is_rendered_is_read_back_as_the_same_text(value: str) -> None:
    """Our reader takes YAML 1.2, others YAML 1.1: text stays text for both."""
    assert read_back(to_yaml({"value": value, "list": [value], value or "k": {"deep": [{"a": value}]}})) == [
        {"value": value, "list": [value], value or "k": {"deep": [{"a": value}]}}
    ]
