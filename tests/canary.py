"""Secrets that are planted to be looked for: one of every kind, and what would betray any part of one.

Answers for finding traces in text and files, and for a Fly on a socket that hands out such secrets, repeats
what it is told, and listens for those it hands out itself. Which commands are driven past them is the tests'.
"""

import asyncio
import base64
import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

from pyrage import x25519
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localfly.api.routes import create_api
from localfly.journal import Journal
from localfly.lifecycle import Lifecycle
from localfly.serve import answering
from localfly.world import World
from reconciler.age import encrypt
from reconciler.core.keys import PURPOSES, RootKey
from tests import wire
from tests.journeys.hosted import QUICK
from tests.localfly.inprocess import NothingRuns

PART = 8  # characters in a row that betray a secret
HEX_PART = 12  # where any hash has the same letters, eight may meet by chance

ENV = 'env-"Qx7"\\K9w é+%2B/canary-Jr4'
FILE = "file-canary-Wm3zT8\nsecond line-Hb6"
AGE = "age-canary-Vn5cP2yD"
TOKEN = "token-canary-Lk8sR1fG"
ROOT_KEY = "7d3e9a5c1b8f2604" * 4
IDENTITY = x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
ROOT = RootKey(ROOT_KEY)
USERS = ("alice", "bob")
PUBLIC_PREFIXES = ("AGE-SECRET-KEY-1",)


def planted() -> dict[str, str]:
    """What is known before anything runs, by what it is; `Fly` adds what it hands out and is given."""
    found = {
        "environment secret": ENV,
        "file secret": FILE,
        "age secret": AGE,
        "age identity": str(IDENTITY),
        "API token": TOKEN,
        "root key": ROOT_KEY,
        "replay root": ROOT.replay_root.hex(),
        "plan key": ROOT.plan_key.hex(),
    }
    for user in USERS:
        app = f"acme-{user}"
        found[f"derived secret of {user}"] = ROOT.derive(app, "DERIVED")
        found |= {f"{name} of {user}": key for name, key in ROOT.app_keys(app, PURPOSES).items()}
    return found


def traces(text: str, secrets: Mapping[str, str]) -> list[str]:
    """Which secrets the text gives away, and in which spelling; [] when none."""
    windows = _windows(text)
    return [
        f"{name}, {spelling}"
        for name, value in secrets.items()
        for spelling, parts in _parts(value).items()
        if parts & windows
    ]


_KNOWN: dict[str, dict[str, frozenset[str]]] = {}


def _parts(value: str) -> dict[str, frozenset[str]]:
    whole = value
    if whole not in _KNOWN:
        for prefix in PUBLIC_PREFIXES:
            value = value.removeprefix(prefix)
        content = value.encode()
        spellings = {
            "plain": value,
            "reversed": value[::-1],
            "in JSON": json.dumps(value)[1:-1],
            "in JSON, as UTF-8": json.dumps(value, ensure_ascii=False)[1:-1],
            "in JSON in JSON": json.dumps(json.dumps(value))[3:-3],
            "as repr": repr(value)[1:-1],
            "in a URL": quote(value, safe=""),
            "in a form": quote_plus(value),
            "hexadecimal": content.hex(),
            "HEXADECIMAL": content.hex().upper(),
            **{
                f"base64 +{skip}": base64.b64encode(content[skip:]).decode().rstrip("=")[:-1]
                for skip in range(3)
            },
            **{
                f"URL base64 +{skip}": base64.urlsafe_b64encode(content[skip:]).decode().rstrip("=")[:-1]
                for skip in range(3)
            },
        }
        _KNOWN[whole] = {name: frozenset(_windows(text)) for name, text in spellings.items()}
    return _KNOWN[whole]


def _windows(text: str) -> set[str]:
    short = {text[at : at + PART] for at in range(len(text) - PART + 1)}
    long = {text[at : at + HEX_PART] for at in range(len(text) - HEX_PART + 1)}
    return {part for part in short if part.strip("0123456789abcdefABCDEF")} | long


def in_files(folder: Path, secrets: Mapping[str, str]) -> list[str]:
    """The same for every file below a folder, by its name and by its bytes."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        content = path.read_bytes() if path.is_file() else b""
        found += [
            f"{name}: {trace}"
            for text in (name, content.decode("latin-1"), content.decode("utf-8", "replace"))
            for trace in traces(text, secrets)
        ]
    return found


SPECS = {
    "fleet.yaml": """
apiVersion: reconciler/v1alpha1
kind: Fleet
metadata: {name: acme}
spec: {org: acme, installation: canaries1, app_name: "acme-{name}", regions: [iad]}
---
apiVersion: reconciler/v1alpha1
kind: Router
metadata: {name: router}
spec:
  domains: [example.com]
  listeners: [{name: public, app: acme-router, bind: "127.0.0.1:0", ports: [80]}]
---
apiVersion: reconciler/v1alpha1
kind: Machine
metadata: {name: studio}
spec:
  config:
    image: registry.fly.io/studio:1
    guest: {cpu_kind: shared, cpus: 1, memory_mb: 256}
    services: [{internal_port: 8080, ports: [{port: 80, handlers: [http]}]}]
""",
    "secrets.yaml": """
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: FROM_ENV}
spec: {from: {env: FLEET_SECRET_FROM_ENV}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: FROM_FILE}
spec: {from: {file: folder/key}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: DERIVED}
spec: {from: {derive: {}}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: GENERATED}
spec: {from: {generate: {version: 1}}}
---
apiVersion: reconciler/v1alpha1
kind: Secret
metadata: {name: ENCRYPTED}
spec:
  from:
    age: |
""",
}
USER = """
apiVersion: reconciler/v1alpha1
kind: UserApp
metadata: {name: NAME}
spec:
  machines: [{name: web, template: studio, mount: {name: data, path: /data, size_gb: 1}}]
  secrets: [FROM_ENV, FROM_FILE, DERIVED, GENERATED, ENCRYPTED]
"""


def write_specs(folder: Path) -> None:
    """A fleet of two whose apps carry a secret of every kind."""
    ciphertext = "".join(f"      {line}\n" for line in encrypt(AGE, [RECIPIENT]).splitlines())
    (folder / "users").mkdir(parents=True)
    (folder / "fleet.yaml").write_text(SPECS["fleet.yaml"])
    (folder / "secrets.yaml").write_text(SPECS["secrets.yaml"] + ciphertext)
    for name in USERS:
        (folder / "users" / f"{name}.yaml").write_text(USER.replace("NAME", name))


Answer = Callable[[str, str, bytes, Mapping[str, str]], tuple[int, bytes] | None]


def straight(_method: str, _path: str, _body: bytes, _headers: Mapping[str, str]) -> None:
    """Let every request through."""


@dataclass(slots=True)
class Fly:
    """A Fly on a socket; `answer` may answer a request in its stead, whatever it likes."""

    world: World
    url: str = ""
    answer: Answer = straight
    handed_out: dict[str, str] = field(default_factory=dict)  # nonces of leases

    def secrets(self) -> dict[str, str]:
        """All that must not be seen: planted, generated, handed out."""
        generated = {
            f"{name} of {app.name}": secret.value
            for app in list(self.world.apps.values())
            for name, secret in app.secrets.items()
            if name == "GENERATED"
        }
        return planted() | generated | self.handed_out


@contextlib.contextmanager
def fly_on_a_thread() -> Iterator[Fly]:
    """Beside the test, so that commands can run inside it, each with a loop of its own."""
    fly, ready, over = Fly(World(time.time)), threading.Event(), threading.Event()
    fly.world.add_org("acme")

    async def serve() -> None:
        async with Lifecycle(fly.world, NothingRuns(), QUICK) as lifecycle:
            api = create_api(fly.world, lifecycle, tokens={TOKEN: None}, journal=Journal(time.time))
            with wire.tcp_listener() as listener:
                async with answering(_Ear(api, fly), listener):
                    fly.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                    ready.set()
                    await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(timeout=10)
        yield fly
    finally:
        over.set()
        thread.join(timeout=10)


@dataclass(frozen=True, slots=True)
class _Ear:
    """Hears the nonces that Fly hands out, and lets a test answer in its stead."""

    api: ASGIApp
    fly: Fly

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        body = await _whole(receive)
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        instead = self.fly.answer(scope["method"], scope["path"], body, headers)
        if instead is not None:
            status, content = instead
            await send({"type": "http.response.start", "status": status, "headers": _JSON})
            await send({"type": "http.response.body", "body": content})
            return
        told = False

        async def again() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def heard(message: Message) -> None:
            for nonce in re.findall(rb'"nonce": ?"([^"]+)"', message.get("body", b"")):
                self.fly.handed_out[f"nonce {len(self.fly.handed_out)}"] = nonce.decode()
            await send(message)

        await self.api(scope, again, heard)


_JSON = [(b"content-type", b"application/json"), (b"fly-request-id", b"01CANARY")]


async def _whole(receive: Receive) -> bytes:
    content: bytes = b""
    while True:
        message = await receive()
        content += bytes(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return content
