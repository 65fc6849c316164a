"""Sets of files that hold, for the fuzzer to change: between them with every field of every kind."""

import json
from pathlib import Path

from reconciler.writing.examples import examples
from tests import wire
from tests.core import sample

FLEET = """\
apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: main}
spec:
  org: acme
  installation: a1b2c3
  app_name: "acme-{name}"
  regions: [iad, lhr]
  drift: warn
  budget:
    create: {max_count: 100, max_percent: 50, min_count: 5}
    restart: {max_count: 90, max_percent: 30, min_count: 4}
    delete: {max_count: 8, max_percent: 20, min_count: 3}
  deletion_grace: 20m
  deploy: {strategy: immediate, max_unavailable: 2}
  paused: {reason: audit, until: 2027-01-31T18:00:00Z}
---
apiVersion: reconciler/v1alpha1
kind: Router
metadata: {name: main}
spec:
  domains: [example.com, example.org]
  reserved: [www]
  listeners:
    - {name: public, app: acme-router, bind: "0.0.0.0:8080", ports: [80, 443], private: false}
    - {name: management, app: acme-gateway, bind: "0.0.0.0:9090", ports: [9090], private: true}
  auth: psk
  replay: {timeout: 20s, fallback: prefer_self, region: [iad, eu, any]}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: API_KEY}
spec: {from: {env: FLEET_SECRET_API_KEY}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: FILE}
spec: {from: {file: mail/password}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: MINTED}
spec: {from: {generate: {version: 2, length: 32}}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: DERIVED}
spec: {from: {derive: {}}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: SEALED}
spec: {from: {age: AGE}}
"""
USER = """\
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {name: alice, labels: {plan: pro}}
spec:
  hosts: [alice.example.com]
  regions: [lhr, iad]
  machines:
    - name: web
      template: studio
      count: 2
      config: {env: {A: b}, guest: {memory_mb: 1024, news: 1}}
      allow_unknown: [guest.news]
      skip_launch: true
      mount:
        name: data
        path: /data
        size_gb: 2
        extend_threshold_percent: 80
        add_size_gb: 1
        size_gb_limit: 9
        encrypted: true
        fstype: ext4
        require_unique_zone: true
        unique_zone_app_wide: false
        snapshot_id: vs_1
        snapshot_retention: 7
        auto_backup_enabled: true
    - name: old
      template: studio
      mount: {name: d, path: /d, size_gb: 1, volume_name: older, source_volume_id: vol_1}
  secrets: [API_KEY, FILE, MINTED, DERIVED, SEALED]
  app_name: acme-alice-2
  protect: true
  paused: {reason: exam, until: 2027-01-31T18:00:00Z}
  deploy: {strategy: rolling, max_unavailable: 0.5}
"""
SET = """\
apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: many}
spec:
  source:
    count: 3
    rows:
      - {name: gina, region: iad, size: 1, title: The first, safe: false}
      - {name: hugo, region: lhr, size: 2, title: "{braces}", safe: true}
      - {name: ines, region: fra, size: 3, title: "null", safe: true, overrides: {hosts: [i.example.com]}}
  template:
    metadata: {name: "{name}-x", labels: {plan: "{title}"}}
    spec:
      regions: ["{region}", ord]
      hosts: ["{name}.example.com"]
      protect: "{safe}"
      machines:
        - name: web
          template: studio
          mount: {name: data, path: /data, size_gb: "{size}"}
          config: {env: {TITLE: "<{title}> {{x}}", SIZE: "{size}"}}
      secrets: [API_KEY]
  overrides: {hugo-x: {app_name: acme-hugo}}
"""


def seeds() -> list[dict[str, str]]:
    """Sets of files that hold, between them with every field of every kind."""
    every = (Path(__file__).parent / "every_field.yaml").read_text("utf-8")
    uses_every = sample.user("bob", machine="name: web, template: every")
    mounted = sample.user(
        machine="name: web, template: studio, count: 2, mount: {name: data, path: /data, size_gb: 1}, "
        "config: {env: {A: b}, guest: {memory_mb: 1024}}",
        more="  hosts: [alice.example.com]\n  regions: [lhr, iad]\n  secrets: [API_KEY]\n  protect: true\n"
        "  paused: {reason: exam, until: 2027-01-31T18:00:00Z}\n"
        "  deploy: {strategy: rolling, max_unavailable: 0.5}\n",
    )
    sealed = next(each["spec"]["from"]["age"] for each in examples() if "age" in each["spec"].get("from", ()))
    shipped = {
        path.relative_to(wire.ROOT).as_posix(): path.read_text("utf-8")
        for path in sorted((wire.ROOT / "specs").rglob("*.yaml"))
    }
    return [
        {"base.yaml": sample.BASE, "users.yaml": mounted},
        {"base.yaml": sample.BASE, "every.yaml": every, "users.yaml": f"{mounted}---\n{uses_every}"},
        {"base.yaml": sample.BASE, "set.yaml": SET},
        {
            "fleet.yaml": FLEET.replace("AGE", json.dumps(sealed)),
            "machine.yaml": f"{sample.SERVICES}---\n{sample.MACHINE}",
            "users.yaml": USER,
        },
        shipped,
    ]
