"""A table of users: each row by itself, and no row that could become more than its values."""

import hashlib
import json
from random import Random
from typing import Any

import pytest

from reconciler.core.desired import resolve
from reconciler.core.spec import Specs, load
from tests.core import sample

TEMPLATE = """
    spec:
      regions: ["{region}"]
      machines:
        - {name: web, template: studio}
"""
CSV = "name,region\nalice,iad\nbob,lhr\n"


def fleet(
    csv: str = CSV,
    *,
    template: str = TEMPLATE,
    source: str = "csv: users.csv",
    more: str = "",
    beside: str = "",
    file: str = "users.csv",
) -> Specs:
    document = f"""apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {{name: everybody}}
spec:
  source: {{{source}}}
  template:{template}{more}"""
    files = {"base.yaml": sample.BASE, "sets/all.yaml": document}
    if beside:
        files["beside.yaml"] = beside
    return load(files, tables={f"sets/{file}": csv})


def lines(specs: Specs) -> list[str]:
    return [str(problem) for problem in specs.problems]


def test_each_row_becomes_a_user_app() -> None:
    """With the row's values where the template names its columns."""
    specs = fleet()
    assert lines(specs) == []
    assert specs.complete
    assert list(specs.users) == ["alice", "bob"]
    assert specs.users["bob"].regions == ("lhr",)
    assert len(specs.users) == 2
    assert "carol" not in specs.users


def test_a_row_resolves_like_the_document_that_it_stands_for() -> None:
    """Whoever writes the same as a `UserApp` gets the same app."""
    document = sample.user("bob", more="  regions: [lhr]\n")
    by_row = fleet("name,region\nbob,lhr\n")
    by_document = load({"base.yaml": sample.BASE, "bob.yaml": document})
    row = resolve(by_row, "bob", secrets_digest=None, key_id=None)
    written = resolve(by_document, "bob", secrets_digest=None, key_id=None)
    assert (row.machines[0].spec_hash, row.regions if hasattr(row, "regions") else ()) == (
        written.machines[0].spec_hash,
        written.regions if hasattr(written, "regions") else (),
    )
    assert row.hosts == written.hosts


@pytest.mark.parametrize(
    "source",
    [
        'rows: [{name: alice, region: iad, n: 2}, {name: bob, region: lhr, n: "3"}]',
        "jsonl: users.csv",
    ],
)
def test_rows_may_stand_in_the_document_or_in_json_lines(source: str) -> None:
    """A number is a number where one is wanted, and text elsewhere."""
    text = '{"name": "alice", "region": "iad", "n": 2}\r\n\n{"name": "bob", "region": "lhr", "n": "3"}'
    template = """
    metadata: {labels: {n: "{n}"}}
    spec:
      regions: ["{region}"]
      machines: [{name: web, template: studio, count: "{n}", config: {env: {N: "{n}", M: "x{n}"}}}]
"""
    specs = fleet(text, template=template, source=source)
    assert lines(specs) == []
    counts = {name: spec.machines[0].count for name, spec in specs.users.items()}
    assert counts == {"alice": 2, "bob": 3}
    assert specs.users["alice"].machines[0].config == {"env": {"N": "2", "M": "x2"}}


@pytest.mark.parametrize(
    "nasty",
    [
        "}, secrets: [API_KEY",
        "x: y",
        "- a",
        "{region}",
        "&a",
        "*a",
        "!!int 3",
        "null",
        "true",
        "0x10",
        '"',
        "''",
    ],
)
def test_a_cell_stays_the_text_it_is(nasty: str) -> None:
    """What would be more than text in YAML, or a hole in a template, is text in a cell."""
    template = """
    spec: {machines: [{name: web, template: studio, config: {env: {SAID: "{said}", AGAIN: "<{said}>"}}}]}
"""
    quoted = nasty.replace('"', '""')
    specs = fleet(f'name,said\nalice,"{quoted}"\n', template=template)
    assert lines(specs) == []
    assert specs.users["alice"].machines[0].config == {"env": {"SAID": nasty, "AGAIN": f"<{nasty}>"}}
    assert specs.users["alice"].secrets == ()


def test_doubled_braces_are_braces() -> None:
    """So that a template can hold JSON."""
    template = """
    spec: {machines: [{name: web, template: studio, config: {env: {J: '{{"n": "{name}"}}'}}}]}
"""
    specs = fleet(template=template)
    assert lines(specs) == []
    assert specs.users["bob"].machines[0].config == {"env": {"J": '{"n": "bob"}'}}


@pytest.mark.parametrize(
    ("csv", "said", "kept"),
    [
        (
            "name,region\nalice,iad\nbob,lhrr\n",
            '(user=bob): spec.regions[0]: "lhrr" is not a region of Fly; expected one of ams, arn, bom, cdg, '
            "dfw, ewr, fra, gru, iad, jnb, lax, lhr, nrt, ord, sin, sjc, syd, yyz; did you mean "
            '"lhr"? [unknown-region]',
            True,
        ),
        (
            "name,region\nalice,iad\nbob\n",
            "(user=bob): has 1 cell, and the header has 2 [row-cells]",
            False,
        ),
        (
            "name,region\nalice,iad\nbob,lhr,x\n",
            "(user=bob): has 3 cells, and the header has 2 [row-cells]",
            False,
        ),
        (
            "name,region\nalice,iad\nBob!,lhr\n",
            '(user=Bob!): metadata.name: "Bob!" is not a name: small letters, digits and dashes, a letter or '
            "digit first and last [bad-name]",
            False,
        ),
        (
            'name,region\nalice,iad\nbob,"lhr\n',
            ": is not valid CSV: a quote opens or closes in the wrong place, or a cell holds a line break, "
            "which none can [table-row]",
            False,
        ),
        (
            "name,region\nalice,iad\nbob,l\0hr\n",
            '(user=bob): the value of "region" holds a control character [row-character]',
            True,
        ),
        (  # the sign that stands for no cell within the program
            "name,region\nalice,iad\nbob,\x1e\n",
            '(user=bob): the value of "region" holds a control character [row-character]',
            True,
        ),
        (
            f"name,region\nalice,iad\n{'b' * 5000},lhr\n",
            f'(user={"b" * 63}…): metadata.name: "{"b" * 59}…" is too long: 5000 characters, at most 62 '
            "[too-long]",
            False,
        ),
        (
            f'name,region\nalice,iad\nbob,"{"l" * 200_000}"\n',
            ": has a cell of more than 131072 characters [table-row]",
            False,
        ),
        (
            "name,region\nalice,iad\nwww,lhr\n",
            '(user=www): metadata.name: "www" is reserved by the Router [reserved-name]',
            True,
        ),
        (
            "name,region\nalice,iad\nrouter,lhr\n",
            '(user=router): metadata.name: gives the Fly app name "acme-router", which is the router\'s own '
            "[app-name-of-router]",
            True,
        ),
        (
            "name,region\nalice,iad\nbob,lhr",
            "(user=bob): its line has no end, so its last value may be cut; end the file with a line break, "
            "or declare count or sha256 [table-cut]",
            False,
        ),
    ],
)
def test_a_row_that_does_not_hold_never_stops_the_others(csv: str, said: str, *, kept: bool) -> None:
    """Its app stays as it is; when nobody can tell whose row it is, every app that is not listed does."""
    specs = fleet(csv)
    (line,) = lines(specs)
    assert line == f"sets/users.csv:3{' ' if said[0] == '(' else ''}{said}"
    assert list(specs.users) == ["alice"]
    assert specs.complete is kept
    if kept:
        assert specs.broken == {csv.splitlines()[2].split(",")[0]}
    else:
        assert specs.incomplete_because


def test_two_rows_of_one_name_both_keep_what_they_had() -> None:
    """Nobody can say which is meant."""
    specs = fleet("name,region\nalice,iad\nbob,lhr\nalice,lhr\n")
    assert lines(specs) == [
        'sets/users.csv:4 (user=alice): there is another row of "alice" in line 2; names are unique '
        "[document-twice]"
    ]
    assert list(specs.users) == ["bob"]
    assert specs.broken == {"alice"}
    assert specs.complete


def test_a_row_and_a_document_of_one_name_both_keep_what_they_had() -> None:
    """The document is told of, and so is the row."""
    specs = fleet(beside=sample.user("alice"))
    assert lines(specs) == [
        'beside.yaml:3:18: metadata.name: a UserApp document and a row are both called "alice"; names are '
        "unique [document-twice]",
        'sets/users.csv:2 (user=alice): metadata.name: a UserApp document and a row are both called "alice"; '
        "names are unique [document-twice]",
    ]
    assert list(specs.users) == ["bob"]
    assert specs.broken == {"alice"}


def test_a_row_whose_document_is_broken_is_left_alone() -> None:
    """The broken document may have said something else."""
    specs = fleet(beside=sample.user("alice", more="  x: 1\n"))
    assert list(specs.users) == ["bob"]
    assert "alice" in specs.broken


HOSTS = """
    spec: {hosts: ["{host}"], machines: [{name: web, template: studio}]}
"""


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (
            "evil.example.net",
            'spec.hosts[0]: "evil.example.net" is outside the Router\'s domains; expected a host below '
            "example.com [host-outside-domains]",
        ),
        (
            "x.example.com/..",
            'spec.hosts[0]: "x.example.com/.." is not a host name; expected one like alice.example.com, '
            "without port or path [bad-host]",
        ),
        ("x.www.example.com", 'spec.hosts[0]: "x.www.example.com" is reserved by the Router [reserved-name]'),
    ],
)
def test_a_cell_makes_no_host_outside_the_routers_domains(host: str, said: str) -> None:
    """Neither by itself nor after rows that were fine."""
    specs = fleet(f"name,host\nalice,a.example.com\nbob,{host}\n", template=HOSTS)
    assert lines(specs) == [f"sets/users.csv:3 (user=bob): {said}"]
    assert list(specs.users) == ["alice"]


@pytest.mark.parametrize("host", ["same.example.com", "carol.example.com"])
def test_two_users_on_one_host_both_keep_what_they_had(host: str) -> None:
    """Rows among each other, and a row against a document whose host follows from its name."""
    rows = f"name,host\nalice,{host}\nbob,b.example.com\n"
    if host.startswith("same"):
        rows += f"dave,{host}\n"
    specs = fleet(rows, template=HOSTS, beside=sample.user("carol"))
    loser = "dave" if host.startswith("same") else "carol"
    assert specs.broken == {"alice", loser}
    assert set(specs.users) == {"alice", "bob", "carol", "dave"} - {"alice", loser} - (
        set() if host.startswith("same") else {"dave"}
    )
    assert all("[host-taken-twice]" in line for line in lines(specs))
    assert len(lines(specs)) == 2


def test_a_row_that_was_dropped_claims_no_host() -> None:
    """Two rows of one name keep what they had; the third on their host has it alone."""
    rows = "name,host\nalice,same.example.com\nbob,same.example.com\nalice,other.example.com\n"
    specs = fleet(rows, template=HOSTS)
    assert list(specs.users) == ["bob"]
    assert len(lines(specs)) == 1


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            '\n    spec: {regions: ["{regoin}"], machines: []}\n',
            'spec.template.spec.regions[0]: sets/users.csv has no column "regoin"; did you mean "region"?; '
            "for a brace write {{ [bad-template]",
        ),
        (
            '\n    spec: {"{name}": 1}\n',
            'spec.template.spec["{name}"]: a column can stand in a value, not in a key [bad-template]',
        ),
        (
            '\n    spec: {hosts: ["{name"]}\n',
            "spec.template.spec.hosts[0]: { alone means nothing; expected {column}, or {{ for a brace "
            "[bad-template]",
        ),
        (
            '\n    spec: {hosts: ["{}"]}\n',
            "spec.template.spec.hosts[0]: {} alone means nothing; expected {column}, or {{ and }} for a "
            "brace [bad-template]",
        ),
        (
            "\n    metadata: {name: bob}\n    spec: {}\n",
            "spec.template.metadata.name: names no column, so every row would have one name [bad-template]",
        ),
    ],
)
def test_a_template_that_means_nothing_refuses_the_set(template: str, said: str) -> None:
    """Whose apps the rows would be is unknown then, so nobody counts as gone."""
    specs = fleet(template=template)
    (line,) = lines(specs)
    assert line.split(": ", 1)[1] == said
    assert not specs.users
    assert not specs.complete


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("csv: users.csv, count: 3", "sets/users.csv has 2 rows, and 3 are declared"),
        (
            f"csv: users.csv, sha256: {'0' * 64}",
            f"sets/users.csv has the SHA-256 {hashlib.sha256(CSV.encode()).hexdigest()}",
        ),
    ],
)
def test_another_file_than_declared_refuses_the_set(source: str, said: str) -> None:
    """All of the set stays as it is: half of the rows may be missing."""
    specs = fleet(source=source)
    (line,) = lines(specs)
    assert said in line
    assert line.endswith("all of the set stays as it is [set-refused]")
    assert not specs.users
    assert not specs.complete


@pytest.mark.parametrize("declared", ["count: 2", f"sha256: {hashlib.sha256(CSV[:-1].encode()).hexdigest()}"])
def test_a_file_as_declared_needs_no_line_break_at_its_end(declared: str) -> None:
    """Some programs write none."""
    specs = fleet(CSV[:-1], source=f"csv: users.csv, {declared}")
    assert lines(specs) == []
    assert list(specs.users) == ["alice", "bob"]
    assert specs.complete


@pytest.mark.parametrize(
    "text",
    ["\ufeff" + CSV, CSV.replace("\n", "\r\n"), CSV.replace("\n", "\n\n"), CSV.replace("iad", '"iad"')],
)
def test_what_spreadsheets_write_is_read(text: str) -> None:
    """A mark at the beginning, Windows line ends, empty lines, quotes."""
    specs = fleet(text)
    assert lines(specs) == []
    assert list(specs.users) == ["alice", "bob"]
    assert specs.complete


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            "sets/users.csv:1: there is no header; expected the names of the columns in the first line "
            "[table-header]",
        ),
        ("name,region,name\n", 'sets/users.csv:1: the column "name" stands here twice [table-header]'),
        ("name,,region\n", 'sets/users.csv:1: "" is not the name of a column [table-header]'),
        (
            "name;region\nalice;iad\n",
            'sets/users.csv:1: "name;region" seems to be several columns; expected commas between them '
            "[table-header]",
        ),
        (
            "name,region\ralice,iad\r",
            "sets/users.csv:1: the header has a carriage return in the middle; expected lines that end in "
            "\\n or \\r\\n [table-header]",
        ),
        (
            'name,"region\n',
            "sets/users.csv:1: the header is not valid CSV: a quote opens or closes in the wrong place, or a "
            "cell holds a line break, which none can [table-header]",
        ),
        (
            ",".join(f"c{number}" for number in range(30_000)) + "\n1\n",
            "sets/users.csv:1: there are 30000 columns; a table has at most 1000 [table-header]",
        ),
        ("name,region\n", "sets/users.csv: it has no rows; if that is meant, declare count: 0 [table-empty]"),
    ],
)
def test_a_table_that_says_nothing_deletes_nothing(text: str, said: str) -> None:
    """An empty export is no wish to be rid of everybody."""
    specs = fleet(text)
    assert said in lines(specs)
    assert not specs.complete


def test_an_empty_table_may_be_declared() -> None:
    """Then it is meant."""
    specs = fleet("name,region\n", source="csv: users.csv, count: 0")
    assert lines(specs) == []
    assert specs.complete


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": "bob", "region": "lhr"', ":2: is no row: it is not valid JSON [table-row]"),
        ("[1]", ":2: is no row; expected a JSON object [table-row]"),
        ('{"name": "bob", "name": "x"}', ':2: is no row: "name" stands here twice [table-row]'),
        ('{"name": "bob", "region": NaN}', ":2: is no row: NaN is no number [table-row]"),
        ('{"name": "bob"}', ' (user=bob): has no "region" [row-cells]'),
        (
            '{"name": "bob", "region": ["lhr"]}',
            ' (user=bob): "region" is a list; expected text or a number [wrong-type]',
        ),
        (
            '{"name": "bob", "region": "lhr", "overrides": 1}',
            " (user=bob): overrides must be a mapping: a patch over the user's spec [wrong-type]",
        ),
    ],
)
def test_a_line_of_json_that_is_no_row_is_one_line(text: str, said: str) -> None:
    """The other rows are taken."""
    specs = fleet('{"name": "alice", "region": "iad"}\n' + text, source="jsonl: users.csv")
    (line,) = lines(specs)
    assert line == f"sets/users.csv{'' if said[0] == ':' else ':2'}{said}"
    assert list(specs.users) == ["alice"]


def test_a_few_may_be_different() -> None:
    """By a JSON merge patch over the user's spec: in the document, or in the row itself."""
    specs = fleet(
        '{"name": "alice", "region": "iad", "overrides": {"protect": true}}\n'
        '{"name": "bob", "region": "lhr"}\n',
        source="jsonl: users.csv",
        more="  overrides: {bob: {regions: null, protect: false}}\n",
    )
    assert lines(specs) == []
    assert (specs.users["alice"].protect, specs.users["alice"].regions) == (True, ("iad",))
    assert (specs.users["bob"].protect, specs.users["bob"].regions) == (False, None)


def test_an_override_removes_no_field_that_nobody_knows() -> None:
    """A misspelt field would stay, and nobody would be told."""
    specs = fleet(more="  overrides: {bob: {regoins: null, protect: null}}\n")
    (line,) = lines(specs)
    assert line.startswith("sets/all.yaml:11:21: spec.overrides.bob.regoins: unknown field; did you mean")


def test_an_override_is_checked_like_a_document() -> None:
    """Its row is broken, and whoever it names must have a row."""
    specs = fleet(more="  overrides: {alice: {protekt: true}, bobb: {protect: true}}\n")
    assert lines(specs) == [
        'sets/all.yaml:11:39: spec.overrides.bobb: there is no row of "bobb"; did you mean "bob"? '
        "[unknown-reference]",
        'sets/users.csv:2 (user=alice): spec.protekt: unknown field; did you mean "protect"? [unknown-field]',
    ]
    assert list(specs.users) == ["bob"]


def test_a_missing_template_breaks_every_row_and_is_said_for_each() -> None:
    """Their apps stay as they are."""
    specs = fleet(template='\n    spec: {machines: [{name: web, template: "x"}]}\n')
    assert specs.broken == {"alice", "bob"}
    assert specs.complete
    assert all("there is no Machine called" in line for line in lines(specs))


@pytest.mark.parametrize("damage", ["spec: {}", "kind: UserAppSet\nspec: {}"])
def test_a_set_that_does_not_hold_freezes_deletion(damage: str) -> None:
    """It may list anybody."""
    broken = f"apiVersion: reconciler/v1alpha1\nkind: UserAppSet\nmetadata: {{name: x}}\n{damage}\n"
    specs = load({"base.yaml": sample.BASE, "x.yaml": broken})
    assert not specs.complete
    assert specs.incomplete_because


def test_a_digest_is_as_sha256sum_prints_it() -> None:
    """Anything else is a slip."""
    specs = fleet(source="csv: users.csv, sha256: abc")
    assert lines(specs) == [
        'sets/all.yaml:5:36: spec.source.sha256: "abc" is not a SHA-256 digest: 64 digits of 0-9 and a-f, as '
        "sha256sum prints it [bad-digest]"
    ]


def test_a_thousand_problems_are_enough() -> None:
    """The rest is counted."""
    rows = "".join(f"user-{number},nowhere\n" for number in range(3000))
    specs = fleet("name,region\n" + rows)
    assert len(specs.problems) == 1001
    assert lines(specs)[0] == "sets/users.csv: 2000 more problems like these are not shown [more-problems]"
    assert len(specs.broken) == 3000
    assert specs.complete


def test_two_sets_of_one_file_are_told_of_at_once() -> None:
    """Every name stands twice: looking each of them up, and telling each, would take hours."""
    document = """apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: NAME}
spec: {source: {csv: users.csv}, template: {spec: {machines: [{name: web, template: studio}]}}}
"""
    files = {f"{name}.yaml": document.replace("NAME", name) for name in ("one", "two")}
    table = "name\n" + "".join(f"user-{number}\n" for number in range(20_000))
    specs = load({"base.yaml": sample.BASE, **files}, tables={"users.csv": table})
    assert len(specs.users) == 0
    assert len(specs.broken) == 20_000
    assert len(specs.problems) == 501  # two of one line are told once
    assert lines(specs)[0] == "users.csv: 39000 more problems like these are not shown [more-problems]"


def test_a_table_has_a_thousand_columns_at_most() -> None:
    """A line of JSON can make columns, and each takes room in every row."""
    table = "".join(json.dumps({"name": f"u{at}", "region": "iad", f"c{at}": 1}) + "\n" for at in range(1010))
    specs = fleet(table, source="jsonl: users.csv")
    assert len(specs.users) == 998
    assert len(specs.problems) == 12
    assert lines(specs)[0] == (
        'sets/users.csv:999 (user=u998): "c998" is one column too many; a table has at most 1000 '
        "[table-header]"
    )


def test_a_row_without_a_name_is_told_by_its_line() -> None:
    """There is no user to name."""
    specs = fleet('{"name": "alice", "region": "iad"}\n{"region": "iad"}\n', source="jsonl: users.csv")
    assert lines(specs) == ['sets/users.csv:2: has no "name" [row-cells]']
    assert list(specs.users) == ["alice"]
    assert not specs.complete


def test_what_a_row_says_is_checked_in_every_row() -> None:
    """Whatever combinations held before it."""
    template = """
    spec:
      regions: ["{region}"]
      machines: [{name: web, template: studio, count: "{n}", config: {env: {WHO: "{name}"}}}]
"""
    rows: list[tuple[str, str, Any]] = [
        ("a", "iad", 1),
        ("b", "iad", 2),
        ("c", "xxx", 1),
        ("d", "iad", 101),
        ("e", "iad", 1),
    ]
    specs = fleet("name,region,n\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows), template=template)
    assert list(specs.users) == ["a", "b", "e"]
    assert specs.broken == {"c", "d"}


def test_rows_hold_exactly_where_documents_would() -> None:
    """Hundreds of rows, good and bad in every mixture, against a `UserApp` document for each."""
    random = Random(7)  # noqa: S311 (made-up rows)
    template = """
    metadata: {labels: {plan: "{plan}"}}
    spec:
      hosts: ["{host}"]
      regions: ["{region}"]
      machines:
        - name: web
          template: "{template}"
          count: "{count}"
          config: {env: {PLAN: "{plan}"}, guest: {cpu_kind: shared, cpus: 1, memory_mb: "{mb}"}}
          mount: {name: data, path: /data, size_gb: "{gb}"}
"""
    rows = []
    for number in range(400):
        name = random.choice(
            [f"user-{number}", f"user-{number}", f"user-{number}", "www", "router", f"-{number}"]
        )
        rows.append(
            {
                "name": name,
                "host": random.choice(
                    [f"h{number}.example.com", f"h{number}.example.com", "x.example.net", "a b"]
                ),
                "region": random.choice(["iad", "lhr", "lhr", "xxx"]),
                "template": random.choice(["studio", "studio", "studio", "studioo"]),
                "count": random.choice(["1", "2", "0", "1", "101", "x"]),
                "mb": random.choice(["512", "1024", "512", "3"]),
                "gb": random.choice(["1", "5", "", "1"]),
                "plan": f"plan {number}: 'x'",
            }
        )
    names = [row["name"] for row in rows]
    rows = [row for row in rows if names.count(row["name"]) == 1]
    table = ",".join(rows[0]) + "\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    by_row = fleet(table, template=template)
    by_document = load({"base.yaml": sample.BASE, "all.yaml": "\n---\n".join(map(as_document, rows))})
    assert 20 < len(by_row.users) < 200
    assert list(by_row.users) == list(by_document.users)
    for name in by_row.users:
        made = resolve(by_row, name, secrets_digest=None, key_id=None)
        assert made == resolve(by_document, name, secrets_digest=None, key_id=None)


def as_document(row: dict[str, str]) -> str:
    """What somebody would write who knows of no sets."""

    def number(text: str) -> object:
        return int(text) if text.isdigit() else text

    guest = {"cpu_kind": "shared", "cpus": 1, "memory_mb": number(row["mb"])}
    machine = {
        "name": "web",
        "template": row["template"],
        "count": number(row["count"]),
        "config": {"env": {"PLAN": row["plan"]}, "guest": guest},
        "mount": {"name": "data", "path": "/data", "size_gb": number(row["gb"])},
    }
    document = {
        "apiVersion": "reconciler/v1alpha1",
        "kind": "UserApp",
        "metadata": {"name": row["name"], "labels": {"plan": row["plan"]}},
        "spec": {"hosts": [row["host"]], "regions": [row["region"]], "machines": [machine]},
    }
    return json.dumps(document)
