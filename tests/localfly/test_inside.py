"""Inside machines that really run: exec, ps and memory; what runs there ends with its machine."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.localfly.requests import Json, said
from tests.wire import PYTHON, ROOT, family, living, started, until

LOCALFLY = (PYTHON, "-m", "localfly", "--fast", "--no-rate-limits", "--api", "127.0.0.1:0", "--org", "acme")
STAY = f"it={sys.executable} -c 'import signal; signal.pause()'"


@dataclass(frozen=True, slots=True)
class Running:
    """A localfly with an app, and two machines that run: one is the built-in guest, one a process."""

    api: httpx.AsyncClient
    pid: int
    guest: str  # paths
    process: str

    async def ran(self, path: str, *command: str, **more: Any) -> httpx.Response:
        """The answer to an exec."""
        return await self.api.post(f"{path}/exec", json={"command": list(command), **more}, timeout=30)


@asynccontextmanager
async def running(*flags: str) -> AsyncIterator[Running]:
    env = {"FLY_API_TOKEN": "laptop-token"}
    async with started(*LOCALFLY, "--image", STAY, *flags, env=env) as program:
        await program.said(r"^localfly ready$")
        url = (await program.said(r"^localfly api (\S+)$"))[1]
        headers = {"authorization": "Bearer laptop-token"}
        async with httpx.AsyncClient(base_url=f"{url}/v1/", headers=headers) as api:
            await api.post("apps", json={"name": "shop", "org_slug": "acme"})
            await api.post("apps/shop/secrets", json={"values": {"KEY": "in the safe"}})
            service = {"protocol": "tcp", "internal_port": 8080}
            paths = []
            for image in ("guest", "it"):
                body = {"config": {"image": image, "env": {"COLOUR": "red"}, "services": [service]}}
                made = (await api.post("apps/shop/machines", json=body)).json()
                paths.append(f"apps/shop/machines/{made['id']}")
                assert (await api.get(f"{paths[-1]}/wait")).json()["state"] == "started"
            yield Running(api, program.pid, *paths)


@pytest.mark.wire
async def test_exec_runs_a_command_in_the_machines_environment_to_its_end() -> None:
    """Output, code and signal come back, input goes in; nothing of localfly's own environment is there."""
    async with running("--allow-exec") as fly:
        for path in (fly.guest, fly.process):
            shell = (
                'echo "$COLOUR $KEY $FLY_MACHINE_ID $LOCALFLY_PORT_8080 $FLY_API_TOKEN"; echo no >&2; exit 3'
            )
            answer = (await fly.ran(path, "sh", "-c", shell)).json()
            *said_first, port = answer["stdout"].split()
            assert said_first == ["red", "in", "the", "safe", path.rpartition("/")[2]]
            assert int(port) > 1024
            assert (answer["exit_code"], answer["exit_signal"], answer["stderr"]) == (3, 0, "no\n")
        piped = (await fly.ran(fly.process, "cat", stdin="one\ntwo")).json()
        assert (piped["stdout"], piped["exit_code"]) == ("one\ntwo", 0)
        killed = (await fly.ran(fly.guest, "sh", "-c", "kill -9 $$")).json()
        assert (killed["exit_code"], killed["exit_signal"]) == (137, 9)
        missing = (await fly.ran(fly.guest, "/no/such/program")).json()
        assert missing["exit_code"] == 127
        text = await fly.api.post(f"{fly.guest}/exec", json={"cmd": "printf '%s|' 'a b' c"})
        assert text.json()["stdout"] == "a b|c|"


@pytest.mark.wire
async def test_exec_that_takes_too_long_or_says_too_much_is_ended() -> None:
    """408 at its time, 400 for a flood; nothing of it is left running."""
    async with running("--allow-exec") as fly:
        before = family(fly.pid)
        late = await fly.ran(fly.guest, "sh", "-c", "sleep 60 & sleep 60", timeout=1)
        assert said(late) == (408, "deadline_exceeded: the command did not end within 1 s")
        flood = await fly.ran(fly.guest, "sh", "-c", "yes")
        assert flood.status_code == 400
        bodies: list[Json] = [
            {},
            {"command": []},
            {"command": ["a"], "cmd": "a"},
            {"cmd": "'"},
            {"timeout": 61},
            {"command": ["true", "x" * 3_000_000]},
        ]
        for wrong in bodies:
            assert (await fly.api.post(f"{fly.guest}/exec", json=wrong)).status_code == 400
        contained = await fly.ran(fly.guest, "true", container="web")
        assert contained.status_code == 501
        await until(lambda: not living(family(fly.pid) - before), what="the end of what exec started")


@pytest.mark.wire
@pytest.mark.parametrize("which", ["guest", "process"])
async def test_exec_ends_with_its_machine(which: str) -> None:
    """A stop under way ends the command, and the caller is told that the machine went down."""
    async with running("--allow-exec") as fly:
        path = getattr(fly, which)
        before = family(fly.pid)
        asked = asyncio.create_task(fly.ran(path, "sh", "-c", "sleep 60"))
        await until(lambda: len(family(fly.pid)) > len(before), what="the command")
        await fly.api.post(f"{path}/stop", json={"timeout": "1s"})
        assert said(await asked) == (412, "exec request failed: EOF")
        assert said(await fly.ran(path, "true"))[0] == 412


@pytest.mark.wire
async def test_exec_without_the_flag_is_refused_and_runs_nothing() -> None:
    """The refusal names the flag."""
    async with running() as fly:
        before = family(fly.pid)
        status, text = said(await fly.ran(fly.guest, "true"))
        assert (status, "--allow-exec" in text) == (403, True)
        assert family(fly.pid) == before


@pytest.mark.wire
async def test_ps_and_memory_tell_of_the_processes_of_the_machine() -> None:
    """A process has its row and its memory; the guest is part of localfly and has none."""
    async with running("--allow-exec") as fly:
        rows = (await fly.api.get(f"{fly.process}/ps")).json()
        assert rows == [row for row in rows if row["pid"] in family(fly.pid)]
        assert "signal.pause" in rows[0]["command"]
        assert rows[0]["rss"] > 1_000_000
        assert rows[0]["directory"] == str(ROOT)
        assert (await fly.api.get(f"{fly.guest}/ps")).json() == []
        server = (
            "import socket,signal; s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(); signal.pause()"
        )
        asked = asyncio.create_task(fly.ran(fly.guest, sys.executable, "-c", server, timeout=20))

        async def listening() -> list[Any]:
            found = (await fly.api.get(f"{fly.guest}/ps", params={"sort_by": "rss", "order": "desc"})).json()
            return [one["address"] for row in found for one in row["listen_sockets"] if one["proto"] == "tcp"]

        assert (await until(listening, what="its socket"))[0].startswith("127.0.0.1:")
        wrong = [{"sort_by": "colour"}, {"order": "up"}]
        for query in wrong:
            assert (await fly.api.get(f"{fly.guest}/ps", params=query)).status_code == 400
        memory = (await fly.api.get(f"{fly.process}/memory")).json()
        assert memory["limit_mb"] == 256
        assert 0 < memory["available_mb"] < 256
        less = (await fly.api.put(f"{fly.process}/memory", json={"limit_mb": 128})).json()
        assert less["limit_mb"] == 128
        too_much = await fly.api.put(f"{fly.process}/memory", json={"limit_mb": 257})
        reclaimed = await fly.api.post(f"{fly.process}/memory/reclaim", json={"amount_mb": 64})
        assert (too_much.status_code, reclaimed.json()) == (400, {"actual_mb": 0})
        await fly.api.post(f"{fly.guest}/stop")
        assert said(await asked)[0] == 412
