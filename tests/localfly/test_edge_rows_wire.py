"""Rows 41 and 42 of the list of edge behaviours, with programs that run: env and the log feed."""

import json
import sys
from typing import Any

import httpx
import pytest

from tests.localfly.backend import backend, replaying
from tests.wire import PYTHON, started

EXPECTED = {
    "FLY_APP_NAME": "shop",
    "FLY_MACHINE_ID": "id",
    "FLY_ALLOC_ID": "id",
    "FLY_REGION": "fra",
    "FLY_IMAGE_REF": "it:1",
    "FLY_MACHINE_VERSION": "instance_id",
    "FLY_PRIVATE_IP": "private_ip",
    "FLY_VM_MEMORY_MB": "512",
    "FLY_PROCESS_GROUP": "",
    "MINE": "1",
}


@pytest.mark.wire
async def test_row_41_a_process_is_told_who_and_where_it_is() -> None:
    """FLY_* of a started process, as it prints them; its own env cannot pretend otherwise."""
    show = "import json,os; print('ENV', json.dumps(dict(os.environ))); import time; time.sleep(60)"
    flags = (
        *("--fast", "--api", "127.0.0.1:0", "--token", "t", "--org", "acme"),
        *("--image", f'it={sys.executable} -uc "{show}"'),
    )
    async with started(PYTHON, "-m", "localfly", *flags) as program:
        api = (await program.said(r"^localfly api (\S+)$"))[1]
        await program.said("^localfly ready$")
        headers = {"authorization": "Bearer t"}
        async with httpx.AsyncClient(base_url=api, headers=headers, timeout=10) as client:
            await client.post("/v1/apps", json={"name": "shop", "org_slug": "acme"})
            config = {
                "image": "it:1",
                "env": {"MINE": "1", "FLY_REGION": "moon"},
                "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
            }
            body = {"config": config, "region": "fra"}
            machine = (await client.post("/v1/apps/shop/machines", json=body)).json()
        line = await program.said(r"ENV (\{.*\})")
        env = json.loads(line[1])
    assert {name: env.get(name) for name in EXPECTED} == {
        name: machine.get(value, value) for name, value in EXPECTED.items()
    }


@pytest.mark.wire
async def test_row_42_the_log_feed_shows_why_a_replay_failed_on_the_subject_of_its_router() -> None:
    """A subscriber sees the line as it is written, in the log stream's JSON, and none of other subjects."""
    headers = {"authorization": "Bearer t"}
    async with backend(replaying("app=nobody;timeout=10ms")) as router:
        flags = (
            *("--api", "127.0.0.1:0", "--token", "t", "--listen", "127.0.0.1:0=80@router"),
            *("--attach", f"router@acme:80=127.0.0.1:{router.port}"),
        )
        async with started(PYTHON, "-m", "localfly", *flags) as program:
            await program.said("^localfly ready$")
            api = (await program.said(r"^localfly api (\S+)$"))[1]
            door = (await program.said(r"^localfly door (\S+) "))[1]
            async with (
                httpx.AsyncClient(timeout=10) as visitor,
                httpx.AsyncClient(base_url=api, headers=headers, timeout=10) as client,
                client.stream("GET", "/_localfly/logs?subject=logs.router.>&follow=true") as feed,
                client.stream("GET", "/_localfly/logs?subject=logs.other.>&follow=true") as other,
            ):
                assert other.status_code == 200
                answer = await visitor.get(door)
                assert (answer.status_code, answer.content) == (502, b"")
                line: dict[str, Any] = json.loads(await anext(feed.aiter_lines()))
                said = "app 'router' used 'fly-replay' response header to target app 'nobody'"
                assert said in line["message"]
                assert line["event"] == {"provider": "proxy"}
                assert line["fly"]["app"]["name"] == "router"
                assert line["log"] == {"level": "error"}
                assert line["subject"] == f"logs.router.iad.{line['fly']['app']['instance']}"
                assert line["timestamp"].endswith("Z")
                past = (await client.get("/_localfly/logs", params={"subject": "logs.router.>"})).json()
                assert past["logs"] == [line]
                nothing = (await client.get("/_localfly/logs", params={"subject": "logs.other.>"})).json()
                assert nothing["logs"] == []
                wrong = await client.get("/_localfly/logs", params={"follow": "maybe"})
                assert wrong.status_code == 400
