"""The documents that `init` writes: the smallest fleet that is worth having, with a word on every line.

Answers for their text. Where they are written, and what makes an installation, is the command's.
"""

from collections.abc import Mapping

from reconciler.writing.schema import schema_text

SCHEMA_FILE = "schema.json"
FIRST_USER = "alice"

_FLEET = """\
# yaml-language-server: $schema=schema.json
# Exactly one document of this kind: what all user apps have in common.
apiVersion: reconciler/v1alpha1
kind: Fleet
metadata:
  name: fleet
spec:
  org: "ORG" # the Fly organisation that holds the user apps, best nothing else
  installation: INSTALLATION # marks what is ours on Fly; made at random for you, never change it
  app_name: "INSTALLATION-{name}" # app names are global on Fly, so they begin with something of your own
  regions: [iad, ord] # where machines go; the next one is tried when Fly has no room
"""

_ROUTER = """\
# yaml-language-server: $schema=schema.json
# How visitors reach their user's machine: the router answers each request with `fly-replay`.
apiVersion: reconciler/v1alpha1
kind: Router
metadata:
  name: router
spec:
  domains: ["DOMAIN"] # a user app answers at {name}.DOMAIN unless its document lists `hosts`
  reserved: [www] # no user may take these names
  listeners:
    - name: public
      app: INSTALLATION-router # the Fly app that you deploy `reconciler run` as
      bind: 0.0.0.0:8080
      ports: [80, 443] # public ports on Fly that lead here
  auth: signed # each replay carries a signature, which the guard in your image checks
"""

_MACHINES = """\
# yaml-language-server: $schema=schema.json
# A template: what users' machines are made from. `config` is a Machines API machine config, verbatim.
apiVersion: reconciler/v1alpha1
kind: Machine
metadata:
  name: app
spec:
  services: [public] # the Service below
  config:
    image: docker.io/flyio/hellofly:latest # yours instead, best with its digest: name@sha256:…
    guest: {cpu_kind: shared, cpus: 1, memory_mb: 256}
---
apiVersion: reconciler/v1alpha1
kind: Service
metadata:
  name: public
spec:
  internal_port: 8080 # where the program in your image listens
  ports: # a replay keeps the port that the visitor came in on
    - {port: 80, handlers: [http]}
    - {port: 443, handlers: [tls, http]}
"""

_USER = """\
# yaml-language-server: $schema=../schema.json
# One user: a Fly app of its own, on a network of its own. Copy this file for the next one.
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata:
  name: USER # visitors come to USER.DOMAIN
spec:
  machines:
    - name: web # its first and only machine is web-0
      template: app
      mount: {name: data, path: /data, size_gb: 1} # a volume of its own, which outlives the machine
"""


def first_fleet(*, org: str, domain: str, installation: str) -> Mapping[str, str]:
    """Path below the folder → text. `org` and `domain` must hold as a Fleet's and a Router's."""
    words = {"ORG": org, "DOMAIN": domain, "INSTALLATION": installation, "USER": FIRST_USER}
    texts = {
        "fleet.yaml": _FLEET,
        "router.yaml": _ROUTER,
        "machines.yaml": _MACHINES,
        f"users/{FIRST_USER}.yaml": _USER,
    }
    for word, said in words.items():
        texts = {path: text.replace(word, said) for path, text in texts.items()}
    return {**texts, SCHEMA_FILE: f"{schema_text()}\n"}


def next_steps(folder: str, org: str) -> tuple[str, ...]:
    """What to type, one command a line; comments are for people."""
    return (
        f"reconciler validate {folder}  # after every change",
        f"reconciler render {folder} {FIRST_USER}  # what would be sent to Fly",
        f'export FLY_API_TOKEN="$(fly tokens create org --org {org})"',
        'export RECONCILER_ROOT_KEY="$(openssl rand -hex 32)"  # once; keep it where you keep secrets',
        f"reconciler plan {folder}  # what it would take; changes nothing",
    )
