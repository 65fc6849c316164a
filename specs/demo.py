"""`make demo`: Fly's stand-in and the reconciler on this laptop, from nothing to an answer, until Ctrl-C.

Answers for starting both programs as any user would, saying what to open, and leaving nothing behind.
It knows them by their command lines, log events and HTTP alone.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from programs import EndedError, Program, first, free_port, program
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

HERE = Path(__file__).resolve().parent
STUDIO = HERE / "images" / "studio.py"
IMAGE = "registry.fly.io/studio"  # in any version
READY_WITHIN_S = 20
NOT_HANDED_ON = ("FLEET_SECRET_", "FLY_", "LOCALFLY_", "RECONCILER_")  # this is not your real Fly
IN_EVERY_EVENT = ("event", "level", "timestamp")


class DemoError(Exception):
    """Why the demo cannot go on; str() is the one line to show."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where everything is during one run of the demo."""

    specs: Path
    folder: Path  # keys, settings and logs; gone afterwards
    api: int  # ports on 127.0.0.1
    public: int
    management: int
    router: int
    gateway: int

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api}"

    def localfly(self) -> list[str]:
        """Two organisations: the platform's, which may replay into the users', and never the other way."""
        return [
            *(sys.executable, "-m", "localfly"),
            *("--api", f"127.0.0.1:{self.api}"),
            *("--attach", f"acme-router@platform:80=127.0.0.1:{self.router}"),
            *("--attach", f"acme-gateway@platform:9090=127.0.0.1:{self.gateway}"),
            *("--listen", f"127.0.0.1:{self.public}=80"),
            *("--listen", f"127.0.0.1:{self.management}=9090@acme-gateway:flycast"),
            *("--allow-replay", "platform=acme"),
            *("--image", f"{IMAGE}={shlex.join([sys.executable, str(STUDIO)])}"),
        ]

    def reconciler(self) -> list[str]:
        return [
            *(sys.executable, "-m", "reconciler", "run", str(self.specs)),
            *("--listen", f"public=127.0.0.1:{self.router}"),
            *("--listen", f"management=127.0.0.1:{self.gateway}"),
            *("--root-key-file", str(self.folder / "root.key")),
            *("--resync", "5"),
            "--yes",  # to the first apply of an empty fleet
        ]


class Screen:
    """Progress as a bar on a terminal and as plain lines in a pipe."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        self._bar = Progress(*columns, console=self.console, transient=True)
        self._task = self._bar.add_task("users ready", total=None)
        self._is_live = False

    def progressed(self, ready: int, total: int) -> None:
        """So many of the users are ready."""
        if not self.console.is_terminal:
            self.say(f"{ready} of {total} users ready")
            return
        if not self._is_live:
            self._bar.start()
            self._is_live = True
        self._bar.update(self._task, completed=ready, total=total)

    def done(self) -> None:
        """Take the bar away."""
        if self._is_live:
            self._bar.stop()
            self._is_live = False

    def say(self, text: str, style: str = "") -> None:
        """One line, never wrapped: it may be a command to copy."""
        self.console.print(text, style=style, markup=False)


def main() -> int:
    """Run the demo; the exit status is 0 after Ctrl-C or SIGTERM, 1 after an error."""
    parser = argparse.ArgumentParser(description="The sample fleet on this laptop, until Ctrl-C.")
    parser.add_argument("specs", nargs="?", type=Path, default=HERE, help="folder of YAML")
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".demo", help="for keys and logs")
    told = parser.parse_args()
    screen = Screen()
    try:
        with own_folder(told.folder.absolute()) as folder:
            ports = map(free_port, (4280, 8080, 9090, 0, 0))
            asyncio.run(until_stopped(Setting(folder_of(told.specs), folder, *ports), screen))
    except (DemoError, EndedError, OSError) as error:
        screen.done()
        print(f"demo: {error}", file=sys.stderr)
        return 1
    screen.say("stopped; nothing is left running")
    return 0


async def until_stopped(here: Setting, screen: Screen) -> None:
    """Play until a signal comes; raises DemoError or EndedError when it cannot go on."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await first(stop.wait(), play(here, screen))
    screen.done()


async def play(here: Setting, screen: Screen) -> None:
    """Start both programs, then tell what happens for as long as they live."""
    env = environment(here)
    headers = {"authorization": f"Bearer {env['FLY_API_TOKEN']}"}
    logs = here.folder
    screen.say("starting localfly, which stands in for Fly, and the reconciler")
    async with (
        httpx.AsyncClient(base_url=here.api_url, headers=headers, trust_env=False) as client,
        program("localfly", here.localfly(), env, logs / "localfly.log") as localfly,
    ):
        await first(localfly.outlived(), answers(client))
        async with program("reconciler", here.reconciler(), env, logs / "reconciler.log") as reconciler:
            await first(localfly.outlived(), narrate(reconciler, here, client, screen))


async def narrate(reconciler: Program, here: Setting, client: httpx.AsyncClient, screen: Screen) -> None:
    """Show the reconciler's events; when the fleet has converged for the first time, say what to do."""
    is_told = False
    async for line in reconciler.lines():
        event = parsed(line)
        match event["event"]:
            case "fleet.progressed" if not is_told:
                screen.progressed(event["ready"], event["total"])
            case "fleet.converged" if not is_told:
                screen.done()
                is_told = True
                for text, style in guide(here, await address_of_a_machine(client)):
                    screen.say(text, style)
            case "fleet.converged":
                screen.say(f"converged: {event['users']} users")
            case "source.rejected":
                screen.say(str(event["problem"]), "red")
            case name if event["level"] != "info":
                details = (f"{key}={value}" for key, value in event.items() if key not in IN_EVERY_EVENT)
                screen.say(" ".join([name, *details]), "yellow")
            case "apply.started" if is_told:
                screen.say(f"{event['app']}: {event['action']}: {event['because']}", "dim")


def guide(here: Setting, machine: str) -> Iterator[tuple[str, str]]:
    """What to open and to type, as (line, style); a command not answered by 200 ends in the status."""
    users = hosts(here.specs)
    public, management = f"http://127.0.0.1:{here.public}", f"http://127.0.0.1:{here.management}"
    specs = shown(here.specs)
    if users:
        name, host = next(iter(users.items()))
        as_user = f"curl -H 'X-User-App: {name}'"
        yield f"\nOpen http://{host}:{here.public}/ in a browser, or type:", "bold"
        for each in users.values():
            yield f"  curl http://{each}:{here.public}/", ""
        yield "\nManagement: at the flycast door, which only the platform reaches, and nowhere else:", "bold"
        yield f"  {as_user} {management}/metrics", ""
        yield f"  {as_user} --data-binary '<h1>Hello from a code push</h1>' {management}/code", ""
        yield f"  {as_user} {public}/metrics  # 404", ""
    if machine:
        yield "\nStraight to a machine, past the router; its guard misses the signature:", "bold"
        yield f"  curl http://{machine}/  # 401", ""
    yield "\nThe reconciler in a second terminal, from this folder:", "bold"
    yield f"  . {shown(here.folder / 'env')}", ""
    yield f"  reconciler plan {specs}", ""
    yield f"\nSave a change under {specs}, and the fleet follows. Ctrl-C ends everything.", "bold"


async def answers(client: httpx.AsyncClient) -> None:
    """Wait until localfly's API answers; DemoError after READY_WITHIN_S."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/v1/apps", params={"org_slug": "acme"})).is_success:
                        return
                await asyncio.sleep(0.05)
    raise DemoError(f"localfly did not answer at {client.base_url} within {READY_WITHIN_S} s")


async def address_of_a_machine(client: httpx.AsyncClient) -> str:
    """Where the public port of some user's machine really listens, as HOST:PORT; empty when none does."""
    world = (await client.get("/_localfly/world")).raise_for_status().json()
    listening = (machine["listens"] for app in world["apps"].values() for machine in app["machines"])
    return next((str(where["8080"]) for where in listening if "8080" in where), "")


def folder_of(specs: Path) -> Path:
    """The specs' absolute path; DemoError when there is no such folder."""
    if not specs.is_dir():
        raise DemoError(f"{specs}: not a folder; give one with the fleet's YAML")
    return specs.absolute()


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """A private folder for one run; DemoError when another demo lives in it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(f"another demo runs in {shown(folder)}; stop it, or give --folder") from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def environment(here: Setting) -> dict[str, str]:
    """The programs' environment, also written as `env` for a second terminal."""
    root_key = secrets.token_hex(32)
    made_up = {
        "FLY_API_HOSTNAME": here.api_url,
        "FLY_API_TOKEN": secrets.token_urlsafe(24),
        "FLY_ORG": "acme",
        "XDG_STATE_HOME": str(here.folder / "state"),
        "FLEET_SECRET_OPENAI_API_KEY": f"made-up-{secrets.token_hex(8)}",
    }
    typed = {**made_up, "RECONCILER_ROOT_KEY": root_key}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in typed.items()]
    path = f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n'
    for name, text in (("root.key", f"{root_key}\n"), ("env", "".join([*lines, path]))):
        (here.folder / name).touch(mode=0o600)
        (here.folder / name).write_text(text, "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_HANDED_ON)}
    return kept | made_up | {"PYTHONUNBUFFERED": "1"}


def hosts(specs: Path) -> dict[str, str]:
    """Each user's first host, by name; what cannot be read is the reconciler's to complain about."""
    found = {}
    for path in sorted(specs.rglob("*.y*ml")):
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError):
            for document in yaml.safe_load_all(path.read_text("utf-8")):
                if document["kind"] == "UserApp":
                    name = document["metadata"]["name"]
                    found[name] = (document["spec"].get("hosts") or [f"{name}.localhost"])[0]
    return found


def shown(path: Path) -> str:
    """A path as one would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def parsed(line: str) -> dict[str, Any]:
    """A log line's event; a line that is none is shown as it is."""
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict):
            return {"event": "", "level": "info", **event}
    return {"event": line, "level": "warning"}


if __name__ == "__main__":
    sys.exit(main())
