"""What is wanted from one reading to the next: who moved, who stays as it is, and whom nobody may lose."""

from collections.abc import Mapping

import pytest

from reconciler.core.desired import resolve
from reconciler.core.keys import RootKey
from reconciler.core.spec import Specs, load
from reconciler.intent import Change, Intent
from reconciler.secret_source import SecretSource
from tests.core import sample

TEMPLATE = """
    metadata: {labels: {plan: "{plan}"}}
    spec:
      hosts: ["{name}.example.com"]
      regions: ["{region}"]
      machines:
        - {name: web, template: studio, config: {env: {TITLE: "{title}"}, guest: {memory_mb: "{mb}"}}}
      secrets: [API_KEY]
"""
HEAD = "name,region,plan,title,mb\n"
ROWS = {f"user-{number:02}": f"{'iad' if number % 2 else 'lhr'},pro,T{number},512" for number in range(30)}
FLAT = "a1b2c3d4" * 8


def wanted(
    *documents: str, rows: Mapping[str, str] = ROWS, template: str = TEMPLATE, base: str = sample.BASE
) -> Specs:
    table = HEAD + "".join(f"{name},{rest}\n" for name, rest in rows.items())
    everybody = f"""apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {{name: everybody}}
spec:
  source: {{csv: users.csv}}
  template:{template}"""
    more = {f"{number}.yaml": text for number, text in enumerate(documents)}
    return load({"base.yaml": base, "set.yaml": everybody, **more}, tables={"users.csv": table})


def intent(environ: dict[str, str] | None = None) -> Intent:
    source = SecretSource(environ={"FLEET_SECRET_API_KEY": "k"} if environ is None else environ)
    return Intent(secrets=source, root_key=RootKey(FLAT))


def without(*names: str) -> dict[str, str]:
    return {name: rest for name, rest in ROWS.items() if name not in names}


def test_what_is_resolved_late_is_what_would_have_been_resolved_at_once() -> None:
    """Documents and rows, in the order of their names, each time that somebody asks."""
    specs, asked = wanted(sample.user("alice")), intent()
    change = asked.take(specs)
    assert change.moved == specs.users.keys()
    assert list(asked.apps) == sorted(["alice", *ROWS])
    assert len(asked.apps) == len(ROWS) + 1
    for name, app in asked.apps.items():
        expected = resolve(specs, name, secrets_digest=app.secrets_digest, key_id=app.key_id)
        assert app == expected
        assert app.secrets_digest is not None
    assert asked.apps["user-01"].hosts == ("user-01.example.com",)
    assert "nobody" not in asked.apps


def test_the_same_again_moves_nobody() -> None:
    """However it is written."""
    asked = intent()
    asked.take(wanted(sample.user("alice")))
    assert not asked.take(wanted("# the same\n" + sample.user("alice"), rows=dict(reversed(ROWS.items()))))


def test_only_the_row_that_changed_moves() -> None:
    """In a value that all of the row depends on, or in a plain one."""
    asked = intent()
    asked.take(wanted())
    rows = {**ROWS, "user-03": "fra,pro,T3,512", "user-04": "lhr,pro,Other,512", "new": "iad,pro,T,512"}
    assert asked.take(wanted(rows=rows)) == Change(moved=frozenset({"user-03", "user-04", "new"}))
    assert asked.apps["user-03"].machines[0].regions == ("fra",)


def test_a_template_moves_those_for_whom_it_says_something_else() -> None:
    """The others' rows are not touched."""
    asked = intent()
    asked.take(wanted())
    fixed = TEMPLATE.replace("{region}", "iad")
    change = asked.take(wanted(template=fixed))
    assert change.moved == {name for name, rest in ROWS.items() if rest.startswith("lhr")}
    assert all(app.machines[0].regions == ("iad",) for app in asked.apps.values())


def test_a_machine_template_moves_everybody_who_uses_it() -> None:
    """By document or by row."""
    asked = intent()
    asked.take(wanted(sample.user("alice")))
    base = sample.BASE.replace("studio:1", "studio:2")
    assert asked.take(wanted(sample.user("alice"), base=base)).moved == {"alice", *ROWS}
    assert "studio:2" in str(asked.apps["user-07"].machines[0].config)


def test_what_no_app_depends_on_moves_nobody() -> None:
    """A budget, say."""
    asked = intent()
    asked.take(wanted(sample.user("alice")))
    base = sample.BASE.replace(
        "regions: [iad, lhr]}", "regions: [iad, lhr], budget: {create: {max_count: 7}}}"
    )
    assert not asked.take(wanted(sample.user("alice"), base=base))


def test_a_row_that_moves_into_a_document_of_its_own_stays_the_same_app() -> None:
    """Nothing vanishes, and nothing moves that is the same."""
    asked = intent()
    asked.take(wanted())
    document = sample.user("user-01", more="  hosts: [user-01.example.com]\n")
    change = asked.take(wanted(document, rows=without("user-01")))
    assert change.vanished == frozenset()
    assert change.moved <= {"user-01"}


def test_a_row_that_does_not_hold_keeps_its_app() -> None:
    """Until it holds again; then it moves only if it says something else."""
    asked = intent()
    asked.take(wanted())
    before = asked.apps["user-02"]
    assert not asked.take(wanted(rows={**ROWS, "user-02": "nowhere,pro,T2,512"}))
    assert asked.kept == {"user-02"}
    assert asked.apps["user-02"] == before
    assert not asked.take(wanted(rows={**ROWS, "user-02": "nowhere,pro,T3,512"}))
    assert asked.apps["user-02"] == before
    assert not asked.take(wanted())
    assert asked.kept == frozenset()


def test_a_few_rows_that_are_gone_are_gone() -> None:
    """As many as may be deleted within an hour, and their hosts are remembered."""
    asked = intent()
    asked.take(wanted())
    change = asked.take(wanted(rows=without("user-00", "user-01")))
    assert change == Change(vanished=frozenset({"user-00", "user-01"}))
    assert asked.last_hosts["user-00"] == ("user-00.example.com",)
    assert asked.last_hosts["user-05"] == ("user-05.example.com",)
    assert "user-00" not in asked.apps


GONE = tuple(f"user-{number:02}" for number in range(4))


def test_a_set_that_lost_more_than_may_be_deleted_is_refused_whole() -> None:
    """Half an export: nobody is gone, nobody new comes, nobody changes, and nothing at all may be deleted."""
    asked = intent()
    asked.take(wanted(sample.user("alice")))
    before = {name: asked.apps[name] for name in ROWS}
    rows = {**without(*GONE), "user-09": "fra,pro,T,512", "new": "iad,pro,T,512"}
    for _ in range(2):
        change = asked.take(wanted(rows=rows))
        assert change.moved == frozenset()
        assert {name: asked.apps.get(name) for name in ROWS} == before
        assert "new" not in asked.apps
        assert not asked.specs.complete
        assert asked.specs.incomplete_because == ("UserAppSet everybody lost 4 of 30 rows",)
        assert asked.shrunk == {"everybody": frozenset(GONE)}
        assert [str(problem) for problem in asked.specs.problems] == [
            "users.csv: UserAppSet everybody lost 4 of its 30 rows at once, and 3 may be deleted within an "
            "hour; all of the set stays as it is: bring the rows back, or approve that [set-shrunk]"
        ]
    assert asked.take(wanted(sample.user("alice"), rows={**ROWS, "new": "iad,pro,T,512"})).moved == {"new"}
    assert asked.specs.complete
    assert asked.shrunk == {}


def test_a_loss_that_is_meant_is_accepted() -> None:
    """By whoever is asked for it, set by set."""
    asked = intent()
    asked.take(wanted())
    told: list[tuple[str, frozenset[str]]] = []

    def accepts(name: str, lost: frozenset[str]) -> bool:
        told.append((name, lost))
        return True

    assert asked.take(wanted(rows=without(*GONE)), accepts=accepts).vanished == set(GONE)
    assert told == [("everybody", frozenset(GONE))]
    assert asked.specs.complete


def test_a_set_whose_document_is_gone_has_lost_all_rows() -> None:
    """It may have been moved away by mistake."""
    asked = intent()
    asked.take(wanted())
    assert asked.take(load({"base.yaml": sample.BASE})) == Change()
    assert len(asked.apps) == len(ROWS)


def test_rows_lost_behind_an_unreadable_file_still_count_as_lost() -> None:
    """A source that is incomplete for a moment does not make the set forget them."""
    asked = intent()
    asked.take(wanted())
    asked.take(wanted("broken: [", rows=without(*GONE)))
    assert len(asked.apps) == len(ROWS)
    assert asked.take(wanted(rows=without(*GONE))) == Change()
    assert asked.shrunk.keys() == {"everybody"}


def test_rows_that_go_to_another_set_are_not_lost() -> None:
    """A set may be renamed."""
    asked = intent()
    asked.take(wanted())
    specs = wanted()
    renamed = load(
        {
            "base.yaml": sample.BASE,
            "set.yaml": f"""apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {{name: all}}
spec:
  source: {{csv: users.csv}}
  template:{TEMPLATE}""",
        },
        tables={"users.csv": HEAD + "".join(f"{name},{rest}\n" for name, rest in ROWS.items())},
    )
    assert renamed.users.keys() == specs.users.keys()
    assert asked.take(renamed) == Change()
    assert asked.specs.complete


@pytest.mark.parametrize("value", ["other", None])
def test_another_value_moves_those_who_are_given_the_secret(value: str | None) -> None:
    """Nobody else; a value that is gone is told, and its users' secrets are not compared."""
    environ = {"FLEET_SECRET_API_KEY": "k"}
    asked = intent(environ)
    asked.take(wanted(sample.user("alice")))
    before = asked.apps["user-01"].secrets_digest
    assert not asked.look_at_secrets()
    environ.clear()
    if value:
        environ["FLEET_SECRET_API_KEY"] = value
    assert asked.look_at_secrets().moved == ROWS.keys()
    assert asked.missing_secrets.keys() == (set() if value else {"API_KEY"})
    after = asked.apps["user-01"].secrets_digest
    assert after != before
    assert (after is None) == (value is None)
    assert not asked.look_at_secrets()
