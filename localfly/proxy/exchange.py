"""One request from head to answer: to the app it is for, and on as `fly-replay` answers say.

Answers for the chain of replays, its limits, and what a client sees when it fails: 502 and nothing else,
the reason in the log of the app that asked for the replay.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

import h11

from localfly.proxy import header
from localfly.proxy import replay as replay_answer
from localfly.proxy.body import Body
from localfly.proxy.client import Client, Gone
from localfly.proxy.header import Edge, Headers, Hop
from localfly.proxy.machine import Broke, Upstream
from localfly.proxy.reach import Reach, Wanted
from localfly.proxy.replay import HOP_LIMIT, Replay
from localfly.proxy.select import Candidate, Refused
from localfly.world import App

Log = Callable[[Candidate | App, str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the client sent it: what every hop gets again."""

    method: bytes
    target: bytes
    headers: Headers
    body: Body
    edge: Edge


class Exchange:
    """Carries requests for one proxy; `log` notes an error line under an app or its machine."""

    def __init__(
        self,
        reach: Reach,
        *,
        log: Log,
        wall: Callable[[], float],
        keeps_forged_replay_src: bool = False,
    ) -> None:
        self._reach = reach
        self._log = log
        self._wall = wall
        self._keeps_forged_replay_src = keeps_forged_replay_src

    async def carry(self, client: Client, asked: Asked, entry: App) -> None:
        """Answer one request that is for the app `entry`; raises Gone when the client leaves."""
        wanted = Wanted(entry, asked.edge.public_port)
        issuer: Candidate | None = None
        hop: Hop | None = None
        for hops in range(HOP_LIMIT + 1):
            try:
                reached = await self._reach.connect(wanted)
            except Refused as refused:
                text, status = str(refused), 502 if issuer else 503
                return await self._fail(client, asked, issuer or entry, text, status=status)
            answered = reached.candidate
            async with Upstream(*reached.ends) as upstream:
                try:
                    headers = self._to_machine(asked, _missed(hop, wanted, answered))
                    head = await upstream.ask(asked.method, asked.target, headers, asked.body)
                    replay = _replay(head)
                    if replay is None:
                        return await _answer(client, asked, upstream, head, hops=hops)
                    wanted = await self._follow(replay, asked, answered, is_last=hops == HOP_LIMIT)
                except Broke as broke:
                    text = f"[PU02] could not complete HTTP request to instance: {broke}"
                    return await self._fail(client, asked, answered, text)
                except Refused as refused:
                    return await self._fail(client, asked, answered, str(refused))
            issuer, hop = answered, self._hop(replay, answered)
        return None

    async def carry_verbatim(self, client: Client, asked: Asked, entry: App) -> None:
        """The same on a port without the `http` handler: nothing added, no replay followed or hidden."""
        try:
            reached = await self._reach.connect(Wanted(entry, asked.edge.public_port))
            async with Upstream(*reached.ends) as upstream:
                headers = header.verbatim(asked.headers)
                head = await upstream.ask(asked.method, asked.target, headers, asked.body)
                await _deliver(client, upstream, head, header.verbatim(head.headers))
        except (Refused, Broke) as reason:
            await self._fail(client, asked, entry, str(reason), status=503)

    async def _follow(self, replay: Replay, asked: Asked, issuer: Candidate, *, is_last: bool) -> Wanted:
        """Where the request goes next; raises Refused when it may not, or cannot be sent again."""
        if is_last:
            raise Refused("[PA02] 'fly-replay' response header was returned too many times, stopping there")
        if _declared_size(asked.headers) <= asked.body.limit:
            await asked.body.settle()
        if not asked.body.is_replayable or _declared_size(asked.headers) > asked.body.limit:
            raise Refused(
                "[PA01] cannot retry/replay request because request body has been read past "
                "what we're willing to buffer"
            )
        target = await self._reach.target(issuer.app, replay.app or issuer.app.name)
        return Wanted(target, asked.edge.public_port, replay.instance, replay.prefer_instance, issuer.app)

    def _hop(self, replay: Replay, issuer: Candidate) -> Hop:
        micros = int(self._wall() * 1_000_000)
        src = replay_answer.source(
            instance=issuer.machine_id, region=issuer.region, micros=micros, state=replay.state
        )
        return Hop(src)

    def _to_machine(self, asked: Asked, hop: Hop | None) -> Headers:
        keeps = self._keeps_forged_replay_src
        return header.to_machine(asked.headers, asked.edge, hop, keeps_forged_replay_src=keeps)

    async def _fail(
        self, client: Client, asked: Asked, about: Candidate | App, text: str, *, status: int = 502
    ) -> None:
        """Log the reason; the client learns nothing but the status (or sees the connection end)."""
        self._log(about, text)
        if client.has_answer_begun:
            raise Gone
        await client.refuse(status, header.own(asked.edge))


def _replay(head: h11.Response | h11.InformationalResponse) -> Replay | None:
    try:
        return replay_answer.of(head.headers)
    except replay_answer.Malformed:
        raise Refused("[PA03] could not parse 'fly-replay' response header returned by app") from None
    except replay_answer.NotImitated as missing:
        raise Refused(str(missing)) from None


def _missed(hop: Hop | None, wanted: Wanted, answered: Candidate) -> Hop | None:
    if hop is None or wanted.prefer_instance in (None, answered.machine_id):
        return hop
    return replace(hop, missed_instance=wanted.prefer_instance)


async def _answer(
    client: Client,
    asked: Asked,
    upstream: Upstream,
    head: h11.Response | h11.InformationalResponse,
    *,
    hops: int,
) -> None:
    is_upgrade = head.status_code == HTTPStatus.SWITCHING_PROTOCOLS
    headers = header.to_client(head.headers, asked.edge, hops=hops, is_upgrade=is_upgrade)
    await _deliver(client, upstream, head, headers)


async def _deliver(
    client: Client, upstream: Upstream, head: h11.Response | h11.InformationalResponse, headers: Headers
) -> None:
    """Pass the answer on as it comes; after a 101 raw bytes both ways until both sides are done."""
    if isinstance(head, h11.InformationalResponse):
        switching = h11.InformationalResponse(status_code=101, headers=headers, reason=head.reason)
        return await client.switch(switching, (upstream.reader, upstream.writer), ahead=upstream.ahead)
    await client.send(h11.Response(status_code=head.status_code, headers=headers, reason=head.reason))
    async for data in upstream.answer():
        await client.send(h11.Data(data=data))
    await client.send(h11.EndOfMessage())
    return None


def _declared_size(headers: Headers) -> int:
    return next((int(value) for name, value in headers if name == b"content-length"), 0)
