"""A small fleet that holds, for tests to add to and to break."""

FLEET = """\
apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: main}
spec: {org: acme, installation: a1b2c3, app_name: "acme-{name}", regions: [iad, lhr]}
"""

ROUTER = """\
apiVersion: reconciler/v1alpha1
kind: Router
metadata: {name: main}
spec:
  domains: [example.com]
  reserved: [www]
  listeners:
    - {name: public, app: acme-router, bind: "0.0.0.0:8080", ports: [80, 443]}
    - {name: management, app: acme-gateway, bind: "0.0.0.0:9090", ports: [9090], private: true}
"""

SERVICES = """\
apiVersion: reconciler/v1alpha1
kind: Service
metadata: {name: management}
spec: {internal_port: 9090, ports: [{port: 9090, handlers: [http]}]}
---
apiVersion: reconciler/v1alpha1
kind: Service
metadata: {name: public}
spec: {internal_port: 8080, ports: [{port: 80, handlers: [http]}]}
"""

MACHINE = """\
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: studio}
spec:
  services: [management, public]
  config:
    image: registry.fly.io/studio:1
    env: {MODE: build}
    guest: {cpu_kind: shared, cpus: 1, memory_mb: 512}
"""

SECRET = """\
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: API_KEY}
spec: {from: {env: FLEET_SECRET_API_KEY}}
"""

BASE = "---\n".join([FLEET, ROUTER, SERVICES, MACHINE, SECRET])


def user(name: str = "alice", *, more: str = "", machine: str = "name: web, template: studio") -> str:
    """A `UserApp`; `more` is further YAML of its spec, indented by two."""
    return f"""\
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {{name: {name}}}
spec:
  machines: [{{{machine}}}]
{more}"""
