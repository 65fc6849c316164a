"""The router's table: only what is observed and proven ours, and no visitor at somebody else's app."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.fleet import Member
from reconciler.core.observed import Claim
from reconciler.core.replay_spec import ALIASES, ReplaySpec
from reconciler.core.routes import build
from reconciler.core.scalar import REGIONS
from router.replay import Replays
from router.table import Entry, Route, Table, Terms, Unavailable


def member(name: str = "alice", **changes: Any) -> Member:
    fields: dict[str, Any] = {
        "name": name,
        "app_name": f"acme-{name}",
        "hosts": (f"{name}.example.com",),
        "claim": Claim.OURS,
        "unclaimed": False,
        "machines": {"web-0": f"id-{name}"},
        "why_not": "",
        "conditions": (),
    }
    return Member(**{**fields, **changes})


def table(*members: Member, **changes: Any) -> Table:
    fields: dict[str, Any] = {
        "domains": ("example.com",),
        "reserved": ("admin",),
        "listener_apps": ("acme-router",),
        "replay": ReplaySpec(),
        "revision": 7,
    }
    return build(members, **{**fields, **changes})


def reason(entry: Entry) -> str:
    assert isinstance(entry, Unavailable)
    return entry.reason


def test_a_serving_app_is_routed_by_host_and_by_name_with_its_machines() -> None:
    made = table(member())
    route = Route("acme-alice", {"web-0": "id-alice"})
    assert made == Table(7, {"alice.example.com": route}, {"alice": route}, Terms(15_000, "force_self"))


def test_hosts_are_lower_case_without_a_final_dot() -> None:
    assert list(table(member(hosts=("Alice.Example.COM.",))).hosts) == ["alice.example.com"]


def test_an_app_that_is_not_proven_ours_is_never_routed_whatever_else_it_says() -> None:
    for claim in (Claim.ABSENT, Claim.FOREIGN, Claim.TAKEN):
        made = table(member(claim=claim))
        assert not [
            entry for entry in (*made.hosts.values(), *made.users.values()) if isinstance(entry, Route)
        ]


def test_an_app_that_does_not_serve_says_why_in_words_without_internals() -> None:
    for why_not in (
        "Creating",
        "Updating",
        "Failed",
        "Stopped",
        "NameTaken",
        "Foreign",
        "Held",
        "Unreachable",
    ):
        entry = table(member(why_not=why_not, machines={})).users["alice"]
        assert reason(entry) == why_not
        assert isinstance(entry, Unavailable)
        assert "acme" not in entry.message
        assert entry.message.endswith(".")
        assert entry.retry_after_s > 0


def test_a_listeners_own_app_is_never_a_target() -> None:
    made = table(member("router", app_name="acme-router"))
    assert reason(made.hosts["router.example.com"]) == "ListenerApp"
    assert reason(made.users["router"]) == "ListenerApp"


def test_a_host_outside_the_domains_or_with_a_reserved_label_leads_nowhere() -> None:
    hosts = (
        "alice.example.com",
        "alice.example.org",
        "example.com.evil",
        "badexample.com",
        "admin.example.com",
    )
    assert list(table(member(hosts=hosts)).hosts) == ["alice.example.com"]


def test_an_app_without_a_document_is_routed_where_it_was_last_known() -> None:
    assert list(table(member(unclaimed=True, hosts=("a.example.com",))).hosts) == ["a.example.com"]


def test_after_a_restart_an_app_without_a_document_is_routed_by_its_name_below_every_domain() -> None:
    made = table(member(unclaimed=True, hosts=()), domains=("example.com", "example.org"))
    assert list(made.hosts) == ["alice.example.com", "alice.example.org"]


def test_an_app_with_a_document_wins_its_host_over_one_without() -> None:
    old = member("old", unclaimed=True, hosts=("alice.example.com",))
    for members in ((old, member()), (member(), old)):
        assert table(*members).hosts["alice.example.com"] == Route("acme-alice", {"web-0": "id-alice"})


def test_a_host_with_a_document_that_does_not_serve_yet_does_not_fall_back_to_one_without() -> None:
    old = member("old", unclaimed=True, hosts=("alice.example.com",))
    new = member(why_not="Creating", machines={})
    assert reason(table(old, new).hosts["alice.example.com"]) == "Creating"


def test_a_host_that_two_documents_want_leads_to_neither() -> None:
    made = table(member("alice"), member("mallory", hosts=("alice.example.com", "mallory.example.com")))
    assert reason(made.hosts["alice.example.com"]) == "HostConflict"
    assert isinstance(made.hosts["mallory.example.com"], Route)


@pytest.mark.parametrize(
    ("said", "terms"),
    [
        ({}, Terms(15_000, "force_self")),
        ({"timeout": "none", "fallback": "none"}, Terms()),
        (
            {"timeout": "8s", "fallback": "prefer_self", "region": ["eu", "any"]},
            Terms(8_000, "prefer_self", ("eu", "any")),
        ),
        (
            {"timeout": "800ms", "fallback": "force_self", "region": "iad, ord"},
            Terms(800, "force_self", ("iad", "ord")),
        ),
    ],
)
def test_what_the_router_document_says_about_replays_reaches_the_table(said: Any, terms: Terms) -> None:
    """A comma list of regions is as good as a list, and keeps its order."""
    assert table(member(), replay=ReplaySpec.model_validate(said)).terms == terms


regions = st.lists(st.sampled_from(sorted(REGIONS | ALIASES)), min_size=1, unique=True)


@given(
    timeout=st.integers(100, 60_000).map("{}ms".format)
    | st.integers(1, 60).map("{}s".format)
    | st.just("none"),
    fallback=st.sampled_from(["force_self", "prefer_self", "none"]),
    region=st.none() | regions.map(lambda some: sorted(some, key=lambda one: one == "any")),
)
def test_whatever_a_document_may_say_about_replays_the_router_can_write(
    timeout: str, fallback: str, region: list[str] | None
) -> None:
    """No document that holds can keep a table from being published."""
    spec = ReplaySpec.model_validate({"timeout": timeout, "fallback": fallback, "region": region})
    made = Replays(table(member(), replay=spec).terms)
    answer = made.answer("acme-alice", instance=None, prefer_instance=None, state=None)
    assert (timeout == "none") == (b";timeout=" not in answer.head)
    assert (fallback == "none") == (b";fallback=" not in answer.head)
    assert (region is None) == (b";region=" not in answer.head)


@st.composite
def members(draw: st.DrawFn) -> Member:
    name = draw(st.sampled_from(["alice", "bob", "carol", "router"]))
    why_not = draw(st.sampled_from(["", "", "Creating", "Foreign"]))
    is_unclaimed = draw(st.booleans())
    host = st.sampled_from(["alice.example.com", "BOB.example.com", "admin.example.com", "evil.org"])
    return member(
        name,
        hosts=tuple(draw(st.lists(host, max_size=2))),
        claim=draw(st.sampled_from(list(Claim))),
        unclaimed=is_unclaimed,
        why_not=why_not,
    )


@given(st.lists(members(), unique_by=lambda one: one.name), st.randoms())
def test_a_table_leads_only_to_proven_serving_apps_and_does_not_depend_on_order(
    fleet: list[Member], random: Any
) -> None:
    made = table(*fleet)
    allowed = {
        one.app_name
        for one in fleet
        if one.claim is Claim.OURS and one.serving and one.app_name != "acme-router"
    }
    for entry in (*made.hosts.values(), *made.users.values()):
        assert not isinstance(entry, Route) or entry.app in allowed
    for host in made.hosts:
        assert host == host.lower()
        assert host.endswith(".example.com")
        assert host != "admin.example.com"
    random.shuffle(fleet)
    assert table(*fleet) == made
