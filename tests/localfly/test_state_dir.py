"""What `--state-dir` promises: what was acknowledged is there again, however localfly ended."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.wire import PYTHON, Program, finished, started, until

LOCALFLY = (PYTHON, "-m", "localfly", "--fast", "--api", "127.0.0.1:0", "--org", "acme", "--no-rate-limits")
TOKEN = {"FLY_API_TOKEN": "laptop-token"}


async def ready(program: Program) -> httpx.AsyncClient:
    await program.said(r"^localfly ready$")
    url = (await program.said(r"^localfly api (\S+)$"))[1]
    return httpx.AsyncClient(base_url=f"{url}/v1/", headers={"authorization": "Bearer laptop-token"})


@pytest.mark.wire
async def test_nothing_acknowledged_is_lost_when_localfly_is_killed_under_load(tmp_path: Path) -> None:
    """Eight writers, `kill -9` amid their writes; every answer that came is true after the restart."""
    argv = (*LOCALFLY, "--state-dir", str(tmp_path / "state"))
    made: dict[str, dict[str, str]] = {}
    marked: dict[str, str] = {}

    async def write(client: httpx.AsyncClient, writer: int) -> None:
        app = f"w{writer}"
        await client.post("apps", json={"app_name": app, "org_slug": "acme"})
        made[app] = {}
        for at in range(10_000):
            body = {"name": f"m{at}", "config": {"image": "x"}, "skip_launch": at % 2 == 0}
            answer = await client.post(f"apps/{app}/machines", json=body)
            assert answer.status_code == 200
            machine = answer.json()["id"]
            made[app][machine] = f"m{at}"
            tag = await client.post(f"apps/{app}/machines/{machine}/metadata/seen", json={"value": f"{at}"})
            assert tag.status_code == 204
            marked[machine] = f"{at}"

    async with started(*argv, env=TOKEN) as program, await ready(program) as client:
        writers = [asyncio.create_task(write(client, writer)) for writer in range(8)]
        await until(lambda: len(marked) > 400, what="400 writes")
        program.send(9)
        await program.ended()
        ended = await asyncio.gather(*writers, return_exceptions=True)
        assert all(isinstance(end, httpx.TransportError) for end in ended)

    async with started(*argv, env=TOKEN) as program, await ready(program) as client:
        for app, machines in made.items():
            there = {row["id"]: row for row in (await client.get(f"apps/{app}/machines")).json()}
            assert machines.items() <= {key: row["name"] for key, row in there.items()}.items()
            tags = {key: row["config"].get("metadata", {}).get("seen") for key, row in there.items()}
            assert {key: tag for key, tag in marked.items() if key in machines}.items() <= tags.items()
        last = next(reversed(made["w0"]))
        waited = await client.get(f"apps/w0/machines/{last}/wait", params={"state": "settled", "timeout": 5})
        assert waited.json()["state"] in ("started", "stopped")


@pytest.mark.wire
async def test_a_second_localfly_on_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    """The first goes on; once it ended, even by a kill, the folder is free."""
    argv = (*LOCALFLY, "--state-dir", str(tmp_path))
    async with started(*argv, env=TOKEN) as program, await ready(program) as client:
        second = await finished(*argv, env=TOKEN)
        assert (second.code, second.out) == (1, "")
        assert second.err == (
            f"localfly: --state-dir {tmp_path}: {tmp_path} is in use by another localfly; "
            "give each its own folder\n"
        )
        assert (await client.get("apps", params={"org_slug": "acme"})).status_code == 200
        program.send(9)
        await program.ended()
    async with started(*argv, env=TOKEN) as program:
        await program.said(r"^localfly ready$")


@pytest.mark.wire
async def test_what_ran_runs_again_after_an_ordinary_end(tmp_path: Path) -> None:
    """A machine's process ends with localfly and comes back with it; the machine was `started` all along."""
    image = "it=sh -c 'echo up; exec sleep 1000'"
    argv = (*LOCALFLY, "--state-dir", str(tmp_path), "--image", image)
    async with started(*argv, env=TOKEN) as program, await ready(program) as client:
        await client.post("apps", json={"app_name": "shop", "org_slug": "acme"})
        made = (await client.post("apps/shop/machines", json={"config": {"image": "it"}})).json()
        await client.get(f"apps/shop/machines/{made['id']}/wait", params={"state": "started"})
        await program.said(r"\| up$")
        program.send(15)
        assert await program.ended() == 0
    async with started(*argv, env=TOKEN) as program, await ready(program) as client:
        again = (await client.get(f"apps/shop/machines/{made['id']}")).json()
        await program.said(r"\| up$")
        assert (again["state"], again["instance_id"]) == ("started", made["instance_id"])
