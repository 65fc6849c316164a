"""The JSON Schema that editors use: current, and of one mind with `validate` about samples and slips."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from reconciler.core.document import Document, documents
from reconciler.core.kinds import KINDS
from reconciler.core.spec import ENV_PREFIX
from reconciler.writing.examples import examples
from reconciler.writing.schema import schema, schema_text
from tests import wire
from tests.test_docs import blocks

FILE = wire.ROOT / "specs" / "schema.json"
SAMPLES = sorted((wire.ROOT / "specs").rglob("*.yaml"))
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")
SCHEMA = schema()


def complaints(document: Any) -> list[str]:
    validator = jsonschema.Draft7Validator(SCHEMA)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def values(text: str) -> list[Any]:
    """The documents of a text as our own reader reads them."""
    found = [document for document, _ in documents("text", text)]
    return [each.value for each in found if isinstance(each, Document)]


def test_the_committed_schema_is_what_the_command_prints() -> None:
    """After a change of a model: reconciler schema > specs/schema.json"""
    assert FILE.read_text("utf-8") == f"{schema_text()}\n", "run: reconciler schema > specs/schema.json"


def test_the_schema_is_one_itself_and_needs_no_other_file() -> None:
    """Draft 7, which every YAML editor reads; every reference leads to a definition inside it."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    refs = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(SCHEMA)))
    assert refs <= {f"#/definitions/{name}" for name in SCHEMA["definitions"]}
    assert re.findall(r'"\$(?:id|anchor)"', json.dumps(SCHEMA)) == []


def test_every_field_has_a_description_and_an_example() -> None:
    """A new field needs both: its description in the model, its example in writing/examples.yaml."""
    without = [
        f"{name}.{field}"
        for name, definition in SCHEMA["definitions"].items()
        if not name.endswith(("Patch", "Template"))
        for field, node in definition.get("properties", {}).items()
        if not (node.get("description") and node.get("examples"))
    ]
    assert without == []


@pytest.mark.parametrize("number", range(len(examples())))
def test_each_example_holds_for_the_schema_and_for_us(number: int) -> None:
    """What `explain` shows as an example is accepted."""
    document = examples()[number]
    assert complaints(document) == []
    model = KINDS[document["kind"]].model_validate(document, context={"env_prefix": ENV_PREFIX})
    assert model.metadata.name == document["metadata"]["name"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_each_sample_names_the_schema_and_holds_for_it(path: Path) -> None:
    """Its first line tells editors where the schema is, and that is true."""
    text = path.read_text("utf-8")
    named = MODELINE.match(text)
    assert named
    assert (path.parent / named[1]).resolve() == FILE
    assert [complaint for document in values(text) for complaint in complaints(document)] == []


@pytest.mark.parametrize(("where", "text"), [pytest.param(*each, id=each[0]) for each in blocks("yaml")])
def test_what_the_docs_show_holds_for_the_schema(where: str, text: str) -> None:
    """An editor has nothing to say about what README and docs show."""
    assert [f"{where}: {each}" for document in values(text) for each in complaints(document)] == []


FLEET = """
apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: acme}
spec: {org: acme, installation: acmedemo, app_name: "acme-{name}", regions: [iad]}
"""
USER = """
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {name: alice}
spec:
  hosts: [alice.example.com]
  machines:
    - name: web
      template: studio
      mount: {name: data, path: /data, size_gb: 1}
      config: {env: {A: b}, guest: null}
"""
SERVICE = """
apiVersion: reconciler/v1alpha1
kind: Service
metadata: {name: public}
spec:
  internal_port: 8080
  autostop: suspend
  ports: [{port: 80, handlers: [http]}]
  checks: [{interval: 15s}]
"""
SECRET = """
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: API_KEY}
spec: {from: {env: FLEET_SECRET_API_KEY}}
"""
USERS = """
apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: free}
spec:
  source: {csv: users.csv}
  template:
    metadata: {name: "{name}"}
    spec:
      regions: ["{region}"]
      machines: [{name: web, template: studio, count: "{count}", config: {guest: {memory_mb: "{memory}"}}}]
  overrides: {bob: {regions: [lhr], protect: true}}
"""
SLIPS = [  # a good document, what of it is replaced, by what
    (FLEET, "kind: Fleet", "kind: Fleat"),
    (FLEET, "reconciler/v1alpha1", "reconciler/v1"),
    (FLEET, "org: acme, ", ""),
    (FLEET, "regions: [iad]", "regions: [idd]"),
    (FLEET, "regions: [iad]", "regions: []"),
    (FLEET, "regions: [iad]", "regions: [iad, iad]"),
    (FLEET, "installation: acmedemo", "installation: 7acme"),
    (FLEET, "acme-{name}", "acme"),
    (USER, "hosts:", "hots:"),
    (USER, "alice.example.com", "Alice.example.com"),
    (USER, "size_gb: 1", 'size_gb: "1"'),
    (USER, "path: /data", "path: data"),
    (USER, "{A: b}", "{A: 1}"),
    (USER, "guest: null", "geust: null"),
    (USER, "name: alice", "nam: alice"),
    (SERVICE, "8080", "80800"),
    (SERVICE, "suspend", "sleep"),
    (SERVICE, "[http]", "[https]"),
    (SERVICE, "port: 80,", "start_port: 80,"),
    (SERVICE, "15s", "15"),
    (SERVICE, "interval: 15s", "intervall: 15s"),
    (USERS, 'regions: ["{region}"]', 'regoins: ["{region}"]'),
    (USERS, "{region}", "ldn"),
    (USERS, "{count}", "two"),
    (USERS, "memory_mb", "memory"),
    (USERS, "protect: true", "protekt: true"),
    (USERS, "csv: users.csv", "tsv: users.csv"),
    (SECRET, "API_KEY}\nspec", "API-KEY}\nspec"),
    (SECRET, "{env: FLEET_SECRET_API_KEY}", "{}"),
    (SECRET, "{env: FLEET_SECRET_API_KEY}", "{env: FLEET_SECRET_API_KEY, derive: {}}"),
]


@pytest.mark.parametrize(("good", "old", "new"), SLIPS, ids=[f"{old} → {new}" for _, old, new in SLIPS])
def test_a_slip_is_refused(good: str, old: str, new: str) -> None:
    """The good document holds, and the one that differs in one word does not."""
    assert old in good
    (held,), (slipped,) = values(good), values(good.replace(old, new))
    assert complaints(held) == []
    assert complaints(slipped) != []


def test_the_schema_reads_as_yaml_too() -> None:
    """Some editors take the schema through a YAML reader."""
    assert yaml.safe_load(FILE.read_text("utf-8"))["definitions"].keys() == SCHEMA["definitions"].keys()


def test_null_removes_in_a_merge_patch() -> None:
    """Also a name that somebody chose, as in env."""
    (removing,) = values(USER.replace("{A: b}", "{A: null}"))
    assert complaints(removing) == []


ODD = (
    *("alice", "lhr", "off", "15s", "0", "1m30s", "none", "any", "/x", "0.0.0.0:80", "[::1]:80", "a.b.c"),
    *(
        "*.example.com",
        "{name}",
        "acme-{name}",
        "2027-01-31T18:00:00+02:00",
        "iad,us",
        "a" * 63,
        "",
        "SIGTERM",
    ),
    *(1, 0, -1, 0.5, 100, 10**9, True, False, None),
)
PARTS = ("config", "overrides", "template")  # whole only when they are put together, which is checked later


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document but those in parts of others."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in inner:
        if step not in PARTS or path == ("spec",):
            yield from places(below, (*path, step))


def test_what_validate_takes_an_editor_takes() -> None:
    """Of examples with one value changed, none is refused by the schema that our models accept."""
    random = Random(11)  # noqa: S311 - the same changes each time, no secret
    accepted = 0
    for _ in range(4_000):
        document = copy.deepcopy(random.choice([each for each in examples() if each["kind"] != "UserAppSet"]))
        *steps, last = random.choice([path for path in places(document) if len(path) > 1])
        place = document
        for step in steps:
            place = place[step]
        place[last] = random.choice(ODD)
        try:
            KINDS[document["kind"]].model_validate(document, context={"env_prefix": ENV_PREFIX})
        except ValidationError:
            continue
        accepted += 1
        assert complaints(document) == []
    assert accepted > 200
