"""`make demo` as its visitor lives it: real programs, real sockets, real commands."""

import contextlib
import json
import os
import re
import signal
import socket as sockets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests import wire
from tests.journeys.demo_run import asked, converged, demo_run, typed

USERS = ("alice", "bob", "carol")
HIDDEN = ("FLY_API_TOKEN", "RECONCILER_ROOT_KEY", "FLEET_SECRET_OPENAI_API_KEY")


@pytest.mark.wire
async def test_every_printed_command_answers_as_printed_and_stopping_leaves_nothing(tmp_path: Path) -> None:
    """Each curl line ends in its status and the right user's machine; SIGTERM ends every process."""
    async with demo_run(tmp_path) as demo:
        await converged(demo)

        commands = demo.curl_lines()
        assert sorted(status for _, status in commands) == [200, 200, 200, 200, 200, 401, 404]
        for command, status in commands:
            answer = await typed(command)
            assert (command, answer.status) == (command, status), answer.body
            if owner := re.search(r"http://(\w+)\.localhost", command):
                assert json.loads(answer.body)["app"] == f"acme-{owner[1]}"
        port = demo.port("alice.localhost")
        async with connect(f"ws://alice.localhost:{port}/ws", host="127.0.0.1", proxy=None) as socket:
            await socket.send("hello")
            assert await socket.recv() == "acme-alice heard: hello"
        assert await first_event("alice.localhost", port) == {"visits": 1}
        pushed = await asked("alice.localhost", demo.port("alice.localhost"), "/code")
        assert pushed.body == "<h1>Hello from a code push</h1>"

        env, programs = demo.settings(), wire.family(demo.program.pid)
        plan = f". {demo.folder}/env && reconciler plan {demo.specs} --format json --detailed-exitcode"
        planned = await wire.finished("sh", "-c", plan)
        assert (planned.code, planned.err) == (0, "")
        assert [app for app in json.loads(planned.out)["apps"] if app["actions"]] == []

        assert len(programs) >= 2 + len(USERS)
        demo.program.send(signal.SIGTERM)
        assert await demo.program.ended(within_s=20) == 0
        assert wire.living(programs) == frozenset()
        assert not demo.folder.exists()
        said = "\n".join(demo.program.out + demo.program.err)
        assert [name for name in HIDDEN if env[name] in said] == []


@pytest.mark.wire
async def test_while_it_runs_saved_files_move_routes_and_lost_machines_come_back(tmp_path: Path) -> None:
    """A saved host answers within two seconds, a broken file changes nothing, a deleted machine returns."""
    async with demo_run(tmp_path) as demo:
        await converged(demo)
        port = demo.port("bob.localhost")
        bob = demo.specs / "users" / "bob.yaml"
        good = bob.read_text("utf-8")

        bob.write_text(good.replace("spec:\n", "spec:\n  hosts: [robert.localhost]\n"), "utf-8")
        await wire.until(lambda: answers(200, "robert.localhost", port), within_s=2, what="the saved host")
        assert not await answers(200, "bob.localhost", port)

        bob.write_text(good.replace("spec:", "spec: ]"), "utf-8")
        await demo.program.said(r"bob\.yaml:\d+:\d+: ", within_s=5)
        assert await answers(200, "robert.localhost", port)

        async with demo.api() as api:

            async def app() -> dict[str, Any]:
                world: dict[str, Any] = (await api.get("/_localfly/world")).raise_for_status().json()
                return dict(world["apps"]["acme-bob"])

            async def machines() -> list[dict[str, Any]]:
                return [each for each in (await app())["machines"] if each["state"] == "started"]

            (lost,), (volume,) = await machines(), (await app())["volumes"]
            gone = await api.delete(f"/v1/apps/acme-bob/machines/{lost['id']}", params={"force": "true"})
            assert gone.status_code == 200
            bob.write_text(good, "utf-8")
            await wire.until(lambda: nobody_is(lost, machines), what="the machine is gone")
            (new,) = await wire.until(machines, within_s=30, what="bob's machine is back")
            (kept,) = (await app())["volumes"]
        assert (kept["id"], kept["machine_id"]) == (volume["id"], new["id"])
        await wire.until(lambda: answers(200, "bob.localhost", port), within_s=10, what="bob is routed again")


async def first_event(host: str, port: int) -> object:
    """The first thing that the studio of that host streams."""
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", f"http://127.0.0.1:{port}/events", headers={"host": host}) as answer,
    ):
        return json.loads((await anext(answer.aiter_lines())).removeprefix("data: "))


async def nobody_is(lost: dict[str, Any], machines: Callable[[], Awaitable[list[dict[str, Any]]]]) -> bool:
    """Whether that machine no longer runs."""
    return all(each["id"] != lost["id"] for each in await machines())


async def answers(status: int, host: str, port: int) -> bool:
    """Whether that host of the public door answers so now."""
    return (await asked(host, port)).status == status


@pytest.mark.wire
async def test_taken_ports_are_left_alone_and_ctrl_c_at_once_leaves_nothing(tmp_path: Path) -> None:
    """With the usual door occupied it takes another one; Ctrl-C before it is ready ends it cleanly."""
    with sockets.socket() as other:
        with contextlib.suppress(OSError):  # somebody else holds it: just as taken
            other.bind(("127.0.0.1", 8080))
            other.listen()
        async with demo_run(tmp_path) as demo:
            await demo.program.said("starting localfly")
            programs = await wire.until(lambda: wire.family(demo.program.pid), what="its programs run")
            demo.program.send(signal.SIGINT)
            assert await demo.program.ended(within_s=20) == 0
            assert wire.living(programs) == frozenset()
            assert not demo.folder.exists()
            assert "Traceback" not in "\n".join(demo.program.err)


@pytest.mark.wire
async def test_a_second_demo_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """One line says that a demo runs there already, and the first one's keys stay."""
    async with demo_run(tmp_path) as demo:
        await wire.until((demo.folder / "env").exists, what="the first demo has its keys")
        argv = (wire.PYTHON, wire.ROOT / "specs" / "demo.py", demo.specs, "--folder", demo.folder)
        second = await wire.finished(*argv)
        assert (second.code, second.out) == (1, "")
        assert re.fullmatch(r"demo: another demo runs in .*; stop it, or give --folder\n", second.err)
        assert (demo.folder / "env").exists()


@pytest.mark.wire
async def test_when_a_program_dies_the_demo_says_so_and_ends(tmp_path: Path) -> None:
    """A reconciler that is killed takes the demo down with status 1, one line and no process left."""
    async with demo_run(tmp_path) as demo:
        await converged(demo)
        programs = wire.family(demo.program.pid)
        reconciler = min(pid for pid in programs if "reconciler run" in wire.command(pid))
        os.kill(reconciler, signal.SIGKILL)
        assert await demo.program.ended(within_s=20) == 1
        assert re.match(r"demo: reconciler ended with status -9", demo.program.err[-1])
        assert len(demo.program.err) == 1
        assert wire.living(programs) == frozenset()


@pytest.mark.wire
async def test_when_the_demo_is_killed_its_programs_end_as_well(tmp_path: Path) -> None:
    """`kill -9` leaves no process behind: neither the two programs nor the machines."""
    async with demo_run(tmp_path) as demo:
        await converged(demo)
        programs = wire.family(demo.program.pid)
        assert any("reconciler run" in wire.command(pid) for pid in programs)
        demo.program.send(signal.SIGKILL)
        await wire.until(lambda: not wire.living(programs), within_s=30, what="everything has ended")
