"""How fast a fleet is planned and applied: `python -m bench.fleet [CONVERGED [LIMITED [UNLIMITED]]]`.

Without numbers 10,000 converged user apps to plan, 200 new ones within Fly's rate limits, 1,000 without any;
0 leaves a part out.

Method. A localfly process of its own (`--fast`, all in memory) and user apps of one machine, a volume and the
replay keys each, created asleep: processes of machines would only take the computer from what is measured.
The commands run as a user types them, in processes of their own, and processor time is theirs alone.

- apply without limits: `reconciler apply --yes --pace off` of new user apps into an empty organisation.
- apply within limits: the same with `--pace fly`, and localfly keeping Fly's limits too. Beside it the bound
  that no program can beat: Fly takes one new app a second for an organisation, after a burst of three. And
  what `reconciler plan` had said about the number of calls and the time.
- plan and status: `--format json` of a fleet in which nothing differs, put there by plain calls, with the
  calls that localfly counted, in three turns. Beside it `reconciler validate` on the same folder, which reads
  the documents and asks nothing: the difference is what looking at the fleet costs. With limits on, the bound
  is that of the list calls: an organisation's machines may be listed once a second, after a burst of three.

Ratios are to the bound, or to the other program in the same run. The computer should do nothing else.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.localfly_size import TOKEN, connected, free_port, get, listening, program
from reconciler.core import mark
from reconciler.core.desired import DesiredApp
from reconciler.core.keys import RootKey
from reconciler.fly.client import FlyClient
from reconciler.fly.pace import Pace
from reconciler.fly.transport import Transport
from reconciler.intent import Intent
from reconciler.secret_source import SecretSource
from reconciler.source import Source
from reconciler.survey import each

CONVERGED, LIMITED, UNLIMITED = 10_000, 200, 1_000
A_FILE = 100
BURST, PER_S = 3, 1.0
PAGE = 1_000
WORKERS = "64"
ROOT_KEY = "1f" * 32  # made up
TURNS = 3  # of the commands that only look
FLEET = """apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: bench}
spec: {org: acme, installation: bench4f9k, app_name: "bench4f9k-{name}", regions: [iad]}
---
apiVersion: reconciler/v1alpha1
kind: Router
metadata: {name: router}
spec:
  domains: [example.com]
  listeners: [{name: public, app: bench-router, bind: "127.0.0.1:0", ports: [80]}]
---
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: studio}
spec:
  config:
    image: registry.fly.io/studio@sha256:DIGEST
    guest: {cpu_kind: shared, cpus: 1, memory_mb: 256}
    services: [{internal_port: 8080, ports: [{port: 80, handlers: [http]}]}]
""".replace("DIGEST", "5" * 64)
USER = """apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {name: NAME}
spec:
  machines: [{name: web, template: studio, skip_launch: true, mount: {name: data, path: /data, size_gb: 1}}]
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """One command: what it printed, and what it took."""

    out: str
    wall_s: float
    cpu_s: float


async def main(converged: int, limited: int, unlimited: int) -> None:
    """Measure, and print one line for each figure; a number of 0 leaves its part out."""
    if unlimited:
        await without_limits(unlimited)
    if converged:
        await in_a_converged_world(converged)
    if limited:
        await within_limits(limited)


async def without_limits(users: int) -> None:
    """New user apps, as fast as it goes."""
    with fleet(users) as specs:
        async with localfly() as api:
            await applied(specs, users, api)


async def in_a_converged_world(users: int) -> None:
    """What all lists show of a converged fleet is put there first, and then looked at."""
    with fleet(users) as specs:
        async with localfly() as api:
            await made(specs, api)
            for _ in range(TURNS):
                alone = await reconciler("validate", specs, api=api)
                told(f"validate, {users:,} documents", alone, "")
                for command, pace in (("plan", "off"), ("plan", "fly"), ("status", "off")):
                    before = await calls_of(api)
                    ran = await reconciler(command, specs, "--format", "json", "--pace", pace, api=api)
                    calls = sum((await calls_of(api) - before).values())
                    if command == "plan":
                        expect_nothing_to_do(ran.out)
                    bound_s = max(0.0, (-(-users // PAGE) - BURST) / PER_S) if pace == "fly" else 0.0
                    beside = (
                        f"{ran.wall_s - alone.wall_s:.2f} s ({ran.cpu_s - alone.cpu_s:.2f} s of processor)"
                    )
                    told(
                        f"{command}, {users:,} apps, --pace {pace}",
                        ran,
                        f"{beside} more than validate; {calls} calls; bound {bound_s:.0f} s",
                    )


async def within_limits(users: int) -> None:
    """New user apps, no faster than Fly allows."""
    with fleet(users) as specs:
        async with localfly(keeps_limits=True) as api:
            planned = await reconciler("plan", specs, "--format", "json", api=api)
            foreseen = json.loads(planned.out)["summary"]
            before = await calls_of(api)
            ran = await reconciler("apply", specs, "--yes", "--pace", "fly", api=api)
            calls = sum((await calls_of(api) - before).values())
        bound_s = (users - BURST) / PER_S
        told(
            f"apply, {users:,} new apps, Fly's limits",
            ran,
            f"{ran.wall_s / bound_s:.2f} of the bound of {bound_s:.0f} s; {calls} calls; the plan had said "
            f"{foreseen['api_calls']} and {foreseen['at_least_s']:.0f} s",
        )


async def made(specs: Path, api: str) -> None:
    """Each app with its machines and their marks, as `apply` leaves them; no volumes, which no list shows."""
    root_key = RootKey(ROOT_KEY)
    intent = Intent(secrets=SecretSource(environ={}, derive=root_key.derive), root_key=root_key)
    intent.take(Source(specs).read())
    limits = httpx.Limits(max_connections=int(WORKERS), max_keepalive_connections=int(WORKERS))
    transport = Transport(limits=limits)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{api}", trust_env=False) as http:
        fly = FlyClient(http, token=TOKEN, pace=Pace(None))

        async def make(desired: DesiredApp) -> None:
            app = desired.app_name
            await fly.create_app(name=app, org=desired.org, network=desired.network)
            for machine in desired.machines:
                config = {**machine.config, "metadata": mark.metadata(desired, machine, None)}
                found = await fly.create_machine(
                    app, name=machine.slot, region=machine.regions[0], config=config, skip_launch=True
                )
                await fly.patch_metadata(app, found.id, {mark.VERSION: found.instance_id})

        await each(intent.apps.values(), make, workers=int(WORKERS))


async def applied(specs: Path, users: int, api: str) -> None:
    """New user apps, with no limits kept."""
    ran = await reconciler("apply", specs, "--yes", "--pace", "off", api=api)
    calls = sum((await calls_of(api)).values())
    told(
        f"apply, {users:,} new apps, no limits",
        ran,
        f"{calls / users:.1f} calls an app; {calls / ran.wall_s:,.0f} calls/s; processor time "
        f"{1000 * ran.cpu_s / users:.1f} ms an app, {1000 * ran.cpu_s / calls:.2f} ms a call",
    )


def told(what: str, ran: Ran, more: str) -> None:
    """One line."""
    print(f"{what:<42} {ran.wall_s:>7.2f} s  {ran.cpu_s:>7.2f} s of processor  {more}".rstrip(), flush=True)


def expect_nothing_to_do(out: str) -> None:
    """End the bench when the fleet is not what is measured."""
    summary = json.loads(out)["summary"]
    if summary["actions"] or summary["holds"]:
        raise SystemExit(f"the fleet is not converged: {summary}")


@contextmanager
def fleet(users: int) -> Iterator[Path]:
    """A folder of specs for so many users, a hundred a file."""
    with tempfile.TemporaryDirectory() as folder:
        specs = Path(folder, "specs")
        specs.mkdir()
        (specs / "fleet.yaml").write_text(FLEET, "utf-8")
        for first in range(0, users, A_FILE):
            names = [f"user-{number:06}" for number in range(first, min(first + A_FILE, users))]
            text = "---\n".join(USER.replace("NAME", name) for name in names)
            (specs / f"users-{first:06}.yaml").write_text(text, "utf-8")
        yield specs


async def reconciler(*arguments: str | Path, api: str) -> Ran:
    """Run the command as a user would, with a state folder of its own below the specs' parent."""
    specs = next(each for each in arguments if isinstance(each, Path))
    state = ("--state", specs.parent / "state") if arguments[0] in ("plan", "apply") else ()
    workers = ("--workers", WORKERS) if arguments[0] != "validate" else ()
    argv = [str(each) for each in ("-m", "reconciler", *arguments, *state, *workers)]
    before, began = os.times(), time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *argv,
        env=environment(api),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    wall_s, after = time.monotonic() - began, os.times()
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} exited with {process.returncode}: {err.decode()[-2000:]}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Ran(out.decode(), wall_s, cpu_s)


def environment(api: str) -> Mapping[str, str]:
    """What a user would set."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "FLY_API_TOKEN": TOKEN,
        "FLY_API_HOSTNAME": api,
        "RECONCILER_ROOT_KEY": ROOT_KEY,
    }


@asynccontextmanager
async def localfly(*, keeps_limits: bool = False) -> AsyncIterator[str]:
    """The address of a localfly that is ready."""
    port = free_port()
    flags = ["--fast", "--org", "acme", "--token", TOKEN, *([] if keeps_limits else ["--no-rate-limits"])]
    async with program("-m", "localfly", "--api", f"127.0.0.1:{port}", *flags):
        await listening(port)
        yield f"127.0.0.1:{port}"


async def calls_of(api: str) -> Counter[str]:
    """How many API requests localfly has answered, by method."""
    async with connected(int(api.rpartition(":")[2])) as connection:
        _, body = await connection.ask(get("/_localfly/requests"))
    return Counter(json.loads(body)["answered"])


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    asyncio.run(main(*(given + [CONVERGED, LIMITED, UNLIMITED][len(given) :])))
