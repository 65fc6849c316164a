"""One HTTP/1 connection of the router: bytes in, bytes out, and nothing for a smuggler to hold on to."""

import asyncio

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.http1 import Connection, Limits
from router.request import parse_host, parse_port
from router.server import Door, Router
from tests.router.wireless import NOW, PROXIED, PUBLIC, TABLE, connected, get, send, signer, split_at

FRAMED = b"POST / HTTP/1.1\r\nHost: alice.example.com\r\n" + PROXIED


def test_a_request_gets_its_replay_in_one_answer() -> None:
    """A known host is answered with an empty body and the connection stays open."""
    heard = send(get())
    head, _, rest = heard.data.partition(b"\r\n\r\n")
    assert head.startswith(
        b"HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\ncache-control: no-store\r\n"
    )
    assert (rest, heard.is_over) == (b"", False)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET / HTTP/1.1\r\n" + PROXIED + b"\r\n", id="no Host"),
        pytest.param(b"GET / HTTP/1.0\r\n" + PROXIED + b"\r\n", id="no Host in HTTP/1.0"),
        pytest.param(get(b"alice.example.com", b"Host: bob.example.com"), id="two Hosts"),
        pytest.param(get(b"alice.example.com", b"host: alice.example.com"), id="the same Host twice"),
        pytest.param(get(b""), id="empty Host"),
        pytest.param(get(b"alice.example.com, bob.example.com"), id="a list of Hosts"),
        pytest.param(get(b"x@alice.example.com"), id="user part in Host"),
        pytest.param(get(b"alice.example.com/x"), id="path in Host"),
        pytest.param(get(b"alice.example.com:443:80"), id="two ports in Host"),
        pytest.param(get(b"alice.example.com:"), id="empty port in Host"),
        pytest.param(get(b"alice.example.com:65536"), id="port too large in Host"),
        pytest.param(get(b"alice.example.com.."), id="two final dots"),
        pytest.param(get(b"alice..example.com"), id="empty label"),
        pytest.param(get(b"-alice.example.com"), id="label begins with a dash"),
        pytest.param(get(b"a" * 64 + b".example.com"), id="label of 64"),
        pytest.param(get(b".".join([b"a" * 60] * 5)), id="host of 304"),
        pytest.param(get(b"[::1]:443"), id="IPv6 literal"),
        pytest.param(get(b"al%69ce.example.com"), id="percent in Host"),
        pytest.param(get(b"alice_example.com;app=x"), id="semicolon in Host"),
        pytest.param(get("älice.example.com".encode()), id="raw IDN in Host"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost : alice.example.com\r\n" + PROXIED + b"\r\n", id="Host space colon"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n Host: alice.example.com\r\n" + PROXIED + b"\r\n", id="folded first line"
        ),
        pytest.param(get(b"alice.example.com", b"X: a", b" Host: bob.example.com"), id="obsolete folding"),
        pytest.param(get(b"alice.example.com", b"X: a\rHost: bob.example.com"), id="bare CR"),
        pytest.param(get(b"alice.example.com", b"X: a\x00b"), id="NUL in a value"),
        pytest.param(get(b"alice.example.com", b"X\x00: a"), id="NUL in a name"),
        pytest.param(get(b"alice.example.com", b"no colon"), id="line without colon"),
        pytest.param(get(b"alice.example.com", b": no name"), id="empty name"),
        pytest.param(get().replace(b"\r\n", b"\n"), id="bare LF"),
        pytest.param(get(target=b"http://bob.example.com/"), id="absolute target"),
        pytest.param(get(target=b"bob.example.com:443", method=b"CONNECT"), id="CONNECT"),
        pytest.param(get(target=b"*"), id="star target"),
        pytest.param(b"GET / HTTP/1.1 x\r\nHost: alice.example.com\r\n\r\n", id="extra word"),
        pytest.param(
            b"GET /\x7f HTTP/1.1\r\nHost: alice.example.com\r\n" + PROXIED + b"\r\n", id="DEL in target"
        ),
        pytest.param(b"G\xc3T / HTTP/1.1\r\nHost: alice.example.com\r\n\r\n", id="method beyond ASCII"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS hello"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 preface"),
        pytest.param(FRAMED + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", id="two equal lengths"),
        pytest.param(FRAMED + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", id="two lengths"),
        pytest.param(FRAMED + b"Content-Length: 3, 3\r\n\r\nabc", id="length list"),
        pytest.param(FRAMED + b"Content-Length: +3\r\n\r\nabc", id="signed length"),
        pytest.param(FRAMED + b"Content-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(FRAMED + b"Content-Length: 0x3\r\n\r\nabc", id="hex length"),
        pytest.param(FRAMED + b"Content-Length: \r\n\r\nabc", id="empty length"),
        pytest.param(FRAMED + b"Content-Length: 3\x0b\r\n\r\nabc", id="vertical tab in length"),
        pytest.param(
            FRAMED + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="CL then TE"
        ),
        pytest.param(
            FRAMED + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", id="TE then CL"
        ),
        pytest.param(
            FRAMED + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="TE twice",
        ),
        pytest.param(FRAMED + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="TE gzip, chunked"),
        pytest.param(
            FRAMED + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="TE chunked, identity"
        ),
        pytest.param(FRAMED + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="TE xchunked"),
        pytest.param(FRAMED + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", id="TE vertical tab"),
        pytest.param(FRAMED + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", id="TE folded"),
        pytest.param(FRAMED + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", id="TE space colon"),
        pytest.param(
            FRAMED.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="TE in HTTP/1.0",
        ),
        pytest.param(FRAMED + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="chunk size is no number"),
        pytest.param(FRAMED + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", id="negative chunk"),
        pytest.param(FRAMED + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", id="chunk longer than said"),
        pytest.param(FRAMED + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n", id="chunks with bare LF"),
        pytest.param(
            FRAMED + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", id="chunk size overflow"
        ),
    ],
)
def test_a_head_that_others_might_read_differently_is_refused(request_bytes: bytes) -> None:
    """Whatever is ambiguous gets one fixed 400 without a replay, and the connection ends with it."""
    heard = send(request_bytes + get())
    assert heard.statuses == [400]
    assert heard.replays == []
    assert heard.is_over


@pytest.mark.parametrize(("version", "status"), [(b"HTTP/0.9", 505), (b"HTTP/2.0", 505), (b"HTTP/1.2", 400)])
def test_only_two_versions_are_spoken(version: bytes, status: int) -> None:
    """HTTP/1.0 and 1.1 are answered, others refused."""
    heard = send(get().replace(b"HTTP/1.1", version))
    assert (heard.statuses, heard.replays, heard.is_over) == ([status], [], True)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"Alice.Example.COM", "alice.example.com"),
        (b"alice.example.com.", "alice.example.com"),
        (b"alice.example.com:8443", "alice.example.com"),
        (b"alice.example.com.:443", "alice.example.com"),
        (b"xn--lice-0ra.example.com", "xn--lice-0ra.example.com"),
        (b"_my_app.example.com", "_my_app.example.com"),
        (b"172.19.0.2:8080", "172.19.0.2"),
        (b"localhost", "localhost"),
        (
            b".".join([b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61]),
            f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}",
        ),
        (b".".join([b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 62]), None),
    ],
)
def test_a_host_is_a_plain_name(value: bytes, name: str | None) -> None:
    """Case, port and final dot do not distinguish hosts; 253 characters are the most."""
    assert parse_host(value) == name


@pytest.mark.parametrize(
    "value", [b"0", b"00443", b"65536", b"443 ", b"+443", b"", b"http", b"\xd9\xa3", b"999999"]
)
def test_a_port_is_plain_digits(value: bytes) -> None:
    """What is not 1 to 65535 in decimal digits is no port."""
    assert parse_port(value) is None
    assert parse_port(b"65535") == 65_535


def test_requests_in_one_packet_are_answered_in_order() -> None:
    """Pipelined requests each get their own answer."""
    heard = send(get() + get(b"nobody.example.com") + get(b"bob.example.com"))
    assert heard.statuses == [307, 404, 503]
    assert not heard.is_over


def test_what_follows_a_closing_request_is_not_answered() -> None:
    """`Connection: close` is the last word, even when more has arrived already."""
    heard = send(get(b"alice.example.com", b"Connection: close") + get())
    assert heard.statuses == [307]
    assert b"connection: close\r\n" in heard.data
    assert heard.is_over


def test_http_1_0_closes_unless_asked_to_stay() -> None:
    """An old client's connection ends with the answer; one that asks for it is told that it stays."""
    old = get().replace(b"HTTP/1.1", b"HTTP/1.0")
    stays = get(b"alice.example.com", b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert send(old).is_over
    assert b"connection: close\r\n" in send(old).data
    assert not send(stays).is_over
    assert b"connection: keep-alive\r\n" in send(stays).data


def test_head_gets_the_head_alone() -> None:
    """A HEAD request gets the status and length of the page and no body, so the next answer is found."""
    heard = send(get(b"nobody.example.com", method=b"HEAD") + get())
    head, _, rest = heard.data.partition(b"\r\n\r\n")
    assert heard.statuses == [404, 307]
    assert b"content-length: 0" not in head
    assert rest.startswith(b"HTTP/1.1 307")


@pytest.mark.parametrize(
    "headers", [(b"Connection: Upgrade", b"Upgrade: websocket"), (b"Connection: upgrade, x", b"Upgrade: h2c")]
)
def test_an_upgrade_is_answered_without_101(headers: tuple[bytes, bytes]) -> None:
    """The target accepts the upgrade, not the router: a final status with the replay, then the end."""
    heard = send(get(b"alice.example.com", *headers) + b"\x81\x05hello")
    assert heard.statuses == [307]
    assert len(heard.replays) == 1
    assert b"connection: close\r\n" in heard.data
    assert heard.is_over


def test_a_body_is_read_to_its_end_before_the_answer() -> None:
    """The next request on the connection begins where the body ends, with a length or in chunks."""
    heard = send(FRAMED + b"Content-Length: 30\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nabc" + get())
    assert heard.statuses == [307, 307]
    heard = send(
        FRAMED + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get(b"bob.example.com")
    )
    assert heard.statuses == [307, 503]


def test_a_trailer_is_no_header() -> None:
    """What stands behind a chunked body can neither name the user nor add a Host."""
    heard = send(
        FRAMED
        + b"Transfer-Encoding: chunked\r\n\r\n0\r\nHost: bob.example.com\r\nFly-Forwarded-Port: 1\r\n\r\n"
    )
    assert heard.statuses == [307]
    assert b"app=acme-alice;" in heard.replays[0]


@pytest.mark.parametrize("size", [1_000_000, 1_000_001])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_more_than_fly_replays_is_refused_with_the_reason(size: int, is_chunked: bool) -> None:
    """A million bytes pass; one more is a 413 that says why, where Fly would answer an empty 502."""
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % size
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size) if is_chunked else b"x" * size
    heard = send(FRAMED + framing + b"\r\n\r\n", body)
    if size == 1_000_000:
        assert (heard.statuses, heard.is_over) == ([307], False)
    else:
        assert (heard.statuses, heard.replays, heard.is_over) == ([413], [], True)
        assert b"1 MB" in heard.data


def test_chunks_that_carry_nothing_have_an_end() -> None:
    """Chunk extensions without limit do not keep a connection busy for ever."""
    extension = b"1;" + b"x" * 100_000 + b"\r\na\r\n"
    heard = send(FRAMED + b"Transfer-Encoding: chunked\r\n\r\n", *[extension] * 100)
    assert (heard.statuses, heard.is_over) == ([413], True)


@pytest.mark.parametrize("expected", [b"100-continue", b"100-Continue"])
def test_a_client_that_asks_first_is_told_to_continue(expected: bytes) -> None:
    """`Expect: 100-continue` gets its 100 before the body, and the answer after it."""
    head = FRAMED + b"Expect: " + expected + b"\r\nContent-Length: 3\r\n\r\n"
    assert send(head).data == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert send(head, b"abc").statuses == [100, 307]


def test_a_client_that_asks_first_with_too_much_is_spared_the_upload() -> None:
    """Too large a body is refused at its head; an unknown expectation is refused as well."""
    assert send(FRAMED + b"Expect: 100-continue\r\nContent-Length: 1000001\r\n\r\n").statuses == [413]
    assert send(FRAMED + b"Expect: a-miracle\r\nContent-Length: 3\r\n\r\nabc").statuses == [417]


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([get(b"alice.example.com", b"X: " + b"a" * 70_000)], id="one long header"),
        pytest.param([get(b"alice.example.com", *[b"X: a"] * 201)], id="many headers"),
        pytest.param([get(target=b"/" + b"a" * 70_000)], id="long target"),
        pytest.param([b"GET / HTTP/1.1\r\nX: ", *[b"a" * 10_000] * 8], id="a header without end"),
        pytest.param([b"GET /", *[b"a" * 10_000] * 8], id="a target without end"),
    ],
)
def test_a_head_has_a_largest_size(chunks: list[bytes]) -> None:
    """Headers beyond 64 KiB or 200 lines are refused, in one piece or dripping in."""
    heard = send(*chunks)
    assert (heard.statuses, heard.replays, heard.is_over) == ([431], [], True)


def test_pipelined_bodies_do_not_count_as_heads() -> None:
    """A packet that holds a large body and the beginning of the next head is no large head."""
    heard = send(FRAMED + b"Content-Length: 200000\r\n\r\n", b"x" * 200_000 + get()[:20], get()[20:])
    assert heard.statuses == [307, 307]


def test_many_requests_in_one_packet_are_no_large_head() -> None:
    """A packet that ends one head and begins another, with hundreds between them, is within the limits."""
    packet = get()[10:] + get() * 600 + get()[:10]
    assert len(packet) > Limits().head_bytes
    assert send(get()[:10], packet, get()[10:]).statuses == [307] * 602


def test_a_slow_head_is_given_up() -> None:
    """A head that is not there after ten seconds gets a 408, however it drips."""
    assert send(b"GET / HTTP/1.1\r\nHo", wait_s=9).data == b""
    heard = send(b"GET / HTTP/1.1\r\nHo", wait_s=11)
    assert (heard.statuses, heard.is_over) == ([408], True)


async def test_a_dripping_head_is_given_up() -> None:
    """Bytes that keep coming do not move the deadline of a head."""
    router = Router(signer(), now=lambda: NOW)
    transport, connection = connected(lambda: Connection(Door(router, PUBLIC, frozenset())))
    for byte in b"GET / HTTP":
        connection.data_received(bytes([byte]))
        await asyncio.sleep(1.5)
    assert b" 408 " in transport.written
    connection.connection_lost(None)


def test_a_slow_body_is_given_up() -> None:
    """A body has a minute."""
    heard = send(FRAMED + b"Content-Length: 3\r\n\r\na", wait_s=61)
    assert (heard.statuses, heard.replays) == ([408], [])


@pytest.mark.parametrize("chunks", [[], [get()], [b"\r\n\r\n"]])
def test_an_idle_connection_ends_without_a_word(chunks: list[bytes]) -> None:
    """After 75 s without a request the connection is closed, with nothing written."""
    assert not send(*chunks, wait_s=74).is_over
    heard = send(*chunks, wait_s=76)
    assert heard.is_over
    assert 408 not in heard.statuses


async def test_a_refused_client_that_goes_on_sending_can_read_why() -> None:
    """After a refusal the rest is thrown away for two seconds before the connection is cut."""
    router = Router(signer(), now=lambda: NOW)
    transport, connection = connected(lambda: Connection(Door(router, PUBLIC, frozenset())))
    connection.data_received(FRAMED + b"Content-Length: 9000000\r\n\r\n")
    connection.data_received(b"x" * 100_000)
    assert (transport.is_half_closed, transport.is_closed) == (True, False)
    await asyncio.sleep(2.1)
    assert transport.is_closed
    assert transport.written.count(b"HTTP/1.1 ") == 1
    connection.connection_lost(None)


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    """Answers pile up no further than the transport's own limit."""
    router = Router(signer(), now=lambda: NOW)
    transport, connection = connected(lambda: Connection(Door(router, PUBLIC, frozenset())))
    seen = []
    for moment in (connection.pause_writing, connection.resume_writing):
        moment()
        seen.append(transport.reads)
    assert seen == [False, True]
    connection.connection_lost(None)


def test_a_client_that_hangs_up_in_the_middle_is_nobodys_error() -> None:
    """Half a request and the end of the stream leave nothing behind."""
    assert send(b"GET / HTTP/1.1\r\nHost: al", hang_up=True).data == b""


SMALL = Limits(head_bytes=2_000, headers=20, body_bytes=500)
pieces = st.sampled_from(
    [
        b"GET ",
        b"POST ",
        b"/ ",
        b"HTTP/1.1\r\n",
        b"HTTP/1.0\r\n",
        b"Host: alice.example.com\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"Host: nobody.example.com\r\n",
        b"Host: bob.example.com\r\n",
        b"Host:",
        b"alice.example.com",
        b"\n",
        b"\r",
        b"Content-Length: 3\r\n",
        b"Content-Length: 600\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"abc",
        b"0\r\n\r\n",
        b"Connection: close\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Expect: 100-continue\r\n",
        b"fly-replay-src: state=x\r\n",
        b"fly-replay-failed: x\r\n",
        PROXIED,
        b"X-User-App: alice\r\n",
        b"\x00",
        b": ",
        b"3\r\nabc\r\n",
        get(),
        get(b"nobody.example.com"),
        get()[:-2],
        b"fly-replay: app=evil\r\n",
    ]
)
streams = st.lists(pieces | st.binary(max_size=12), max_size=24).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(data=streams, cuts=st.lists(st.integers(0, 4_000), max_size=4))
def test_no_bytes_reach_a_traceback_or_an_unknown_target(data: bytes, cuts: list[int]) -> None:
    """Any stream is answered with whole answers, and a replay leads to an app of the table or nowhere."""
    heard = send(*split_at(data, cuts), limits=SMALL)
    assert heard.data == b"" or heard.data.startswith(b"HTTP/1.1 ")
    assert all(line.startswith(b"fly-replay: app=acme-alice;state=v1.") for line in heard.replays)
    assert all(answered.reason != "RouterError" for answered in heard.log)
    assert b"evil" not in heard.data


@settings(max_examples=150, deadline=None)
@given(data=streams, cuts=st.lists(st.integers(0, 4_000), max_size=6))
def test_how_the_bytes_are_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    """One packet or many: the same answers."""
    whole, cut = send(data, limits=SMALL), send(*split_at(data, cuts), limits=SMALL)
    # A head in pieces is measured as it grows, one packet when it ends: both refuse, at other sizes.
    assume(431 not in {*whole.statuses, *cut.statuses})
    assert cut.data == whole.data


@settings(max_examples=100, deadline=None)
@given(host=st.from_regex(r"[a-z0-9.:-]{1,40}", fullmatch=True))
def test_only_hosts_of_the_table_are_replayed(host: str) -> None:
    """A host that is not in the table never gets a replay, whatever it looks like."""
    heard = send(get(host.encode()))
    assert heard.replays == [] or parse_host(host.encode()) in TABLE.hosts
