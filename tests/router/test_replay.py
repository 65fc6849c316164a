"""The one answer that sends a visitor on: its bytes, by what the table says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.guard import check, settings
from router.replay import Replays, render
from router.server import Router
from router.state import app_key
from router.table import Route, Table, Terms
from tests.router.wireless import MANAGED, NOW, PRIVATE, ROOT, get, send, signer

ALICE = Route("acme-alice", {"web-0": "91851e6b000001"})
PAIR = Route("acme-pair", {"web-1": "91851e6b000003", "web-0": "91851e6b000002"})
USUAL = Terms(timeout_ms=15_000, fallback="force_self")


def table(terms: Terms) -> Table:
    return Table(
        hosts={"alice.example.com": ALICE, "pair.example.com": PAIR}, users={"alice": ALICE}, terms=terms
    )


@pytest.mark.parametrize(
    ("terms", "fields"),
    [
        (Terms(), b""),
        (USUAL, b";timeout=15s;fallback=force_self"),
        (Terms(timeout_ms=100), b";timeout=100ms"),
        (Terms(timeout_ms=1_500), b";timeout=1500ms"),
        (Terms(timeout_ms=60_000, fallback="prefer_self"), b";timeout=60s;fallback=prefer_self"),
        (Terms(fallback="force_self"), b";fallback=force_self"),
        (Terms(regions=("iad",)), b";region=iad"),
        (Terms(regions=("syd", "eu", "any")), b';region="syd,eu,any"'),
        (Terms(1_000, "force_self", ("iad", "ord")), b';region="iad,ord";timeout=1s;fallback=force_self'),
    ],
)
def test_a_replay_says_its_terms_in_flys_own_form(terms: Terms, fields: bytes) -> None:
    """A time always has its unit; regions keep their order, and are quoted when a comma is between them."""
    (line,) = send(get(), table=table(terms), auth="none").replays
    assert line == b"fly-replay: app=acme-alice" + fields


def test_the_state_stands_before_the_terms_and_still_opens_the_machine() -> None:
    """The guard accepts the state of a replay that carries a timeout and a fallback."""
    (line,) = send(get(), table=table(USUAL)).replays
    app, state, *terms = line.removeprefix(b"fly-replay: ").split(b";")
    environ = {"FLY_APP_NAME": "acme-alice", "PRESHARED_KEY": app_key(ROOT, "public", "acme-alice")}
    headers = [(b"host", b"alice.example.com"), (b"fly-replay-src", b"instance=1;region=iad;t=1;" + state)]
    chosen = settings(purpose="public", port=443, environ=environ)
    assert (app, terms) == (b"app=acme-alice", [b"timeout=15s", b"fallback=force_self"])
    assert check("GET", "/", headers, settings=chosen, now=NOW + 60).reason == "accepted"


def test_both_doors_keep_the_same_terms() -> None:
    """A replay to a user who was named carries them like one to a host."""
    asked = get(b"gateway.flycast:9090", b"X-User-App: alice", marks=MANAGED)
    (line,) = send(asked, table=table(USUAL), listener=PRIVATE, auth="none").replays
    assert line == b"fly-replay: app=acme-alice;timeout=15s;fallback=force_self"


def test_one_machine_named_exactly_is_not_looked_for_by_region() -> None:
    """It is where it is; a preferred machine leaves a choice, which the regions narrow."""
    terms = Terms(regions=("iad", "ord"))
    asked = get(b"gateway.flycast:9090", b"X-User-App: alice", b"X-User-Machine: web-0", marks=MANAGED)
    exact = send(asked, table=table(terms), listener=PRIVATE, auth="none").replays
    preferred = send(get(b"pair.example.com"), table=table(terms), auth="none").replays
    assert exact == [b"fly-replay: app=acme-alice;instance=91851e6b000001"]
    assert preferred == [b'fly-replay: app=acme-pair;region="iad,ord";prefer_instance=91851e6b000003']


@pytest.mark.parametrize("app", ["", "Acme", "a;b", "a b", "a\n", "-a", "a" * 63, "a,state=b", 'a"b', "ä"])
def test_only_fly_app_names_are_rendered(app: str) -> None:
    """Fly's own rule for names is checked right before the bytes are made."""
    with pytest.raises(ValueError, match="app name"):
        render(app)
    with pytest.raises(ValueError, match="machine id"):
        render("a", instance=app or "A")


@pytest.mark.parametrize(
    "terms",
    [
        Terms(timeout_ms=0),
        Terms(timeout_ms=99),
        Terms(timeout_ms=60_001),
        Terms(fallback="force_self;app=evil"),  # type: ignore[arg-type]  # what types keep out is tried too
        Terms(fallback=""),  # type: ignore[arg-type]  # what types keep out is tried too
        Terms(regions=("iad;app=evil",)),
        Terms(regions=("iad", 'ord"')),
        Terms(regions=("iad,ord",)),
        Terms(regions=("iad\r\nset-cookie: a=b",)),
        Terms(regions=("iad\n",)),
        Terms(regions=("",)),
        Terms(regions=("IAD",)),
    ],
    ids=str,
)
def test_terms_that_could_mislead_fly_are_never_published(terms: Terms) -> None:
    """They are refused as a whole, before any request, and the table before stays in force."""
    router = Router(signer())
    before = table(USUAL)
    router.publish(before)
    with pytest.raises(ValueError, match=r"timeout|fallback|region"):
        router.publish(table(terms))
    assert router.table is before


ANSWER = re.compile(
    rb"HTTP/1\.1 307 [A-Za-z ]+\r\ncontent-length: 0\r\ncache-control: no-store\r\n"
    rb'fly-replay: app=[a-z0-9-]+(;region=([a-z]+|"[a-z]+(,[a-z]+)+"))?(;prefer_instance=[0-9a-z]+)?'
    rb"(;state=[A-Za-z0-9_.-]+)?(;timeout=[1-9][0-9]*m?s)?(;fallback=(force|prefer)_self)?\r\n"
)


@given(
    timeout_ms=st.none() | st.integers(-1, 70_000),
    fallback=st.sampled_from([None, "force_self", "prefer_self", "none", "force_self\r\n"]),
    regions=st.lists(st.sampled_from(["iad", "us", "any", "i;d", "", "a,b", 'x"']), max_size=4),
    machine=st.none() | st.sampled_from(["91851e6b000001", "x;app=evil"]),
    state=st.none() | st.just("v1.a1b2c3d4.1780000160.abc-_"),
)
def test_whatever_the_table_says_an_answer_is_in_the_grammar_or_is_not_made(
    timeout_ms: int | None, fallback: object, regions: list[str], machine: str | None, state: str | None
) -> None:
    """One line, `key=value` fields between semicolons, each key once, a unit on every time."""
    terms = Terms(timeout_ms, fallback, tuple(regions))  # type: ignore[arg-type]  # wrong ones are the point
    try:
        made = Replays(terms).answer("acme-a", instance=None, prefer_instance=machine, state=state)
    except ValueError:
        return
    assert ANSWER.fullmatch(made.head)
    assert made.body == b""
