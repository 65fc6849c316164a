"""One request from head to answer: to the app it is for, and on as `fly-replay` answers say.

Answers for the chain of replays, its limits, and what a client sees when it fails: 502 and nothing else,
the reason in the log of the app that asked for the replay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Protocol

import h11

from localfly.proxy import cache_key, header, leg, replay_answer
from localfly.proxy.body import Body
from localfly.proxy.cache import ReplayCache
from localfly.proxy.cache_key import SessionRule
from localfly.proxy.client import Client, Gone
from localfly.proxy.header import Edge, Headers
from localfly.proxy.leg import Leg
from localfly.proxy.machine import Broke, Upstream
from localfly.proxy.reach import Reach, Reached, Unreached, Wanted
from localfly.proxy.recall import Recall
from localfly.proxy.replay import HOP_LIMIT, Malformed, NotImitated, Replay
from localfly.proxy.select import Candidate, Refused, UnknownApp
from localfly.proxy.steering import NOWHERE, Steering
from localfly.world import App


class Log(Protocol):
    """Notes a line under an app or its machine: an error, unless it is a warning."""

    def __call__(self, about: Candidate | App, text: str, *, is_warning: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the client sent it: what every hop gets again."""

    method: bytes
    target: bytes
    headers: Headers
    body: Body
    edge: Edge
    host: str | None
    steering: Steering = NOWHERE
    session_rules: Sequence[SessionRule] = ()


@dataclass(frozen=True, slots=True)
class Choices:
    """What Fly does not publish about replays."""

    keeps_forged_replay_src: bool = False  # whether a client's own fly-replay-src reaches the machine
    steers_replays: bool = False  # whether a client's steering headers act on a replay's target too
    falls_back_for_unknown_app: bool = True


class Exchange:
    """Carries requests for one proxy; `clock` is in unix seconds."""

    def __init__(
        self,
        reach: Reach,
        *,
        cache: ReplayCache,
        log: Log,
        clock: Callable[[], float],
        choices: Choices,
    ) -> None:
        self._reach = reach
        self._cache = cache
        self._log = log
        self._clock = clock
        self._choices = choices

    async def carry(self, client: Client, asked: Asked, entry: App) -> None:
        """Answer one request that is for the app `entry`; raises Gone when the client leaves."""
        port = asked.edge.public_port
        at = cache_key.place(app=entry.name, port=port, host=asked.host, target=asked.target)
        session = cache_key.session(asked.session_rules, at, asked.headers)
        recall = Recall(self._cache, at, session, asked.headers)
        kept = recall.find()
        step = (
            leg.remembered(kept, entry, port=port)
            if kept
            else leg.first(entry, port=port, steering=asked.steering)
        )
        hops = 0
        while True:
            try:
                reached = await self._arrive(step)
            except Refused as refused:
                back = self._back(step, refused)
                if back is None:
                    if step.is_remembered:
                        recall.forget()
                    status = refused.status if step.target or step.is_fallback else 503
                    return await self._fail(client, asked, step.issuer or entry, str(refused), status=status)
                step = back
                continue
            if step.is_to_be_kept and step.replay and step.target:
                recall.keep(step.replay, target=step.target, avoids=step.wanted.avoids)
            answered = reached.candidate
            async with Upstream(*reached.ends) as upstream:
                try:
                    target, headers = self._request(asked, step, answered)
                    head = await upstream.ask(asked.method, target, headers, asked.body)
                    replay = await _replay(upstream, head)
                    if replay is None:
                        return await _answer(client, asked, reached, upstream, head, hops=hops)
                    await _check_replayable(asked, step, is_last=hops == HOP_LIMIT)
                except Broke as broke:
                    text = f"[PU02] could not complete HTTP request to instance: {broke}"
                    return await self._fail(client, asked, answered, text)
                except Refused as refused:
                    return await self._fail(client, asked, answered, str(refused))
            hops += 1
            step = self._follow(replay, answered, asked, recall)

    async def carry_verbatim(self, client: Client, asked: Asked, entry: App) -> None:
        """The same on a port without the `http` handler: nothing added, no replay followed or hidden."""
        try:
            reached = await self._reach.connect(Wanted(entry, asked.edge.public_port))
            async with Upstream(*reached.ends) as upstream:
                headers = header.verbatim(asked.headers)
                head = await upstream.ask(asked.method, asked.target, headers, asked.body)
                await _deliver(client, reached, upstream, head, header.verbatim(head.headers))
        except (Refused, Broke) as reason:
            await self._fail(client, asked, entry, str(reason), status=503)

    async def _arrive(self, step: Leg) -> Reached:
        """Connect for this delivery; raises Refused."""
        wanted = step.wanted
        if step.target is not None:
            try:
                app = await self._reach.target(wanted.app, step.target, until=wanted.until)
            except UnknownApp as unknown:
                if not self._choices.falls_back_for_unknown_app:
                    raise
                raise Unreached(unknown, why="no_candidate", tried=None) from None
            wanted = replace(wanted, app=app)
        return await self._reach.connect(wanted)

    def _back(self, step: Leg, refused: Refused) -> Leg | None:
        """The fallback of a delivery that reached nobody, if it has one; its reason is logged here."""
        if not isinstance(refused, Unreached) or step.issuer is None:
            return None
        back = leg.fallen_back(step, refused, now=self._clock())
        if back is not None:
            self._log(step.issuer, str(refused))
        return back

    def _follow(self, replay: Replay, issuer: Candidate, asked: Asked, recall: Recall) -> Leg:
        """The delivery that a replay asks for, with warnings for what is not followed in it."""
        is_to_be_kept, complaint = recall.judge(replay, issuer)
        if complaint:
            self._log(issuer, complaint, is_warning=True)
        for name in replay.transform.protected if replay.transform else ():
            text = f"the transform does not touch {name.decode()}: it is the proxy's own"
            self._log(issuer, text, is_warning=True)
        following = leg.replayed(
            replay,
            issuer,
            port=asked.edge.public_port,
            steering=asked.steering if self._choices.steers_replays else NOWHERE,
            cache_status=recall.status,
            now=self._clock(),
        )
        return replace(following, is_to_be_kept=is_to_be_kept)

    def _request(self, asked: Asked, step: Leg, answering: Candidate) -> tuple[bytes, Headers]:
        """Path with query, and headers, for the machine that was reached."""
        keeps = self._choices.keeps_forged_replay_src
        given = step.transform.headers(header.end_to_end(asked.headers))
        headers = header.to_machine(given, asked.edge, step.told(answering), keeps_forged_replay_src=keeps)
        return step.transform.target or asked.target, headers

    async def _fail(
        self, client: Client, asked: Asked, about: Candidate | App, text: str, *, status: int = 502
    ) -> None:
        """Log the reason; the client learns nothing but the status (or sees the connection end)."""
        self._log(about, text)
        if client.has_answer_begun:
            raise Gone
        await client.refuse(status, header.own(asked.edge))


async def _replay(upstream: Upstream, head: h11.Response | h11.InformationalResponse) -> Replay | None:
    """The replay that an answer is; raises Refused when it cannot be followed."""
    try:
        return await replay_answer.read(upstream, head)
    except Malformed:  # its text may hold the state, which no log may show
        raise Refused("[PA03] could not parse 'fly-replay' response header returned by app") from None
    except NotImitated as missing:
        raise Refused(str(missing)) from None


async def _check_replayable(asked: Asked, step: Leg, *, is_last: bool) -> None:
    """Raise Refused when an answer to this delivery may not be a replay, or the request cannot be resent."""
    if step.is_fallback:
        raise Refused("the answer to a request that fell back cannot be another fly-replay")
    if is_last:
        raise Refused("[PA02] 'fly-replay' response header was returned too many times, stopping there")
    size = _declared_size(asked.headers)
    if size <= asked.body.limit:
        await asked.body.settle()
    if not asked.body.is_replayable or size > asked.body.limit:
        raise Refused(
            "[PA01] cannot retry/replay request because request body has been read past "
            "what we're willing to buffer"
        )


async def _answer(
    client: Client,
    asked: Asked,
    reached: Reached,
    upstream: Upstream,
    head: h11.Response | h11.InformationalResponse,
    *,
    hops: int,
) -> None:
    is_upgrade = head.status_code == HTTPStatus.SWITCHING_PROTOCOLS
    options = reached.candidate.http_options.get("response") or {}
    headers = header.to_client(head.headers, asked.edge, hops=hops, is_upgrade=is_upgrade, options=options)
    await _deliver(client, reached, upstream, head, headers)


async def _deliver(
    client: Client,
    reached: Reached,
    upstream: Upstream,
    head: h11.Response | h11.InformationalResponse,
    headers: Headers,
) -> None:
    """Pass the answer on as it comes; after a 101 raw bytes both ways until both sides are done."""
    if isinstance(head, h11.InformationalResponse):
        switching = h11.InformationalResponse(status_code=101, headers=headers, reason=head.reason)
        return await client.switch(switching, reached.ends, ahead=upstream.ahead, held=reached.held)
    await client.send(h11.Response(status_code=head.status_code, headers=headers, reason=head.reason))
    async for data in upstream.answer():
        await client.send(h11.Data(data=data))
    await client.send(h11.EndOfMessage())
    return None


def _declared_size(headers: Headers) -> int:
    return next((int(value) for name, value in headers if name == b"content-length"), 0)
