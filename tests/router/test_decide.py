"""Who is sent where: the ladder of rules, seen through whole answers."""

import json
from typing import Any

import pytest

from router.guard import check, settings
from router.server import Listener
from router.state import app_key
from router.table import Route, Table, Unavailable
from tests.router.wireless import MANAGED, NOW, PRIVATE, PROXIED, PUBLIC, ROOT, get, send


def managed(*lines: bytes, host: bytes = b"gateway.flycast:9090", **rest: Any) -> bytes:
    return get(host, *lines, marks=MANAGED, **rest)


@pytest.mark.parametrize(
    "host", [b"alice.example.com", b"ALICE.example.com", b"alice.example.com.", b"alice.example.com:8443"]
)
def test_a_visitor_is_replayed_to_the_users_app_with_a_state_its_guard_accepts(host: bytes) -> None:
    """The state is good at that machine for that host and port, as the visitor wrote them."""
    (line,) = send(get(host)).replays
    app, state = line.removeprefix(b"fly-replay: ").split(b";")
    key = app_key(ROOT, "public", "acme-alice")
    accepted = check(
        "GET",
        "/",
        [(b"host", host), (b"fly-replay-src", b"instance=1;region=iad;t=1;" + state)],
        settings=settings(
            purpose="public", port=443, environ={"FLY_APP_NAME": "acme-alice", "PRESHARED_KEY": key}
        ),
        now=NOW,
    )
    assert app == b"app=acme-alice"
    assert accepted.reason == "accepted"


def test_the_state_names_the_public_port() -> None:
    """Port 80 and port 443 have different states."""
    https = send(get()).replays
    http = send(get(marks=PROXIED.replace(b"443", b"80"))).replays
    assert https != http


@pytest.mark.parametrize(
    ("auth", "tail"), [("psk", b";state=" + app_key(ROOT, "public", "acme-alice").encode()), ("none", b"")]
)
def test_other_ways_to_authenticate(auth: str, tail: bytes) -> None:
    """psk carries the app's key as Fly's guide shows; none carries no state."""
    assert send(get(), auth=auth).replays == [b"fly-replay: app=acme-alice" + tail]


def test_an_app_with_several_machines_prefers_its_first() -> None:
    """The first machine of the table is preferred, and Fly may choose another; a single one is not named."""
    (line,) = send(get(b"pair.example.com"), auth="none").replays
    assert line == b"fly-replay: app=acme-pair;prefer_instance=91851e6b000003"


def test_an_unknown_host_gets_a_404_and_no_replay() -> None:
    """Nobody is woken for a name that nobody has, and X-User-App means nothing at the public door."""
    heard = send(get(b"nobody.example.com", b"X-User-App: alice"))
    assert (heard.status, heard.replays, heard.is_over) == (404, [], False)
    assert heard.log[0].reason == "UnknownHost"


def test_an_app_that_cannot_serve_says_why_and_when_to_come_back() -> None:
    """503 with Retry-After and the table's sentence."""
    heard = send(get(b"bob.example.com"))
    assert (heard.status, heard.replays) == (503, [])
    assert b"\r\nretry-after: 7\r\n" in heard.data
    assert b"Creating: The app is being created." in heard.data


FAILED = b"fly-replay-failed: instance=91851e6b000001;app=acme-alice;region=iad;replay_source=e28;"


@pytest.mark.parametrize(
    ("line", "reason", "again_s", "message"),
    [
        (
            FAILED + b"reason=timeout;elapsed_ms=15003",
            "ReplayTimeout",
            5,
            "The app did not come up in time. It may still be waking.",
        ),
        (
            FAILED + b"reason=retries_exhausted;elapsed_ms=7500",
            "RetriesExhausted",
            5,
            "The app is there, and does not answer. It may still be starting.",
        ),
        (
            b"Fly-Replay-Failed: reason=no_candidate",
            "NoCandidate",
            15,
            "Nothing of this app can take visitors at the moment.",
        ),
    ],
)
@pytest.mark.parametrize("listener", [PUBLIC, PRIVATE])
def test_a_replay_that_failed_is_explained_in_plain_words(
    line: bytes, reason: str, again_s: int, message: str, listener: Listener
) -> None:
    """Both doors answer 503 with the kind of failure and when to come back, and nothing of the header."""
    lines = (b"Accept: application/json", b"X-User-App: alice", b"fly-replay-src: state=x", line)
    heard = send(get(b"alice.example.com", *lines), listener=listener)
    head, _, body = heard.data.partition(b"\r\n\r\n")
    assert (heard.status, heard.replays) == (503, [])
    assert b"retry-after: %d" % again_s in head.split(b"\r\n")
    assert json.loads(body) == {"error": reason, "message": message}
    assert heard.log[0].reason == reason


@pytest.mark.parametrize(
    "lines",
    [
        [b"fly-replay-failed:"],
        [b"fly-replay-failed: app=evil"],
        [b"fly-replay-failed: reason=evil"],
        [b"fly-replay-failed: reason=Timeout"],
        [b"fly-replay-failed: reason=timeout,evil"],
        [b"fly-replay-failed: reason=timeout;reason=evil"],
        [b"fly-replay-failed: xreason=timeout"],
        [b"fly-replay-failed: reason=timeout", b"fly-replay-failed: reason=no_candidate"],
        [b"fly-replay-failed: \xe4;;=;reason"],
    ],
)
def test_a_failure_that_cannot_be_read_gets_a_page_all_the_same(lines: list[bytes]) -> None:
    """Anyone can forge the header: it is never repeated, and never leads to another replay."""
    for accept in (b"text/html", b"application/json", b"*/*"):
        heard = send(get(b"alice.example.com", b"Accept: " + accept, b"fly-replay-src: state=x", *lines))
        assert (heard.status, heard.replays) == (503, [])
        assert b"\r\nretry-after: 5\r\n" in heard.data
        assert b"ReplayFailed" in heard.data
        assert b"evil" not in heard.data


def test_a_request_that_was_replayed_before_is_a_loop() -> None:
    """A user app that sends its visitors back to us gets 508, and so does whoever forges the header."""
    heard = send(get(b"alice.example.com", b"Fly-Replay-Src: instance=a;state=b"))
    assert (heard.status, heard.replays) == (508, [])


def test_the_router_never_replays_to_itself() -> None:
    """A route to an app of any of the router's own listeners is a loop, not a replay."""
    assert send(get(b"self.example.com")).status == 508
    assert send(managed(b"X-User-App: gate"), listener=PRIVATE).status == 508


@pytest.mark.parametrize("missing", [b"Fly-Client-IP", b"Fly-Region", b"Fly-Forwarded-Port"])
def test_a_request_past_flys_proxy_is_refused(missing: bytes) -> None:
    """Without the marks that the proxy always sets there is no replay to read off, and the text says so."""
    marks = b"".join(
        line + b"\r\n" for line in PROXIED.split(b"\r\n") if line and not line.startswith(missing)
    )
    heard = send(get(marks=marks))
    assert (heard.status, heard.replays) == (400, [])
    assert b"NotThroughFly" in heard.data


@pytest.mark.parametrize("port", [b"", b"0", b"65536", b"http", b"443, 80", b"+443", b"4 43", b"0443"])
def test_an_unreadable_public_port_is_refused(port: bytes) -> None:
    """Nothing is signed for a port that is none."""
    heard = send(get(marks=PROXIED.replace(b"443", port)))
    assert (heard.status, heard.replays) == (400, [])


def test_two_public_ports_are_refused() -> None:
    """A second Fly-Forwarded-Port cannot choose what is signed."""
    heard = send(get(b"alice.example.com", b"Fly-Forwarded-Port: 9090"))
    assert (heard.status, heard.replays) == (400, [])


def test_a_listener_signs_for_its_own_ports_alone() -> None:
    """Where a listener names its public ports, a request that came in on another one gets 421."""
    listener = Listener("public", "acme-router", "127.0.0.1", 0, ports=frozenset({80, 443}))
    assert send(get(), listener=listener).status == 307
    assert send(get(marks=MANAGED), listener=listener).status == 421


def test_before_the_first_table_everyone_is_asked_to_wait() -> None:
    """A router that knows nothing yet does not say that nothing exists."""
    heard = send(get() + get(b"nobody.example.com") + get(target=b"/_router/health", marks=b""), table=None)
    assert heard.statuses == [503, 503, 503]
    assert heard.replays == []


def test_an_empty_table_is_a_table() -> None:
    """With no users at all, hosts are unknown and the router is healthy."""
    heard = send(get() + get(b"172.19.0.2", target=b"/_router/health", marks=b""), table=Table())
    assert heard.statuses == [404, 200]


def test_the_health_path_needs_no_proxy_and_belongs_to_users_at_their_hosts() -> None:
    """Fly asks the machine by its address; at a user's host the same path is replayed like any other."""
    by_address = send(get(b"172.19.0.2:8080", target=b"/_router/health", marks=b""))
    assert (by_address.status, by_address.data.endswith(b"\r\n\r\nok\n")) == (200, True)
    assert send(get(b"alice.example.com", target=b"/_router/health")).status == 307
    assert send(get(b"172.19.0.2", target=b"/_router/health", method=b"POST", marks=b"")).status == 400
    assert send(get(b"172.19.0.2", target=b"/_router/health?x", marks=b"")).status == 400


def test_the_private_door_goes_by_the_users_name() -> None:
    """X-User-App names the document; the host is only signed, and a host of the table opens nothing."""
    heard = send(managed(b"X-User-App: alice"), listener=PRIVATE)
    (line,) = heard.replays
    app, state = line.removeprefix(b"fly-replay: ").split(b";")
    key = app_key(ROOT, "management", "acme-alice")
    accepted = check(
        "GET",
        "/",
        [(b"host", b"gateway.flycast:9090"), (b"fly-replay-src", state)],
        settings=settings(
            purpose="management",
            port=9090,
            environ={"FLY_APP_NAME": "acme-alice", "PRESHARED_KEY_MANAGEMENT": key},
        ),
        now=NOW,
    )
    assert (app, accepted.reason) == (b"app=acme-alice", "accepted")
    assert send(managed(host=b"alice.example.com"), listener=PRIVATE).status == 400


def test_the_private_door_finds_one_machine() -> None:
    """X-User-Machine names a slot of the table, and the replay goes to exactly that machine."""
    heard = send(managed(b"X-User-App: alice", b"X-User-Machine: web-0"), listener=PRIVATE, auth="none")
    assert heard.replays == [b"fly-replay: app=acme-alice;instance=91851e6b000001"]


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        ([], 400, "NoUser"),
        ([b"X-User-App: alice", b"X-User-App: alice"], 400, "NoUser"),
        ([b"X-User-App: alice, bob"], 404, "UnknownUser"),
        ([b"X-User-App: nobody"], 404, "UnknownUser"),
        ([b"X-User-App: acme-alice"], 404, "UnknownUser"),
        ([b"X-User-App: Alice"], 404, "UnknownUser"),
        ([b"X-User-App: \xe4lice"], 404, "UnknownUser"),
        ([b"X-User-App:"], 404, "UnknownUser"),
        ([b"X-User-App: bob"], 503, "Creating"),
        ([b"X-User-App: alice", b"X-User-Machine: web-1"], 404, "UnknownMachine"),
        ([b"X-User-App: alice", b"X-User-Machine: 91851e6b000001"], 404, "UnknownMachine"),
        ([b"X-User-App: alice", b"X-User-Machine:"], 404, "UnknownMachine"),
        ([b"X-User-App: alice", b"X-User-Machine: web-0", b"X-User-Machine: web-0"], 400, "ManyMachines"),
    ],
)
def test_the_private_door_refuses_what_it_does_not_know(lines: list[bytes], status: int, reason: str) -> None:
    """Names are looked up exactly, never made into targets, and a refusal is JSON for programs."""
    heard = send(managed(*lines, b"Accept: application/json"), listener=PRIVATE)
    assert (heard.status, heard.replays) == (status, [])
    assert json.loads(heard.data.partition(b"\r\n\r\n")[2])["error"] == reason


@pytest.mark.parametrize(
    ("request_bytes", "listener"),
    [
        (get(b"evil.example.com"), PUBLIC),
        (managed(b"X-User-App: evil", b"X-User-Machine: web-0"), PRIVATE),
    ],
)
def test_a_name_that_could_add_a_header_is_not_written(request_bytes: bytes, listener: Listener) -> None:
    """Even a poisoned table cannot put a second field or line into an answer."""
    heard = send(request_bytes, listener=listener)
    assert (heard.status, heard.replays) == (500, [])
    assert b"set-cookie" not in heard.data


def test_the_access_log_holds_nothing_that_a_client_sent() -> None:
    """Per answer: listener, status, reason, and the app of the table."""
    heard = send(
        get() + get(b"secret-host.example.com", b"Cookie: secret", target=b"/secret") + b"secret\r\n\r\n"
    )
    assert [(each.listener, each.status, each.reason, each.app) for each in heard.log] == [
        ("public", 307, "Replay", "acme-alice"),
        ("public", 404, "UnknownHost", None),
        ("public", 400, "BadRequest", None),
    ]


def test_a_browser_gets_a_page_and_programs_get_text() -> None:
    """The form follows Accept; a page that waits tries again by itself."""
    browser = send(get(b"bob.example.com", b"Accept: text/html,*/*;q=0.8"))
    program = send(get(b"bob.example.com", b"Accept: */*"))
    assert b"content-type: text/html; charset=utf-8\r\n" in browser.data
    assert b'<meta http-equiv="refresh" content="7">' in browser.data
    assert b"content-type: text/plain; charset=utf-8\r\n" in program.data
    assert program.data.endswith(b"\r\n\r\n503 Creating: The app is being created.\n")


def test_a_page_shows_the_request_id_in_flys_form_alone() -> None:
    """Fly's id is repeated in the body for whoever asks for help; anything else of a request never is."""
    fly = b"01GEWK5699M2Y6ZHQYCSAJGZMB-fra"
    shown = send(get(b"nobody.example.com", b"Fly-Request-Id: " + fly))
    head, _, body = shown.data.partition(b"\r\n\r\n")
    assert fly in body
    assert fly not in head
    for forged in (b"<script>alert(1)</script>", fly + b"<b>", fly.lower(), b"01GEWK-fra"):
        heard = send(get(b"nobody.example.com", b"Fly-Request-Id: " + forged, b"Accept: text/html"))
        assert forged not in heard.data


def test_a_page_promises_no_return() -> None:
    """An app that is switched off, or that nobody could start, is not said to be back in a moment."""
    table = Table(hosts={"a.example.com": Unavailable("Stopped", "This app is switched off.", 60)})
    heard = send(get(b"a.example.com", b"Accept: text/html"), table=table)
    assert b"<h1>Not here right now</h1>" in heard.data


def test_a_table_cannot_script_a_page() -> None:
    """What the table says is text, in HTML too."""
    table = Table(hosts={"a.example.com": Unavailable("Failed", "<script>alert(1)</script>")})
    heard = send(get(b"a.example.com", b"Accept: text/html"), table=table)
    assert b"<script>" not in heard.data
    assert b"&lt;script&gt;" in heard.data


def test_nothing_of_a_request_is_in_a_head() -> None:
    """Host, target, headers and user names leave no trace in any answer's headers."""
    odd = b"zq9zq9"
    lines = [b"Cookie: " + odd, b"X-User-App: " + odd, b"X-User-Machine: " + odd, b"Accept: " + odd]
    for listener in (PUBLIC, PRIVATE):
        heard = send(
            get(odd + b".example.com", *lines, target=b"/" + odd),
            listener=listener,
        )
        assert odd not in heard.data


def test_a_route_without_machines_is_still_a_route() -> None:
    """The app is enough: Fly finds the machine."""
    table = Table(hosts={"a.example.com": Route("acme-a")})
    assert send(get(b"a.example.com"), table=table, auth="none").replays == [b"fly-replay: app=acme-a"]
