"""How fast documents become wanted user apps: `python -m bench.specs [DOCUMENTS [ROWS]]`.

Without numbers 10,000 and 1,000,000.

Method. Documents of 25 lines (hosts, regions, one machine with a config of its own, a volume, a secret) in
files of 100, beside one Fleet, Router, Machine, two Services and a Secret, are written into a folder. Then,
in a process of its own:

- cold: `Source.read`, `Intent.take`, and every user app resolved, its secrets' digest too;
- the peers, over the same files: PyYAML's C loader alone, and pydantic alone over what that loaded;
- one changed file: a word of one document is changed; `Source.read` and `Intent.take` again, and who moved
  is resolved. The median over 20 changes.

In another process, so that its peak resident memory is its own: a `UserAppSet` over a CSV file of five
columns, `Source.read` and `Intent.take`; one row in a hundred resolved; one changed row.

Computers are noisy, so each figure is wall time with the processor time beside it, which other programs
disturb less; the ratio is of processor times. With two cores, nothing else should be running.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import yaml

from reconciler.core.keys import RootKey
from reconciler.core.kinds import KINDS
from reconciler.intent import Intent
from reconciler.secret_source import SecretSource
from reconciler.source import Source

DOCUMENTS = 10_000
ROWS = 1_000_000
A_FILE = 100
CHANGES = 20
BESIDE = """apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: acme}
spec: {org: acme, installation: acmedemo, app_name: "acme-4f9k2x-{name}", regions: [iad, ord]}
---
apiVersion: reconciler/v1alpha1
kind: Router
metadata: {name: router}
spec:
  domains: [example.com]
  listeners: [{name: public, app: acme-router, bind: "0.0.0.0:8080", ports: [80, 443]}]
---
apiVersion: reconciler/v1alpha1
kind: Service
metadata: {name: management}
spec: {internal_port: 9090, ports: [{port: 9090, handlers: [http]}]}
---
apiVersion: reconciler/v1alpha1
kind: Service
metadata: {name: public}
spec: {internal_port: 8080, ports: [{port: 80, handlers: [http]}, {port: 443, handlers: [tls, http]}]}
---
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: studio}
spec:
  services: [management, public]
  config: {image: "registry.fly.io/studio:1", guest: {cpu_kind: shared, cpus: 1, memory_mb: 512}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: OPENAI_API_KEY}
spec: {from: {env: FLEET_SECRET_OPENAI_API_KEY}}
"""
USER = """apiVersion: reconciler/v1alpha1
kind: UserApp
metadata:
  name: user-{number:06}
  labels:
    plan: pro
spec:
  hosts:
    - user-{number:06}.example.com
  regions: [iad, ord]
  machines:
    - name: web
      template: studio
      count: 1
      config:
        env:
          PLAN: pro
          SEAT: "{number}"
      mount:
        name: data
        path: /data
        size_gb: 1
  secrets:
    - OPENAI_API_KEY
"""
SET = """apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: everybody}
spec:
  source: {csv: users.csv}
  template:
    metadata: {labels: {plan: "{plan}"}}
    spec:
      hosts: ["{name}.example.com"]
      regions: ["{region}"]
      machines:
        - name: web
          template: studio
          config: {env: {PLAN: "{plan}", TITLE: "{title}"}}
          mount: {name: data, path: /data, size_gb: "{gb}"}
      secrets: [OPENAI_API_KEY]
"""


def main(documents: int, rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        many, table = Path(folder, "many"), Path(folder, "table")
        write_documents(many, documents)
        write_table(table, rows)
        for what, where in (("documents", many), ("rows", table)):
            again_here = [sys.executable, "-m", "bench.specs", what, str(where)]
            subprocess.run(again_here, check=True)  # noqa: S603 (this very file)


def write_documents(folder: Path, count: int) -> None:
    folder.mkdir()
    (folder / "beside.yaml").write_text(BESIDE)
    for first in range(0, count, A_FILE):
        texts = [USER.format(number=number) for number in range(first, min(first + A_FILE, count))]
        (folder / f"users-{first:06}.yaml").write_text("---\n".join(texts))


def write_table(folder: Path, rows: int) -> None:
    folder.mkdir()
    (folder / "beside.yaml").write_text(BESIDE)
    (folder / "set.yaml").write_text(SET)
    with (folder / "users.csv").open("w") as file:
        file.write("name,region,plan,title,gb\n")
        for number in range(rows):
            region, plan, gb = ("iad", "ord", "fra")[number % 3], ("free", "pro")[number % 2], 1 + number % 5
            file.write(f"user-{number:07},{region},{plan},What user {number} builds,{gb}\n")


def documents(folder: Path) -> None:
    source, intent = Source(folder), new_intent()
    with Stopwatch("documents, cold: read, checked and resolved") as cold:
        intent.take(source.read())
        resolved = sum(1 for _ in intent.apps.values())
    print(f"  {resolved} user apps, {len(intent.specs.problems)} problems, at most {peak_mb()} MB")
    texts = [file.read_text() for file in sorted(folder.glob("users-*.yaml"))]
    loaded: list[object] = []
    with Stopwatch("PyYAML's C loader alone") as loader:
        for text in texts:
            loaded += yaml.load_all(text, yaml.CSafeLoader)
    with Stopwatch("pydantic alone"):
        for value in loaded:
            KINDS["UserApp"].model_validate(value)
    print(f"  cold is {cold.processor_s / loader.processor_s:.2f} of the C loader alone")
    file = max(folder.glob("users-*.yaml"))

    def change(number: int) -> None:
        file.write_text(file.read_text().replace("SEAT: ", f"X{number}: x\n          SEAT: ", 1))

    again("one changed file", source, intent, change)


def rows(folder: Path) -> None:
    source, intent = Source(folder), new_intent()
    with Stopwatch("rows, cold: read and checked"):
        intent.take(source.read())
    print(f"  {len(intent.apps)} user apps, {len(intent.specs.problems)} problems, at most {peak_mb()} MB")
    names = list(intent.apps)[::100]
    with Stopwatch(f"{len(names)} of them resolved"):
        for name in names:
            must(bool(intent.apps[name].machines))
    file = folder / "users.csv"
    with Stopwatch("one changed row"):
        file.write_text(file.read_text().replace("What user 7 builds", "Something else"))
        change = intent.take(source.read())
    must(len(change.moved) == 1)
    print(f"  at most {peak_mb()} MB")


def again(what: str, source: Source, intent: Intent, change: Callable[[int], None]) -> None:
    walls = []
    for number in range(CHANGES):
        change(number)
        began = time.perf_counter()
        moved = intent.take(source.read()).moved
        for name in moved:
            must(bool(intent.apps[name].machines))
        walls.append((time.perf_counter() - began) * 1000)
        must(len(moved) == 1)
    print(f"{what}: median {statistics.median(walls):.0f} ms, slowest {max(walls):.0f} ms")


def new_intent() -> Intent:
    offered = SecretSource(environ={"FLEET_SECRET_OPENAI_API_KEY": "made up"})
    return Intent(secrets=offered, root_key=RootKey("0f" * 32))


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


class Stopwatch:
    """Tells how long its block took."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> Self:
        self._wall, self._processor = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.perf_counter() - self._wall
        self.processor_s = time.process_time() - self._processor
        print(f"{self._what}: {self.wall_s:.2f} s, processor {self.processor_s:.2f} s", flush=True)


def must(holds: bool) -> None:
    if not holds:
        raise SystemExit("what was measured is not what was meant")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["documents", folder]:
            documents(Path(folder))
        case ["rows", folder]:
            rows(Path(folder))
        case numbers:
            main(*[int(number) for number in numbers], *(DOCUMENTS, ROWS)[len(numbers) :])
