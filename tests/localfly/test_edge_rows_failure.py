"""Rows 19, 20, 27, 28 of the list of edge behaviours: when a replay fails, after how long, and what then."""

import asyncio
import re

import pytest

from localfly.lifecycle import Timings
from localfly.proxy.door import Attached, Door
from localfly.proxy.edge import ProxySettings
from localfly.proxy.exchange import Choices
from tests.localfly.backend import Answer, Saw, Says, backend, raw, replaying, replaying_json, saying
from tests.localfly.edge import edge


def once(value: str, then: Answer | None = None) -> Answer:
    """A router that replays, and answers by itself what comes back to it."""

    def answer(saw: Saw) -> Says:
        if saw.header("fly-replay-failed") is None:
            return replaying(value)(saw)
        return (then or saying("my own page"))(saw)

    return answer


def told(saw: Saw) -> dict[str, str]:
    """The parts of `fly-replay-failed`."""
    value = saw.header("fly-replay-failed")
    assert value is not None
    return dict(part.split("=") for part in value.split(";"))


@pytest.mark.parametrize(
    ("settings", "limit", "expected_s"),
    [
        (None, "", 7.5),
        (ProxySettings(give_up_s=3), "", 3.0),
        (None, ";timeout=800ms", 0.8),
        (None, ";timeout=2s", 2.0),
        (ProxySettings(give_up_s=3), ";timeout=10s", 3.0),
    ],
)
@pytest.mark.parametrize("target", ["nobody", "empty", "deaf"])
async def test_row_19_a_search_ends_at_the_give_up_time_or_earlier_at_the_timeout(
    settings: ProxySettings | None, limit: str, expected_s: float, target: str
) -> None:
    """Unknown app, no machine, one that refuses: 7.5 s unless told, and `timeout` only shortens it."""
    deaf = Attached("deaf", "acme", 443, "127.0.0.1", 1)
    async with (
        backend(replaying(f"app={target}{limit}")) as router,
        edge(router.attached("router"), deaf, settings=settings) as fly,
    ):
        fly.app("empty")
        began = fly.world.clock()
        assert (await fly.ask()).status_code == 502
        assert expected_s * 0.8 <= fly.world.clock() - began <= expected_s * 1.2


async def test_row_19_a_timeout_bounds_the_wake_of_a_machine_too_and_the_wake_goes_on() -> None:
    """A start that takes longer than `timeout` is not waited for; the next request finds the machine up."""
    async with (
        backend(replaying("app=alice;timeout=2s")) as router,
        edge(router.attached("router"), timings=Timings(start_s=5)) as fly,
    ):
        fly.app("alice")
        machine = await fly.machine("alice", is_asleep=True)
        began = fly.world.clock()
        assert (await fly.ask()).status_code == 502
        assert 1.6 <= fly.world.clock() - began <= 2.4
        assert await fly.lifecycle.until(machine, lambda m: m.state == "started", timeout_s=10)
        assert (await fly.ask()).json()["machine"] == machine.id


async def test_row_19_a_timeout_never_cancels_a_request_in_flight() -> None:
    """Once a machine is connected, its answer may take longer than `timeout`."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    async with (
        backend(replaying("app=alice;timeout=1s")) as router,
        raw(slow) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        assert (await fly.ask()).text == "slow"


@pytest.mark.parametrize("text", ["1500", "1.5s", "1m", "10 s", "-1s"])
@pytest.mark.parametrize("form", ["header", "json"])
async def test_row_20_a_timeout_without_a_unit_is_malformed(text: str, form: str) -> None:
    """Milliseconds and seconds are the units, the number is whole: anything else is PA03, at once."""
    answer = replaying(f"app=alice;timeout={text}")
    if form == "json":
        answer = replaying_json({"app": "alice", "timeout": text})
    async with backend(answer) as router, edge(router.attached("router")) as fly:
        fly.app("alice")
        await fly.machine("alice")
        began = fly.world.clock()
        assert (await fly.ask()).status_code == 502
        assert fly.world.clock() - began < 0.1
        assert [line[:6] for line in fly.errors("router")] == ["[PA03]"]


@pytest.mark.parametrize("mode", ["force_self", "prefer_self"])
@pytest.mark.parametrize(
    ("target", "limit", "reason", "elapsed_ms"),
    [
        ("deaf", ";timeout=1s", "timeout", 1000),
        ("deaf", "", "retries_exhausted", 7500),
        ("empty", ";timeout=1s", "no_candidate", 1000),
        ("nobody", "", "no_candidate", 7500),
    ],
)
async def test_row_27_a_failed_replay_comes_back_with_its_reason(
    mode: str, target: str, limit: str, reason: str, elapsed_ms: int
) -> None:
    """The machine that replayed gets the original request and every part of `fly-replay-failed`."""
    deaf = Attached("deaf", "acme", 443, "127.0.0.1", 1)
    value = f"app={target};state=s{limit};fallback={mode}"
    async with backend(once(value)) as router, edge(router.attached("router"), deaf) as fly:
        fly.app("empty")
        answer = await fly.ask("/p?q=1", method="PUT", content=b"body", headers=[("x-mine", "1")])
        assert answer.text == "my own page"
        back = router.seen[-1]
        assert (back.method, back.path, back.body, back.header("x-mine")) == ("PUT", "/p?q=1", b"body", "1")
        assert (back.header("fly-replay-src"), back.header("fly-replay-cache-status")) == (None, None)
        parts = told(back)
        assert re.fullmatch(r"\d+", parts["elapsed_ms"])
        assert elapsed_ms * 0.8 <= int(parts.pop("elapsed_ms")) <= elapsed_ms * 1.2
        tried = {"instance": deaf.machine_id, "region": "iad"} if target == "deaf" else {}
        issuer = router.attached("router").machine_id
        assert parts == {"app": target, "replay_source": issuer, "reason": reason, **tried}
        assert len(fly.errors("router")) == 1


async def test_row_27_what_was_asked_for_stands_in_where_nobody_was_tried() -> None:
    """Instance and region of the replay are told back when no machine of theirs was found."""
    value = "app=empty;instance=0123456789abcd;region=fra;timeout=1s;fallback=force_self"
    async with backend(once(value)) as router, edge(router.attached("router")) as fly:
        fly.app("empty")
        await fly.ask()
        parts = told(router.seen[-1])
        assert (parts["instance"], parts["region"]) == ("0123456789abcd", "fra")


@pytest.mark.parametrize("form", ["header", "json"])
async def test_row_27_a_second_replay_in_the_answer_is_neither_executed_nor_shown(form: str) -> None:
    """The answer to what came back is the router's own: a replay in it is an empty 502."""
    again = replaying("app=alice;state=secret")
    if form == "json":
        again = replaying_json({"app": "alice", "state": "secret"})
    async with (
        backend(once("app=nobody;timeout=1s;fallback=force_self", again)) as router,
        backend(saying("alice")) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        answer = await fly.ask()
        assert (answer.status_code, answer.content) == (502, b"")
        assert not [name for name in answer.headers if name.startswith("fly-replay")]
        assert alice.met == 0
        assert (
            fly.errors("router")[-1] == "the answer to a request that fell back cannot be another fly-replay"
        )


@pytest.mark.parametrize(("mode", "status"), [("force_self", 502), ("prefer_self", 200)])
async def test_row_27_prefer_self_falls_back_to_another_machine_and_force_self_does_not(
    mode: str, status: int
) -> None:
    """When the machine that replayed is gone meanwhile, only `prefer_self` finds another of its app."""
    async with (
        backend(once(f"app=empty;timeout=1s;fallback={mode}")) as first,
        backend(saying("second")) as second,
        edge(doors=[Door("127.0.0.1", 0, 443, "router")], settings=ProxySettings(give_up_s=2)) as fly,
    ):
        fly.app("router")
        fly.app("empty")
        one = await fly.machine("router", program=first)
        asking = asyncio.create_task(fly.ask())
        await asyncio.sleep(0.1)  # virtual: the replay is being tried
        await fly.machine("router", program=second)
        fly.lifecycle.destroy(one, force=True)
        answer = await asking
        assert answer.status_code == status
        assert [saw.header("fly-preferred-instance-unavailable") for saw in second.seen] == (
            [None] if status == 200 else []
        )


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("app=isolated;fallback=force_self", "but cross-network replays are not allowed"),
        ("app=stranger;fallback=force_self", "[PA05]"),
        ("app=isolated;fallback=force_self;timeout=5", "[PA03]"),
    ],
)
async def test_row_27_what_is_not_permitted_or_not_parsed_has_no_fallback(value: str, code: str) -> None:
    """A refusal by network or organisation and a malformed header are a 502, whatever the fallback."""
    async with backend(once(value)) as router, edge(router.attached("router")) as fly:
        fly.app("isolated", network="other")
        fly.app("stranger", org="elsewhere")
        assert (await fly.ask()).status_code == 502
        assert len(router.seen) == 1
        assert code in fly.errors("router")[0]


@pytest.mark.parametrize("covers", [True, False])
async def test_row_27_a_fallback_for_an_unknown_app_is_a_switch(covers: bool) -> None:
    """Fly does not say whether an app that does not exist counts as no candidate; both can be had."""
    settings = ProxySettings(give_up_s=1, choices=Choices(falls_back_for_unknown_app=covers))
    async with (
        backend(once("app=nobody;fallback=force_self")) as router,
        edge(router.attached("router"), settings=settings) as fly,
    ):
        assert (await fly.ask()).status_code == (200 if covers else 502)


async def test_row_28_an_error_answer_of_the_target_is_not_a_failure() -> None:
    """The client sees the target's 500; no fallback is delivered."""
    async with (
        backend(once("app=alice;timeout=5s;fallback=force_self")) as router,
        backend(lambda _: Says(500, [("content-length", "4")], b"sick")) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        answer = await fly.ask()
        assert (answer.status_code, answer.text) == (500, "sick")
        assert len(router.seen) == 1


async def test_row_28_a_target_that_hangs_up_after_the_connection_is_not_a_failure_either() -> None:
    """The open connection is the success; what breaks after it is a 502, without fallback."""

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with (
        backend(once("app=alice;timeout=5s;fallback=force_self")) as router,
        raw(hang_up) as alice,
        edge(router.attached("router"), alice.attached("alice")) as fly,
    ):
        assert (await fly.ask()).status_code == 502
        assert len(router.seen) == 1
