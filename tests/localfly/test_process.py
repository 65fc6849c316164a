"""Real processes as machines: their environment, their exit, their end with everything they started."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from localfly.lifecycle import Lifecycle
from localfly.passage import Timings
from localfly.proxy.door import BadFlag
from localfly.runtime import LaptopRuntime, command_for, parse_image
from localfly.world import Machine, World
from tests.wire import family, living, until

FAST = Timings(create_s=0, start_s=0, stop_s=0, reap_s=0, replace_s=0, destroy_s=0, restart_s=0.01)
SERVE = """
import http.server, os
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"hello")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Hello).serve_forever()
"""
TELL_ENVIRONMENT = "import json, os, signal; print(json.dumps(dict(os.environ)), flush=True); signal.pause()"
STUBBORN_WITH_CHILD = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.pause()"
subprocess.Popen([sys.executable, "-c", child])
print("up", flush=True)
signal.pause()
"""
POLITE = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(8))
print("up", flush=True)
signal.pause()
"""


@dataclass(slots=True)
class House:
    """A world whose machines are processes; `said` has every line that one printed."""

    world: World
    lifecycle: Lifecycle
    said: list[str] = field(default_factory=list)

    async def machine(self, *, wanted: str = "started", **config: Any) -> Machine:
        """A machine of the image `it`, when it is in the state wanted."""
        app = self.world.apps["shop"]
        config = {"image": "it:v1", "services": [{"internal_port": 8080}, {"internal_port": 9090}], **config}
        machine = self.world.add_machine(
            app,
            name=f"m{len(app.machines)}",
            region="iad",
            config=config,
            submitted=config,
            secrets=app.secrets,
        )
        self.lifecycle.launch(machine)
        assert await self.lifecycle.until(machine, lambda m: m.state == wanted, timeout_s=8), machine.state
        return machine

    async def stopped(self, machine: Machine) -> dict[str, Any]:
        """Stop it, and return what its last exit event says."""
        self.lifecycle.stop(machine)
        assert await self.lifecycle.until(machine, lambda m: m.state == "stopped", timeout_s=8)
        return self.exits(machine)[-1]

    def exits(self, machine: Machine) -> list[dict[str, Any]]:
        """The exit events of a machine, oldest first."""
        return [
            event.request["exit_event"] for event in machine.events if event.type == "exit" and event.request
        ]


@contextlib.asynccontextmanager
async def house(script: str, *, secrets: Mapping[str, str] | None = None) -> AsyncIterator[House]:
    """A world in which the image `it` runs this Python script."""
    world = World(time.time)
    world.set_secrets(world.add_app("shop", org="acme"), dict(secrets or {}))
    said: list[str] = []
    commands = {"it": (sys.executable, "-c", script)}

    def exited(machine_id: str, code: int) -> None:
        lifecycle.exited(machine_id, code)

    runtime = LaptopRuntime(commands, exited=exited, output=lambda _, line: said.append(line))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runtime.aclose)
        lifecycle = await stack.enter_async_context(Lifecycle(world, runtime, FAST))
        yield House(world, lifecycle, said)
    assert living(family(os.getpid())) == frozenset()


@pytest.mark.wire
async def test_a_process_serves_on_the_port_it_is_given() -> None:
    """PORT is the first service's; the machine is reached where it was told to listen."""
    async with house(SERVE) as at:
        machine = await at.machine()
        where = at.lifecycle.runtime.address(machine.id, 8080)
        assert where
        async with httpx.AsyncClient() as client:

            async def hello() -> bool:
                return (await client.get(f"http://{where[0]}:{where[1]}/")).text == "hello"

            await until(hello, within_s=8)


@pytest.mark.wire
async def test_a_process_has_flys_variables_its_secrets_and_nothing_of_ours() -> None:
    """Config env, secrets over it, FLY_* over both; of localfly's own only PATH, HOME and LANG."""
    env = {"PLAIN": "1", "BOTH": "env", "FLY_REGION": "forged", "PORT": "1"}
    async with house(TELL_ENVIRONMENT, secrets={"KEY": "s3cret", "BOTH": "secret"}) as at:
        machine = await at.machine(env=env, guest={"memory_mb": 512})
        await until(lambda: at.said)
        told = json.loads(at.said[0])
        ports = {port: str(at.lifecycle.runtime.address(machine.id, port)[1]) for port in (8080, 9090)}  # type: ignore[index]  # None would fail the test as well
        expected = {
            "PLAIN": "1",
            "BOTH": "secret",
            "KEY": "s3cret",
            "FLY_APP_NAME": "shop",
            "FLY_MACHINE_ID": machine.id,
            "FLY_ALLOC_ID": machine.id,
            "FLY_REGION": "iad",
            "FLY_IMAGE_REF": "it:v1",
            "FLY_MACHINE_VERSION": machine.instance_id,
            "FLY_PRIVATE_IP": machine.private_ip,
            "FLY_VM_MEMORY_MB": "512",
            "LOCALFLY_PORT_8080": ports[8080],
            "LOCALFLY_PORT_9090": ports[9090],
            "PORT": ports[8080],
        }
        assert expected.items() <= told.items()
        ours = {"PATH", "HOME", "LANG", "FLY_PUBLIC_IP", "FLY_PROCESS_GROUP"}
        of_shell_and_python = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}
        assert told.keys() - expected.keys() <= ours | of_shell_and_python


@pytest.mark.wire
@pytest.mark.parametrize(("code", "state"), [(0, "stopped"), (3, "stopped")])
async def test_the_exit_of_a_process_is_the_exit_of_its_machine(code: int, state: str) -> None:
    """The code stands in the exit event; with no restart policy the machine is stopped."""
    async with house(f"import sys; sys.exit({code})") as at:
        machine = await at.machine(wanted=state, restart={"policy": "no"})
        assert at.exits(machine)[-1]["exit_code"] == code
        assert at.exits(machine)[-1]["requested_stop"] is False
        assert at.lifecycle.runtime.address(machine.id, 8080) is None


@pytest.mark.wire
async def test_a_process_that_fails_is_restarted_as_often_as_the_policy_says() -> None:
    """Three lives with two retries; then the machine stays stopped."""
    async with house("print('alive'); raise SystemExit(1)") as at:
        machine = await at.machine(wanted="stopped", restart={"policy": "on-failure", "max_retries": 2})
        await until(lambda: at.said.count("alive") == 3)
        assert [event["restarting"] for event in at.exits(machine)] == [True, True, False]


@pytest.mark.wire
@pytest.mark.parametrize(
    ("stop_config", "code"), [({}, 7), ({"signal": "SIGTERM"}, 8), ({"signal": "SIGKILL"}, 137)]
)
async def test_a_stop_sends_the_signal_that_the_config_names(stop_config: dict[str, str], code: int) -> None:
    """SIGINT unless told; what the process makes of it is its exit code."""
    async with house(POLITE) as at:
        machine = await at.machine(stop_config=stop_config)
        await until(lambda: at.said)
        exit_event = await at.stopped(machine)
        assert (exit_event["exit_code"], exit_event["requested_stop"]) == (code, True)


@pytest.mark.wire
async def test_what_ignores_the_signal_is_killed_with_all_that_it_started() -> None:
    """After the timeout SIGKILL goes to the whole process group."""
    async with house(STUBBORN_WITH_CHILD) as at:
        machine = await at.machine(stop_config={"timeout": "200ms"})
        await until(lambda: at.said)
        before = family(os.getpid())
        assert (await at.stopped(machine))["exit_code"] == 128 + signal.SIGKILL
        await until(lambda: len(before - living(before)) == 2, what="the end of both")


@pytest.mark.wire
async def test_a_process_that_ends_takes_its_children_along() -> None:
    """A machine that is off runs nothing, even when only its main process ended."""
    leave_child = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]).pid, flush=True)
"""
    async with house(leave_child) as at:
        machine = await at.machine(wanted="stopped", restart={"policy": "no"})
        assert at.exits(machine)[-1]["exit_code"] == 0
        await until(lambda: at.said)
        child = frozenset({int(at.said[0])})
        await until(lambda: not living(child))


@pytest.mark.wire
@pytest.mark.parametrize(
    "config",
    [{"init": {"cmd": ["sleep"]}}, {"processes": [{"cmd": ["sleep"]}]}, {"files": [{"guest_path": "/x"}]}],
)
async def test_a_config_that_would_run_something_else_is_refused(config: dict[str, Any]) -> None:
    """The machine fails to start, and its event says what localfly does not imitate."""
    async with house(POLITE) as at:
        machine = await at.machine(wanted="failed", **config)
        assert machine.events[-1].request
        assert "localfly does not imitate config." in machine.events[-1].request["error"]
        assert at.said == []


COUNTS = """
import signal, sys, time
count = 0
while True:
    count += 1
    print(count, flush=True)
    time.sleep(0.02)
"""


@pytest.mark.wire
async def test_a_suspended_process_stands_still_and_goes_on_where_it_stood() -> None:
    """SIGSTOP to its group, SIGCONT at the start: one process, one memory, no second boot."""
    async with house(COUNTS) as at:
        machine = await at.machine()
        await until(lambda: at.said)
        children = family(os.getpid())
        at.lifecycle.suspend(machine)
        assert await at.lifecycle.until(machine, lambda m: m.state == "suspended", timeout_s=8)
        await until(lambda: _states(children) >= {"T"})
        await at.lifecycle.start(machine)
        asleep_at = len(at.said)
        await until(lambda: len(at.said) > asleep_at + 3)
        assert at.said == [str(number) for number in range(1, len(at.said) + 1)]


@pytest.mark.wire
async def test_a_suspended_process_is_stopped_without_being_woken() -> None:
    """Its memory is dropped: it is killed where it stands, whatever the config's signal and timeout."""
    async with house(POLITE) as at:
        machine = await at.machine(stop_config={"signal": "SIGTERM", "timeout": "1m"})
        await until(lambda: at.said)
        at.lifecycle.suspend(machine)
        assert await at.lifecycle.until(machine, lambda m: m.state == "suspended", timeout_s=8)
        assert (await at.stopped(machine))["exit_code"] == 128 + signal.SIGKILL


@pytest.mark.wire
async def test_a_signal_is_the_process_own_business() -> None:
    """It ends of it as it likes, and the exit is its own, not a stop that was asked for."""
    async with house(POLITE) as at:
        machine = await at.machine(restart={"policy": "no"})
        await until(lambda: at.said)
        at.lifecycle.signal(machine, "SIGTERM")
        assert await at.lifecycle.until(machine, lambda m: m.state == "stopped", timeout_s=8)
        assert (at.exits(machine)[-1]["exit_code"], at.exits(machine)[-1]["requested_stop"]) == (8, False)


@pytest.mark.wire
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 0), ("SIGKILL", 137), ("SIGHUP", 129)])
async def test_the_guest_ends_of_a_signal_like_a_small_server(name: str, code: int) -> None:
    """Politely asked it exits with 0, otherwise with what the signal makes of a process."""
    async with house(POLITE) as at:
        machine = await at.machine(image="guest", restart={"policy": "no"})
        at.lifecycle.signal(machine, name)
        assert await at.lifecycle.until(machine, lambda m: m.state == "stopped", timeout_s=8)
        assert at.exits(machine)[-1]["exit_code"] == code


@pytest.mark.wire
async def test_the_guest_remembers_over_a_suspend_and_forgets_over_a_stop() -> None:
    """It counts the requests that it served since it booted."""
    async with house(POLITE) as at, httpx.AsyncClient() as client:
        machine = await at.machine(image="guest")

        async def served() -> int:
            where = at.lifecycle.runtime.address(machine.id, 8080)
            assert where
            count: int = (await client.get(f"http://{where[0]}:{where[1]}/")).json()["served"]
            return count

        counts = [await served(), await served()]
        at.lifecycle.suspend(machine)
        assert await at.lifecycle.until(machine, lambda m: m.state == "suspended", timeout_s=8)
        hidden = at.lifecycle.runtime.address(machine.id, 8080)
        await at.lifecycle.start(machine)
        counts.append(await served())
        await at.stopped(machine)
        await at.lifecycle.start(machine)
        assert (hidden, [*counts, await served()]) == (None, [1, 2, 3, 1])


CHECKED = """
import http.server, os
class Mood(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({"/up": 200, "/busy": 429}.get(self.path, 500)); self.end_headers()
        self.wfile.write(b"I am " + self.headers["x-who"].encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Mood).serve_forever()
"""


@pytest.mark.wire
async def test_checks_ask_the_real_port() -> None:
    """By connecting, or by one request whose status and body are shown; silence is no answer."""
    often = {"port": 8080, "interval": "50ms", "grace_period": "0s"}
    asks = {"headers": [{"name": "x-who", "values": ["checked"]}], "type": "http", **often}
    checks = {
        "tcp": {"type": "tcp", **often},
        "up": {**asks, "path": "/up"},
        "busy": {**asks, "path": "/busy"},
        "down": {**asks, "path": "/down"},
        "deaf": {"type": "tcp", **often, "port": 9090},
    }
    async with house(CHECKED) as at:
        machine = await at.machine(checks=checks)
        await until(lambda: "up" in machine.checks and machine.checks["up"].status == "passing")
        await until(lambda: len(machine.checks) == 5 and machine.checks["busy"].status == "warning")
        found = {name: (result.status, result.output) for name, result in machine.checks.items()}
        where = at.lifecycle.runtime.address(machine.id, 8080)
        assert where
        url = f"http://{where[0]}:{where[1]}"
        assert found == {
            "tcp": ("passing", "Success"),
            "up": ("passing", f"HTTP GET {url}/up: 200 Output: I am checked"),
            "busy": ("warning", f"HTTP GET {url}/busy: 429 Output: I am checked"),
            "down": ("critical", f"HTTP GET {url}/down: 500 Output: I am checked"),
            "deaf": ("critical", "connect: connection refused"),
        }


def _states(pids: frozenset[int]) -> set[str]:
    """The one-letter states of processes, as `ps` has them."""
    asked = subprocess.run(
        ["ps", "-o", "stat=", "-p", ",".join(map(str, pids))], check=False, capture_output=True, text=True
    )
    return {line[0] for line in asked.stdout.split()}


@pytest.mark.wire
async def test_output_is_handed_on_line_by_line_whatever_it_is() -> None:
    """Long lines are cut, bytes that are no UTF-8 replaced, and a last line without end counts."""
    script = (
        "import sys; out = sys.stdout.buffer;"
        "out.write(b'one\\n\\xff\\n' + b'x' * 20000 + b'\\nerr'); out.flush(); sys.stderr.write('last')"
    )
    async with house(script) as at:
        await at.machine(wanted="stopped", restart={"policy": "no"})
        await until(lambda: at.said and at.said[-1] == "errlast")
        assert at.said[:2] == ["one", "�"]
        assert sum(map(len, at.said[2:-1])) == 20000


def test_an_image_is_found_by_exact_reference_or_by_name() -> None:
    """Digest and tag may be left out of REF, not replaced by others."""
    commands = {"a": ("1",), "b:v1": ("2",), "r.example:5000/c": ("3",), "d@sha256:0": ("4",)}
    expected = {
        "a": "1",
        "a:v9": "1",
        "a@sha256:1": "1",
        "a:v9@sha256:1": "1",
        "b:v1": "2",
        "b:v1@sha256:2": "2",
        "b:v2": None,
        "b": None,
        "r.example:5000/c": "3",
        "r.example:5000/c:x": "3",
        "r.example": None,
        "d@sha256:0": "4",
        "d@sha256:1": None,
        "": None,
    }
    found = {image: command_for(image, commands) for image in expected}
    assert {image: command and command[0] for image, command in found.items()} == expected


@pytest.mark.parametrize("text", ["", "x", "x=", "=sh", "x='sh", "x=/no/such/program"])
def test_an_image_flag_that_cannot_work_is_one_line(text: str) -> None:
    """Also a program that is not there, before anything starts."""
    with pytest.raises(BadFlag, match=r"^--image "):
        parse_image(text)


def test_an_image_flag_splits_its_command_like_a_shell() -> None:
    """Quotes group; the first `=` ends the reference."""
    assert parse_image("r/x@sha256:0=sh -c 'a b' --k=v") == ("r/x@sha256:0", ("sh", "-c", "a b", "--k=v"))


@pytest.mark.wire
@pytest.mark.parametrize("env", [{"A": "x\0y"}, {"A=B": "c"}])
async def test_an_environment_that_no_process_can_have_fails_the_machine(env: dict[str, str]) -> None:
    async with house("") as home:
        machine = await home.machine(wanted="failed", env=env)

        assert "cannot run" in str(machine.events[-1].request)
