"""The `localfly` command as a program: what it says and refuses, and that it leaves nothing behind."""

import signal
import socket
import sys
from collections.abc import Mapping

import httpx
import pytest

from tests.localfly.backend import Saw, Says, backend, replaying
from tests.wire import PYTHON, Program, family, finished, free_port, living, started, until

LOCALFLY = (PYTHON, "-m", "localfly", "--fast")
TOKEN = {"FLY_API_TOKEN": "laptop-token"}
STAY = f"it={sys.executable} -c 'import signal; signal.pause()'"

WRONG = {
    "no token": ((), {}, "--token: "),
    "empty token": (("--token", ""), {}, "--token: "),
    "unknown flag": (("--lisen", "x"), TOKEN, "No such option: --lisen"),
    "no number": (("--give-up", "soon"), TOKEN, "--give-up"),
    "api": (("--api", "4280"), TOKEN, "--api 4280: "),
    "door": (("--listen", "127.0.0.1:1"), TOKEN, "--listen 127.0.0.1:1: "),
    "backend": (("--attach", "router"), TOKEN, "--attach router: "),
    "image": (("--image", "x"), TOKEN, "--image x: "),
    "allowance": (("--allow-replay", "platform"), TOKEN, "--allow-replay platform: "),
    "region": (("--region", "moon"), TOKEN, "--region moon: "),
    "org": (("--org", "No Slug"), TOKEN, "--org No Slug: "),
    "everybody": (("--api", "0.0.0.0:4280"), TOKEN, "--allow-non-loopback"),
    "mixed doors": (
        ("--listen", "127.0.0.1:0=443@r", "--listen", "127.0.0.1:0=9090@r:flycast", "--api", "127.0.0.1:0"),
        TOKEN,
        "app r is also behind the public door",
    ),
}


async def _api(program: Program) -> httpx.AsyncClient:
    await program.said(r"^localfly ready$")
    url = (await program.said(r"^localfly api (\S+)$"))[1]
    return httpx.AsyncClient(base_url=f"{url}/v1/", headers={"authorization": "Bearer laptop-token"})


@pytest.mark.wire
async def test_localfly_says_where_it_listens_and_carries_a_visitor() -> None:
    """One line for the API and each door, then ready; a machine made through the API answers there."""
    argv = (*LOCALFLY, "--api", "127.0.0.1:0", "--listen", "127.0.0.1:0=443@shop", "--org", "acme")
    async with started(*argv, env=TOKEN) as program, await _api(program) as api:
        door = (await program.said(r"^localfly door (\S+) public port 443 → shop$"))[1]
        assert (await api.post("apps", json={"app_name": "shop", "org_slug": "acme"})).status_code == 201
        service = {
            "protocol": "tcp",
            "internal_port": 8080,
            "autostart": True,
            "ports": [{"port": 443, "handlers": ["tls", "http"]}],
        }
        made = await api.post(
            "apps/shop/machines", json={"region": "iad", "config": {"image": "x", "services": [service]}}
        )
        answer = await api.get(door, headers={"host": "shop.example"})
        assert (answer.status_code, answer.json()["machine"]) == (200, made.json()["id"])
        program.send(signal.SIGTERM)
        assert await program.ended() == 0


@pytest.mark.wire
async def test_switches_for_what_fly_does_not_say_reach_the_proxy() -> None:
    """The cache forgets, a client steers a replay, and an unknown app has no fallback, as the flags say."""

    def route(saw: Saw) -> Says:
        if saw.path == "/nobody":
            return replaying("app=nobody;fallback=force_self")(saw)
        kept = (("fly-replay-cache", "/kept"), ("fly-replay-cache-ttl-secs", "60"))
        return replaying("app=shop", *(kept if saw.path == "/kept" else ()))(saw)

    async with backend(route) as router:
        argv = (
            *LOCALFLY,
            *("--api", "127.0.0.1:0", "--listen", "127.0.0.1:0=443", "--org", "acme", "--give-up", "0.2"),
            *("--attach", f"router@acme:443=127.0.0.1:{router.port}"),
            *("--forgetful-cache", "1", "--steer-replays", "--no-fallback-for-unknown-app"),
        )
        async with started(*argv, env=TOKEN) as program, await _api(program) as api:
            door = (await program.said(r"^localfly door (\S+) public port 443 → router$"))[1]
            await api.post("apps", json={"app_name": "shop", "org_slug": "acme"})
            service = {
                "protocol": "tcp",
                "internal_port": 8080,
                "autostart": True,
                "ports": [{"port": 443, "handlers": ["tls", "http"]}],
            }
            for region in ("iad", "syd"):
                body = {"region": region, "config": {"image": "x", "services": [service]}}
                assert (await api.post("apps/shop/machines", json=body)).status_code == 200
            steered = await api.get(f"{door}/", headers={"fly-prefer-region": "syd"})
            assert steered.json()["region"] == "syd"
            assert (await api.get(f"{door}/nobody")).status_code == 502
            before = len(router.seen)
            assert {(await api.get(f"{door}/kept")).status_code for _ in range(20)} == {200}
            assert 1 < len(router.seen) - before < 20


@pytest.mark.wire
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_no_process_outlives_localfly(number: signal.Signals) -> None:
    """However localfly ends, the processes of its machines end, and so does its watchdog."""
    argv = (*LOCALFLY, "--api", "127.0.0.1:0", "--org", "acme", "--image", STAY)
    async with started(*argv, env=TOKEN) as program, await _api(program) as api:
        await api.post("apps", json={"app_name": "shop", "org_slug": "acme"})
        for at in range(3):
            await api.post(
                "apps/shop/machines", json={"name": f"m{at}", "region": "iad", "config": {"image": "it"}}
            )
        await until(lambda: len(family(program.pid)) == 4, what="three machines and a watchdog")
        children = family(program.pid)
        program.send(number)
        assert await program.ended() == (-signal.SIGKILL if number is signal.SIGKILL else 0)
        await until(lambda: not living(children), what="the end of all children")


@pytest.mark.wire
@pytest.mark.parametrize("flag", ["--api", "--listen"])
async def test_a_port_that_is_taken_is_named_with_its_flag(flag: str) -> None:
    """One line, status 1, and nothing stays open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        value = f"127.0.0.1:{port}" + ("=443@shop" if flag == "--listen" else "")
        other = ("--api", f"127.0.0.1:{free_port()}") if flag == "--listen" else ()
        ended = await finished(*LOCALFLY, flag, value, *other, env=TOKEN)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"localfly: {flag} {value}: cannot listen on port {port}: Address already in use\n"


@pytest.mark.wire
@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_flag_is_one_line_and_status_1(case: str) -> None:
    """The line names the flag; there is no traceback."""
    flags, env, expected = WRONG[case]
    ended = await _refused(flags, env)
    assert expected in ended
    assert ended.startswith("localfly: ")
    assert ended.count("\n") == 1


async def _refused(flags: tuple[str, ...], env: Mapping[str, str]) -> str:
    ended = await finished(*LOCALFLY, *flags, env=env)
    assert (ended.code, ended.out) == (1, "")
    return ended.err


@pytest.mark.wire
@pytest.mark.parametrize(("flags", "statuses"), [((), [404] * 3 + [429]), (("--no-rate-limits",), [404] * 4)])
async def test_the_program_keeps_flys_rate_limits_unless_told(
    flags: tuple[str, ...], statuses: list[int]
) -> None:
    """A fourth call in a moment is one too many; with the flag it is not."""
    argv = (*LOCALFLY, *flags, "--api", "127.0.0.1:0")
    async with started(*argv, env=TOKEN) as program, await _api(program) as api:
        assert [(await api.get("apps/nobody")).status_code for _ in range(4)] == statuses
