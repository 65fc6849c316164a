"""Conditions and members: what `status` tells and what the router may use, from rows or a whole reading."""

from dataclasses import replace

import pytest

from reconciler.core import mark
from reconciler.core.desired import DesiredApp
from reconciler.core.fleet import Member, failing, from_reading, from_rows, unclaimed
from reconciler.core.kinds import FleetSpec
from reconciler.core.observed import Claim, ListedApp, ObservedApp, ObservedFleet
from reconciler.core.spec import FleetDoc, Specs
from reconciler.core.status import Condition, Status
from tests.core.alice import (
    CONFIG,
    SERVICES,
    absent,
    alice,
    app,
    found,
    listed,
    marks,
    plan_app,
    rows,
    slot,
    with_volume,
)


def read(desired: DesiredApp, observed: ObservedApp) -> Member:
    return from_reading(desired, observed, plan_app(desired, observed))


def told(member: Member) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in member.conditions}


def test_an_app_as_documented_is_ready_and_serves() -> None:
    desired = alice(slot())
    member = read(desired, app(found(desired, slot())))
    assert told(member) == {
        "Ready": ("True", "AsDocumented"),
        "Progressing": ("False", "Nothing"),
        "Stalled": ("False", "Nothing"),
    }
    assert (member.serving, dict(member.machines)) == (True, {"web-0": "id-web-0"})


def test_rows_tell_the_same_as_a_whole_reading_when_they_agree() -> None:
    desired = alice(slot("web-0"), slot("web-1"))
    machines = [found(desired, machine) for machine in desired.machines]
    assert from_rows(desired, listed(desired), rows(machines)) == read(desired, app(*machines))


def test_an_app_to_be_made_is_progressing() -> None:
    member = read(alice(slot()), absent())
    assert told(member)["Progressing"] == ("True", "Acting")
    assert told(member)["Ready"][0] == "False"
    assert member.why_not == "Creating"


def test_a_held_app_is_stalled_and_says_why() -> None:
    desired = alice(with_volume())
    gone = found(desired, desired.machines[0], volume="vol_1", state="destroyed")
    member = read(desired, app(gone=(gone,)))
    assert told(member)["Stalled"] == ("True", "VolumeMissing")
    assert member.why_not == "Held"


def test_a_name_that_another_organisation_has_is_its_own_condition() -> None:
    member = read(alice(slot()), replace(absent(), claim=Claim.TAKEN))
    assert told(member)["NameTaken"] == ("True", "OtherOrganisation")
    assert (member.serving, member.why_not) == (False, "NameTaken")


def test_drift_and_public_addresses_are_conditions_of_their_own() -> None:
    desired = alice(slot(), corrects_drift=False)
    machine = found(desired, slot(), config={"image": "other:1"}, version="v2")
    machine = replace(
        machine, config={**machine.config, "metadata": {**machine.metadata, mark.VERSION: "v1"}}
    )
    member = read(desired, app(machine, public_addresses=("2001:db8::1",)))
    assert told(member)["Drifted"] == ("True", "ChangedByHand")
    assert told(member)["PubliclyReachable"] == ("True", "PublicAddress")
    assert told(member)["Ready"][0] == "True"


def test_rows_that_do_not_agree_leave_readiness_unknown_and_keep_the_route() -> None:
    desired = alice(slot(spec_hash="spec2"))
    member = from_rows(desired, listed(desired), rows([found(alice(slot()), slot())]))
    assert told(member)["Ready"] == ("Unknown", "NotRead")
    assert member.serving


def test_a_failing_pass_is_progressing_while_retried_and_stalled_when_not() -> None:
    desired = alice(slot())
    member = read(desired, app(found(desired, slot())))
    again = failing(member, reason="TooFast", message="rate limit exceeded", retries=True)
    stuck = failing(member, reason="Unauthorized", message="the token is refused", retries=False)
    assert told(again) == {
        "Ready": ("False", "TooFast"),
        "Progressing": ("True", "Retrying"),
        "Stalled": ("False", "Nothing"),
    }
    assert told(stuck)["Stalled"] == ("True", "Unauthorized")
    assert stuck.serving
    assert Condition("Ready", Status.FALSE, "TooFast", "rate limit exceeded") in again.conditions


@pytest.mark.parametrize(
    ("state", "why_not"),
    [
        ("started", ""),
        ("starting", ""),
        ("restarting", ""),
        ("stopping", ""),
        ("stopped", ""),
        ("suspended", ""),
        ("created", "Creating"),
        ("replacing", "Updating"),
        ("failed", "Failed"),
        ("destroying", "Creating"),
    ],
)
def test_a_machine_serves_when_it_runs_or_wakes_on_a_request(state: str, why_not: str) -> None:
    desired = alice(slot())
    machine = found(desired, slot(), state=state)
    assert read(desired, app(machine)).why_not == why_not
    assert from_rows(desired, listed(desired), rows([machine])).why_not == why_not


def test_a_machine_asleep_that_no_request_wakes_does_not_serve() -> None:
    services = [{**SERVICES[0], "autostart": False}]
    desired = alice(slot(config={**CONFIG, "services": services}, skip_launch=True))
    assert read(desired, app(found(desired, desired.machines[0], state="stopped"))).why_not == "Stopped"


def test_a_machine_that_is_cordoned_or_on_a_lost_host_does_not_serve() -> None:
    desired = alice(slot())
    machine = found(desired, slot())
    assert read(desired, app(replace(machine, cordoned=True))).why_not == "Cordoned"
    lost = replace(machine, host_status="unreachable", config={}, submitted=None)
    assert read(desired, app(lost)).why_not == "Unreachable"


def test_the_machines_that_serve_go_on_while_another_is_replaced() -> None:
    desired = alice(slot("web-0"), slot("web-1"))
    first, second = (found(desired, machine) for machine in desired.machines)
    member = read(desired, app(replace(first, state="replacing"), second))
    assert dict(member.machines) == {"web-1": "id-web-1"}


def test_rows_of_an_app_without_our_network_never_make_a_route() -> None:
    desired = alice(slot())
    theirs = listed(desired, network="default")
    member = from_rows(desired, theirs, rows([found(desired, slot(), metadata={})]))
    assert (member.claim, member.serving) == (Claim.FOREIGN, False)


def test_rows_of_an_adopted_app_make_a_route_by_our_mark() -> None:
    """Its label stands in no list; host and app are the document's words, so no tenant can steal a route."""
    desired = alice(slot())
    adopted = listed(desired, network="default")
    member = from_rows(desired, adopted, rows([found(desired, slot())]))
    assert (member.claim, member.serving) == (Claim.OURS, True)
    other = replace(desired, app_name="acme-bob")
    assert from_rows(other, adopted, rows([found(desired, slot())])).claim is Claim.FOREIGN


# --- without a document

FLEET = FleetDoc(
    "main",
    FleetSpec.model_validate(
        {"org": "acme", "installation": "inst01", "app_name": "acme-{name}", "regions": ["iad"]}
    ),
)


def fleet(*apps: ListedApp) -> ObservedFleet:
    desired = alice(slot())
    machines = rows([found(desired, slot(), state="stopped")])
    return ObservedFleet({one.name: one for one in apps}, {"acme-alice": machines})


OURS = ListedApp("acme-alice", "inst01-alice")


def test_an_app_whose_document_is_gone_stays_routed_and_says_so() -> None:
    (member,) = unclaimed(Specs(fleet=FLEET), fleet(OURS), last_hosts={"alice": ("alice.example.com",)})
    assert (member.name, member.serving, dict(member.machines)) == ("alice", True, {"web-0": "id-web-0"})
    assert member.hosts == ("alice.example.com",)
    assert told(member)["Unclaimed"] == ("True", "DocumentGone")


def test_an_app_whose_document_broke_or_could_not_be_read_is_told_apart() -> None:
    broken = Specs(fleet=FLEET, broken=frozenset({"alice"}))
    partial = Specs(fleet=FLEET, complete=False)
    reasons = [
        told(member)["Unclaimed"][1]
        for specs in (broken, partial)
        for member in unclaimed(specs, fleet(OURS), last_hosts={})
    ]
    assert reasons == ["DocumentBroken", "DocumentUnreadable"]


@pytest.mark.parametrize(
    "other",
    [
        ListedApp("acme-alice", "default"),
        ListedApp("acme-alice", "inst01-bob"),
        ListedApp("acme-alice", "other1-alice"),
        ListedApp("router", "inst01-alice"),
    ],
    ids=["no network", "somebody's network", "another installation", "another name"],
)
def test_an_app_without_the_whole_proof_is_not_ours_to_route(other: ListedApp) -> None:
    assert unclaimed(Specs(fleet=FLEET), fleet(other), last_hosts={}) == ()


def test_nobody_is_sent_to_a_machine_that_is_withdrawn_by_any_router() -> None:
    """By rows and by a whole reading, with its document and without: routers follow at their own pace."""
    desired = alice(slot())
    machine = found(desired, slot(), metadata={**marks(desired, slot()), mark.WITHDRAWN: "true"})
    by_rows = from_rows(desired, listed(desired), rows([machine]))
    lists = ObservedFleet({"acme-alice": OURS}, {"acme-alice": rows([machine])})
    (without,) = unclaimed(Specs(fleet=FLEET), lists, last_hosts={})
    members = [by_rows, read(desired, app(machine)), without]
    assert [(one.why_not, dict(one.machines)) for one in members] == [("Withdrawn", {})] * 3
