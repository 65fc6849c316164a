"""Every way in which Fly says no becomes the type that says what to do about it."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from reconciler.fly import errors
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from tests.fly.wiring import Hushed, answering, says

CONFIG = {"image": "img"}
Ask = Callable[[FlyClient], Awaitable[object]]


async def read(fly: FlyClient) -> object:
    return await fly.get_machine("alice", "m1")


async def create(fly: FlyClient) -> object:
    return await fly.create_machine("alice", name="web-0", region="iad", config=CONFIG)


async def update(fly: FlyClient) -> object:
    return await fly.update_machine("alice", "m1", config=CONFIG, current_version="v1")


async def wait(fly: FlyClient) -> object:
    return await fly.wait("alice", "m1", states=("settled",), version="v1", timeout_s=5)


async def mark(fly: FlyClient) -> None:
    await fly.patch_metadata("alice", "m1", {"a": "b"}, machine_version="v1")


async def start(fly: FlyClient) -> None:
    await fly.start_machine("alice", "m1")


async def create_app(fly: FlyClient) -> None:
    await fly.create_app(name="alice", org="acme", network="n")


async def create_volume(fly: FlyClient) -> object:
    return await fly.create_volume("alice", name="data", region="iad", size_gb=1)


HELD = "aborted: machine ID e28 lease currently held by x@tokens.fly.io, expires at 2026-09-01T10:00:00Z"
UNIQUE = 'already_exists: unique machine name violation, machine ID 3d8d already exists with name "web-0"'
QUOTA = 'organization "X" is using 9 MB of memory in iad which is over the allowed quota. please consider'
FULL_HOST = "insufficient resources to create new machine with existing volume id 'vol_1'"
RESERVE = "aborted: could not reserve resource for machine: insufficient memory available to fulfill"
FOUND = {
    "400 validation": (create, 400, "name too long", None, errors.Refused),
    "400 no capacity": (create_volume, 400, "no capacity", None, errors.Capacity),
    "401": (read, 401, "Authenticate: token validation error", None, errors.Unauthorized),
    "403": (read, 403, "unauthorized", None, errors.Forbidden),
    "403 quota": (create, 403, QUOTA, None, errors.Capacity),
    "404": (read, 404, "not_found: machine not found", None, errors.NotFound),
    "408 wait": (wait, 408, "deadline_exceeded: machine failed to reach", None, errors.WaitExpired),
    "408 read": (read, 408, "deadline_exceeded: host", None, errors.Unavailable),
    "408 write": (create, 408, "deadline_exceeded: host", None, errors.Ambiguous),
    "409 lease": (update, 409, HELD, None, errors.LeaseHeld),
    "409 name": (create, 409, UNIQUE, None, errors.NameHeld),
    "409 concurrent": (
        update,
        409,
        "aborted: machine update failed due to concurrent update",
        None,
        errors.ConcurrentUpdate,
    ),
    "409 host": (update, 409, RESERVE, None, errors.HostFull),
    "409 no IPs": (
        create,
        409,
        "aborted: insufficient IPs available to fulfill request",
        None,
        errors.Capacity,
    ),
    "409 volume": (create_volume, 409, "aborted: no capacity", None, errors.Capacity),
    "409 other": (create_app, 409, "conflict", None, errors.Refused),
    "412 volume host, by code": (create, 412, "x", "volume_placement_capacity", errors.VolumeHostFull),
    "412 volume host, by text": (create, 412, FULL_HOST, None, errors.VolumeHostFull),
    "412 claimed": (
        create,
        412,
        "failed_precondition: volume already claimed by machine \0\0",
        None,
        errors.NotNow,
    ),
    "412 bound": (create, 412, "failed_precondition: volume is currently bound to", None, errors.NotNow),
    "412 start": (start, 412, "unable to start machine from current state: 'created'", None, errors.NotNow),
    "412 replaced": (start, 412, "machine getting replaced, refusing to start", None, errors.NotNow),
    "412 active": (start, 412, "machine still active, refusing to start", None, errors.NotNow),
    "412 destroy": (start, 412, "unable to destroy machine, not currently stopped", None, errors.NotNow),
    "412 snapshot": (start, 412, "snapshot is already scheduled at 2026", None, errors.NotNow),
    "422 payment": (create, 422, "please add a payment method to create more", None, errors.AccountLimit),
    "412 secrets": (create, 412, "secrets version 3 is not there yet", None, errors.NotNow),
    "412 version of a mark": (mark, 412, "whatever", None, errors.ConcurrentUpdate),
    "412 version of an update": (update, 412, "whatever", None, errors.ConcurrentUpdate),
    "412 other": (create, 412, "whatever", None, errors.Refused),
    "422 name, by code": (create_app, 422, "whatever", "name_taken", errors.NameTaken),
    "422 name, by text": (
        create_app,
        422,
        "Validation failed: Name has already been taken",
        None,
        errors.NameTaken,
    ),
    "422 name, in a race": (create_app, 422, "uniqueness constraint violated", None, errors.NameTaken),
    "422 app name rule": (create_app, 422, "Validation failed: Name under 63 chars", None, errors.Refused),
    "422 region full": (create, 422, "whatever", "insufficient_capacity", errors.Capacity),
    "422 no host": (create, 422, "could not find a candidate host", None, errors.Capacity),
    "422 other": (create, 422, "unknown region", "unknown", errors.Refused),
    "429": (read, 429, "rate limit exceeded", None, errors.TooFast),
    "500 read": (read, 500, "internal: oops", None, errors.Unavailable),
    "500 write": (create, 500, "internal: oops", None, errors.Ambiguous),
    "501": (create, 501, "localfly does not imitate this", None, errors.Refused),
    "503 maintenance": (
        update,
        503,
        "unavailable: deploys to this host are temporarily disabled",
        None,
        errors.HostFull,
    ),
}


@pytest.mark.parametrize(("ask", "status", "text", "code", "kind"), FOUND.values(), ids=FOUND.keys())
async def test_a_refusal_has_its_type(
    ask: Ask, status: int, text: str, code: str | None, kind: type[FlyError]
) -> None:
    """Fly's status, code and text decide the type, and stay readable on it beside the request id."""
    body = {"error": text} | ({"status": code} if code else {})
    fly = answering(says(status, body, {"fly-request-id": "01REQ"}))
    with pytest.raises(FlyError) as caught:
        await ask(fly)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, code or "", "01REQ")
    assert caught.value.text == " ".join(text.replace("\0", " ").split())
    assert "\n" not in str(caught.value)


async def test_a_held_lease_says_until_when() -> None:
    """The expiry comes from Fly's text, in unix seconds."""
    with pytest.raises(errors.LeaseHeld) as caught:
        await update(answering(says(409, {"error": HELD})))
    assert caught.value.expires_at == 1788256800.0


async def test_a_held_name_says_by_which_machine() -> None:
    """The holder's id comes from Fly's text."""
    with pytest.raises(errors.NameHeld) as caught:
        await create(answering(says(409, {"error": UNIQUE})))
    assert caught.value.machine_id == "3d8d"


HTML = "<html>\n<body>" + "Bad Gateway " * 200 + "</body></html>"
UNREADABLE = {
    "502 HTML for a read": (read, 502, HTML, errors.Unavailable),
    "502 HTML for a create": (create, 502, HTML, errors.Ambiguous),
    "504 empty for a create": (create, 504, "", errors.Ambiguous),
    "200 HTML for a read": (read, 200, HTML, errors.Garbled),
    "200 HTML for a create": (create, 200, HTML, errors.Ambiguous),
    "200 of another shape for a read": (read, 200, '{"machines": []}', errors.Garbled),
    "404 in plain text for a read": (read, 404, "404 page not found", errors.Garbled),
    "403 in HTML for a read": (read, 403, HTML, errors.Garbled),
    "301 for a read": (read, 301, "", errors.Garbled),
    "a JSON list as an error": (read, 400, "[1]", errors.Refused),
}


@pytest.mark.parametrize(("ask", "status", "body", "kind"), UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_an_answer_that_is_not_the_apis_is_survived(
    ask: Ask, status: int, body: str, kind: type[FlyError]
) -> None:
    """HTML, nothing, or a foreign 404 is never read as a fact about Fly, and fits on one line."""
    with pytest.raises(FlyError) as caught:
        await ask(answering(says(status, body)))
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


TRANSPORT = {
    "refused, read": (read, httpx.ConnectError("All connection attempts failed"), errors.CouldNotAsk),
    "refused, create": (create, httpx.ConnectError("All connection attempts failed"), errors.CouldNotAsk),
    "connect timeout": (create, httpx.ConnectTimeout(""), errors.CouldNotAsk),
    "read timeout of a read": (read, httpx.ReadTimeout(""), errors.CouldNotAsk),
    "read timeout of a create": (create, httpx.ReadTimeout(""), errors.Ambiguous),
    "reset during a create": (create, httpx.ReadError("reset"), errors.Ambiguous),
    "cut off during a create": (create, httpx.RemoteProtocolError("cut"), errors.Ambiguous),
}


@pytest.mark.parametrize(("ask", "failure", "kind"), TRANSPORT.values(), ids=TRANSPORT.keys())
async def test_silence_is_told_apart(ask: Ask, failure: httpx.HTTPError, kind: type[FlyError]) -> None:
    """A request that never left changed nothing; a write whose answer was lost may have had its effect."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(FlyError) as caught:
        await ask(answering(fail))
    assert type(caught.value) is kind
    assert caught.value.status == 0


async def test_a_wrong_token_reads_as_one_line_with_the_next_step() -> None:
    """What, why, which request, and what to do about it."""
    answer = says(401, {"error": "Authenticate: token validation error"}, {"fly-request-id": "01REQ"})
    with pytest.raises(FlyError) as caught:
        await answering(answer, token="secret-token").list_apps("acme")
    assert str(caught.value) == (
        "cannot list apps of organisation acme: Fly answered 401: Authenticate: token validation error "
        "(fly-request-id 01REQ); check the token in FLY_API_TOKEN (an organisation's: "
        "`fly tokens create org`)"
    )


async def test_an_api_that_is_down_reads_as_one_line_with_the_next_step() -> None:
    """What, where, why, and what to do about it."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed")

    with pytest.raises(FlyError) as caught:
        await answering(fail).list_apps("acme")
    assert str(caught.value) == (
        "cannot list apps of organisation acme: no answer from http://fly.test:4280: All connection attempts "
        "failed; check the network and the API address in FLY_API_HOSTNAME"
    )


@pytest.mark.parametrize("token", ["", "  \n", "two\nlines", "schlüssel"])
async def test_a_token_that_cannot_be_one_is_refused_without_showing_it(token: str) -> None:
    """It is an error of ours, at once, says where the token is from and does not quote it."""
    with pytest.raises(FlyError) as caught:
        answering(says(200), token=token)
    assert not token.strip() or token.strip() not in str(caught.value)
    assert "check the token in FLY_API_TOKEN" in str(caught.value)


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_secret_that_fly_quotes_is_blanked_out(status: int) -> None:
    """Whatever Fly answers to a secrets write, no value stands in the error or its chain."""
    fly = answering(says(status, {"error": "bad value: hunter2hunter2", "version": "hunter2hunter2"}))
    with pytest.raises(FlyError) as caught:
        await fly.set_secrets("alice", {"A": Hushed("hunter2hunter2")})
    shown: BaseException | None = caught.value
    while shown is not None:
        assert "hunter2hunter2" not in f"{shown!s} {shown!r}"
        shown = None if shown.__suppress_context__ else shown.__cause__ or shown.__context__
