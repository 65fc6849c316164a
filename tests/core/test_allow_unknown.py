"""Fields that are newer than this program, let through by name: sent, hashed and compared as they stand."""

from typing import Any

from reconciler.core.desired import DesiredMachine, resolve
from reconciler.core.diff import compare, keep_unknown
from reconciler.core.spec import load
from tests.core import sample

MACHINE = """\
apiVersion: reconciler/v1alpha1
kind: Service
metadata: {name: quick}
spec:
  internal_port: 8080
  allow_unknown: ["ports[].quic"]
  ports: [{port: 80, handlers: [http], quic: QUIC}]
---
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: new}
spec:
  services: [quick]
  allow_unknown: [guest.numa, "checks.*.jitter"]
  config: {image: x, guest: {numa: {nodes: 2}}, checks: {a: {type: tcp, port: 80, jitter: 1s}}}
---
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {name: alice}
spec:
  machines:
    - name: web
      template: new
      allow_unknown: [hugepages]
      config: {hugepages: 4, guest: {numa: {nodes: 3}}}
"""


def machine(quic: str = "true") -> DesiredMachine:
    specs = load({"base.yaml": sample.BASE, "new.yaml": MACHINE.replace("QUIC", quic)})
    assert [str(problem) for problem in specs.problems] == []
    (found,) = resolve(specs, "alice", secrets_digest="d", key_id="k").machines
    return found


def test_what_is_let_through_is_sent_and_leave_itself_is_not() -> None:
    """A template, its services and a user's overlay each let fields through; they arrive as written."""
    config: dict[str, Any] = dict(machine().config)
    assert config["guest"] == {"numa": {"nodes": 3}}
    assert config["hugepages"] == 4
    assert config["checks"]["a"]["jitter"] == "1s"
    (service,) = config["services"]
    assert service["ports"] == [{"port": 80, "handlers": ["http"], "quic": True}]
    assert "allow_unknown" not in service


def test_what_is_let_through_counts_as_a_change() -> None:
    """Another value is another hash and one change; the same value is none, and is not Fly's news."""
    old, new = machine("true"), machine("false")
    assert old.spec_hash != new.spec_hash
    assert compare(new.config, old.config).changes == ("services[0].ports[0].quic: true → false",)
    same = compare(old.config, old.config)
    assert (same.changes, same.unknown) == ((), ())
    assert keep_unknown(new.config, old.config) == new.config
