"""Laws that hold for a whole world whatever is asked of its API, in whatever order, at whatever moment."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from localfly.consistency import Lag
from localfly.lease import held
from localfly.moment import rfc3339
from localfly.world import Machine
from tests.localfly.inprocess import Laptop, laptop
from tests.localfly.requests import config
from tests.virtual_time import VirtualTimeLoop

APPS = ("alice", "bob")
NAMES = st.sampled_from(["web-0", "web-1"])
OVERLAP_S = 60.0  # further back than any lag here
LIVES = ("start", "stop", "suspend", "restart", "cordon", "uncordon")

Row = dict[str, Any]


class WorldLaws(RuleBasedStateMachine):
    """Somebody uses the API in any way; after every step the laws below hold."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.entered = laptop()
        self.fly: Laptop = self.runner.run(self.entered.__aenter__())
        self.gone: set[str] = set()  # machines that were seen destroyed
        self.deleted: set[str] = set()  # volumes
        self.versions: dict[str, list[str]] = {}
        self.secrets: dict[str, int] = {}
        self.changed: dict[str, float] = {}
        self.polled_at = 0.0
        self.rows: dict[str, Row] = {}  # what a poller of `updated_after` believes

    def teardown(self) -> None:
        self.runner.run(self.entered.__aexit__(None, None, None))
        self.runner.close()

    def ask(self, method: str, path: str, body: Any = None, *, nonce: str | None = None) -> Any:
        """Ask the API; a refusal is as lawful as a success."""
        headers = {} if nonce is None else {"fly-machine-lease-nonce": nonce}
        answer = self.runner.run(self.fly.client.request(method, f"/v1{path}", json=body, headers=headers))
        assert answer.status_code < 500, answer.text
        return answer

    def pick(self, number: int) -> Machine | None:
        """One of the machines there are."""
        machines = list(self.fly.world.machines.values())
        return machines[number % len(machines)] if machines else None

    @initialize()
    def begin(self) -> None:
        for name in APPS:
            self.ask("POST", "/apps", {"name": name, "org_slug": "acme"})
            self.make_volume(name)
            self.make_machine(name, "web-0", 0, False, None)

    @rule(app=st.sampled_from(APPS))
    def make_app(self, app: str) -> None:
        self.ask("POST", "/apps", {"name": app, "org_slug": "acme"})

    @rule(app=st.sampled_from(APPS), force=st.booleans())
    def delete_app(self, app: str, force: bool) -> None:
        self.ask("DELETE", f"/apps/{app}?force={str(force).lower()}")

    @rule(app=st.sampled_from(APPS))
    def make_volume(self, app: str) -> None:
        self.ask("POST", f"/apps/{app}/volumes", {"name": "data", "size_gb": 1})

    @rule(app=st.sampled_from(APPS), number=st.integers(0, 3))
    def delete_volume(self, app: str, number: int) -> None:
        if found := self.volumes(app):
            self.ask("DELETE", f"/apps/{app}/volumes/{found[number % len(found)]}")

    @rule(
        app=st.sampled_from(APPS),
        name=NAMES,
        volume=st.sampled_from([0, 0, 1, None]),
        skip_launch=st.booleans(),
        ttl=st.none() | st.integers(1, 60),
    )
    def make_machine(
        self, app: str, name: str, volume: int | None, skip_launch: bool, ttl: int | None
    ) -> None:
        mounts = []
        if volume is not None and (found := self.volumes(app)):
            mounts = [{"volume": found[volume % len(found)], "path": "/data"}]
        made = {"config": config(mounts=mounts), "name": name, "skip_launch": skip_launch, "lease_ttl": ttl}
        self.ask("POST", f"/apps/{app}/machines", made)

    @rule(number=st.integers(0, 9), verb=st.sampled_from(LIVES), has_nonce=st.booleans())
    def live(self, number: int, verb: str, has_nonce: bool) -> None:
        self.write(number, "POST", f"/{verb}", None, has_nonce=has_nonce)

    @rule(number=st.integers(0, 9), colour=st.integers(0, 3), has_nonce=st.booleans())
    def update(self, number: int, colour: int, has_nonce: bool) -> None:
        machine = self.pick(number)
        mounts = machine.config.get("mounts") if machine else None
        body = {"config": config(env={"COLOUR": str(colour)}, mounts=mounts or [])}
        self.write(number, "POST", "", body, has_nonce=has_nonce)

    @rule(number=st.integers(0, 9), force=st.booleans(), has_nonce=st.booleans())
    def destroy(self, number: int, force: bool, has_nonce: bool) -> None:
        self.write(number, "DELETE", f"?force={str(force).lower()}", None, has_nonce=has_nonce)

    def write(self, number: int, method: str, rest: str, body: Any, *, has_nonce: bool) -> None:
        """A call that a lease guards: without its nonce it is refused, and changes nothing."""
        machine = self.pick(number)
        if machine is None:
            return
        lease = held(machine, self.fly.world.clock())
        before = (machine.state, machine.instance_id, machine.config, machine.is_cordoned, machine.change)
        path = f"/apps/{machine.app.name}/machines/{machine.id}{rest}"
        answer = self.ask(method, path, body, nonce=lease.nonce if lease and has_nonce else None)
        if lease and not has_nonce:
            assert answer.status_code in (404, 409), answer.text
            after = (machine.state, machine.instance_id, machine.config, machine.is_cordoned, machine.change)
            assert before == after, "a write without the nonce went through"

    @rule(number=st.integers(0, 9), ttl=st.integers(1, 60))
    def lease(self, number: int, ttl: int) -> None:
        if machine := self.pick(number):
            before = held(machine, self.fly.world.clock())
            answer = self.ask("POST", f"/apps/{machine.app.name}/machines/{machine.id}/lease", {"ttl": ttl})
            assert not (before and answer.status_code == 201), "a held lease was given away"

    @rule(number=st.integers(0, 9), value=st.sampled_from(["", "a", "b"]))
    def tag(self, number: int, value: str) -> None:
        if machine := self.pick(number):
            path = f"/apps/{machine.app.name}/machines/{machine.id}/metadata/tag"
            self.ask("POST", path, {"value": value})

    @rule(app=st.sampled_from(APPS), value=st.none() | st.just("v"))
    def set_secret(self, app: str, value: str | None) -> None:
        self.ask("POST", f"/apps/{app}/secrets", {"values": {"KEY": value}})

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 5.0, 90.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @rule(late_s=st.sampled_from([0.0, 5.0, 30.0]), empty_pages=st.sampled_from([0.0, 0.5]))
    def lag(self, late_s: float, empty_pages: float) -> None:
        self.fly.troubles.consistency.lag = Lag(late_s=late_s, empty_pages=empty_pages)

    @rule()
    def poll(self) -> None:
        """Take in what changed since the last poll, moved back by an overlap."""
        now = self.fly.world.clock()
        after = rfc3339(max(self.polled_at - OVERLAP_S, 0))
        for row in self.pages(f"&updated_after={after}"):
            known = self.rows.get(row["id"])
            if known is None or known["updated_at"] <= row["updated_at"]:
                self.rows[row["id"]] = row
        self.polled_at = now

    @rule()
    def deltas_and_the_full_list_agree(self) -> None:
        """Whoever only ever asks for changes knows all that the whole list has, and as it is."""
        self.fly.troubles.consistency.lag = Lag()
        self.poll()
        whole = {row["id"]: row for row in self.pages("")}
        there = self.fly.world.machines.keys()
        assert whole == {name: row for name, row in self.rows.items() if name in there}

    @invariant()
    def names_are_unique_among_the_living(self) -> None:
        for app in self.fly.world.apps.values():
            names = [machine.name for machine in app.living()]
            assert len(names) == len(set(names))

    @invariant()
    def a_volume_has_one_machine_and_a_machine_its_own_volume(self) -> None:
        for app in self.fly.world.apps.values():
            mounted = [machine.mount["volume"] for machine in app.living() if machine.mount]
            assert len(mounted) == len(set(mounted))
            for machine in app.living():
                if machine.mount:
                    assert app.volumes[machine.mount["volume"]].machine_id == machine.id

    @invariant()
    def versions_only_grow(self) -> None:
        for machine in self.fly.world.machines.values():
            now = [version.instance_id for version in machine.versions]
            before = self.versions.get(machine.id, [])
            assert now[: len(before)] == before or len(before) >= 20
            assert len(now) == len(set(now))
            assert machine.instance_id in now
            self.versions[machine.id] = now
            assert machine.updated_at >= self.changed.get(machine.id, 0)
            self.changed[machine.id] = machine.updated_at
        for app in self.fly.world.apps.values():
            assert app.secrets_version >= self.secrets.get(app.id, 0)
            self.secrets[app.id] = app.secrets_version

    @invariant()
    def nothing_leaves_a_terminal_state(self) -> None:
        for machine in self.fly.world.machines.values():
            assert machine.id not in self.gone or machine.state == "destroyed"
            if machine.state == "destroyed":
                self.gone.add(machine.id)
                assert held(machine, self.fly.world.clock()) is None
        for app in self.fly.world.apps.values():
            for volume in app.volumes.values():
                assert volume.id not in self.deleted or volume.deleted_at is not None
                if volume.deleted_at is not None:
                    self.deleted.add(volume.id)

    def volumes(self, app: str) -> list[str]:
        """Ids of an app's volumes."""
        return list(self.fly.world.apps[app].volumes) if app in self.fly.world.apps else []

    def pages(self, query: str) -> list[Row]:
        """All rows of the organisation's list, page by page."""
        rows: list[Row] = []
        cursor = ""
        while True:
            more = f"&cursor={cursor}" if cursor else query
            path = f"/orgs/acme/machines?include_deleted=true&limit=3{more}"
            reply = self.ask("GET", path).json()
            rows += reply["machines"]
            cursor = reply.get("next_cursor", "")
            if not cursor:
                return rows


WorldLaws.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestWorldLaws = WorldLaws.TestCase
