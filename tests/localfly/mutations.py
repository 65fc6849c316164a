"""One-line changes that each break one row of the list of edge behaviours.

Answers for the list alone. `mutate` applies them one at a time in a copy of the tree and looks which row's
tests go red.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """In the file, `old`, which is there once, becomes `new`."""

    row: int
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        1,
        "localfly/proxy/select.py",
        "return None if is_private and not door.is_flycast else",
        "return None if is_private and False else",
    ),
    Mutation(2, "localfly/proxy/select.py", "first <= public_port <= last", "first <= public_port < last"),
    Mutation(
        3, "localfly/proxy/select.py", 'frozenset(port.get("handlers") or RAW)', 'frozenset(("http", "tls"))'
    ),
    Mutation(4, "localfly/proxy/edge.py", "serving[0].forces_https and not edge.is_tls", "False"),
    Mutation(5, "localfly/proxy/header.py", '        b"fly-client-ip",\n        b"fly-f', '        b"fly-f'),
    Mutation(6, "localfly/proxy/edge.py", "self._world.ids.ulid(self._world.clock())", "'0' * 26"),
    Mutation(7, "localfly/proxy/header.py", 'options.get("pristine") is True', "False"),
    Mutation(
        8,
        "localfly/proxy/replay_header.py",
        'for part in value.split(";"):',
        'for part in value.replace(",", ";").split(";"):',
    ),
    Mutation(
        8, "localfly/proxy/replay_header.py", "if match is None or match[1] in fields:", "if match is None:"
    ),
    Mutation(
        9,
        "localfly/proxy/replay_header.py",
        "if match is None or match[1] in fields:",
        "if match is None or match[1] in fields or match[1] not in FIELDS:",
    ),
    Mutation(10, "localfly/proxy/replay_answer.py", "if not replay_json.is_json(headers):", "if headers:"),
    Mutation(
        11,
        "localfly/proxy/transform.py",
        "return [pair for pair in given if pair[0] not in gone] + put",
        "return given + put",
    ),
    Mutation(
        11,
        "localfly/proxy/exchange.py",
        "return step.transform.target or asked.target, headers",
        "return asked.target, headers",
    ),
    Mutation(
        12,
        "localfly/proxy/exchange.py",
        "head = await upstream.ask(asked.method, target, headers, asked.body)",
        'head = await upstream.ask(b"GET", target, headers, asked.body)',
    ),
    Mutation(13, "localfly/proxy/exchange.py", "if replay is None:", "if replay is None or hops == 0:"),
    Mutation(
        14,
        "localfly/proxy/header.py",
        'if name not in dropped and name != b"fly-replay" and not name.startswith(b"fly-replay-")',
        'if name not in dropped and name != b"fly-replay"',
    ),
    Mutation(
        15, "localfly/proxy/body.py", "return self.size <= self.limit", "return self.size <= self.limit + 1"
    ),
    Mutation(16, "localfly/proxy/replay.py", "HOP_LIMIT = 10", "HOP_LIMIT = 11"),
    Mutation(17, "localfly/proxy/select.py", "if first <= public_port <= last:", "if first <= last:"),
    Mutation(
        18, "localfly/proxy/exchange.py", "refused.status if step.target or step.is_fallback else 503", "503"
    ),
    Mutation(
        19,
        "localfly/proxy/reach.py",
        "deadline = min(self._clock() + self._give_up_s, until or math.inf)",
        "deadline = self._clock() + self._give_up_s",
    ),
    Mutation(
        19,
        "localfly/proxy/reach.py",
        "async with self._clock.timeout(None if wanted.until is None else wanted.until - self._clock()):",
        "async with self._clock.timeout(None):",
    ),
    Mutation(
        20,
        "localfly/proxy/replay.py",
        '_TIMEOUT = re.compile(r"([0-9]{1,9})(ms|s)")',
        '_TIMEOUT = re.compile(r"([0-9]{1,9})(ms|s|)")',
    ),
    Mutation(
        21,
        "localfly/proxy/select.py",
        "if source.org.slug not in target.org.replay_sources:",
        "if not target.org.slug:",
    ),
    Mutation(
        21,
        "localfly/proxy/select.py",
        "elif target.network != source.network and not source.org.cross_network_replays:",
        "elif not target.network:",
    ),
    Mutation(
        22, "localfly/proxy/select.py", "if target is None:", "if target is None or not target.addresses:"
    ),
    Mutation(
        23,
        "localfly/proxy/region.py",
        "for step, word in enumerate(wanted or (ANYWHERE,)):",
        "for step, word in enumerate((*wanted, ANYWHERE)):",
    ),
    Mutation(
        23,
        "localfly/proxy/region.py",
        "return step, distance(region, here)",
        "return 0, distance(region, here)",
    ),
    Mutation(
        24,
        "localfly/proxy/leg.py",
        "if self.is_fallback or missed in (None, answering.machine_id):",
        "if self.is_fallback or missed:",
    ),
    Mutation(
        25,
        "localfly/proxy/leg.py",
        "wanted = _wanted(replay, issuer.app, port, avoids=issuer.machine_id if replay.elsewhere else None)",
        "wanted = _wanted(replay, issuer.app, port, avoids=None)",
    ),
    Mutation(26, "localfly/proxy/leg.py", "micros = int(now * 1_000_000)", "micros = int(now * 1_000)"),
    Mutation(
        26,
        "localfly/proxy/header.py",
        "if hop.replay_src is not None or not keeps_forged_replay_src:",
        "if hop.replay_src is not None:",
    ),
    Mutation(
        27,
        "localfly/proxy/leg.py",
        "home = replace(home, instance=leg.issuer.machine_id)",
        "home = replace(home)",
    ),
    Mutation(27, "localfly/proxy/exchange.py", "if step.is_fallback:", "if step.is_fallback and is_last:"),
    Mutation(
        28,
        "localfly/proxy/exchange.py",
        "if replay is None:",
        "if replay is None and head.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:",
    ),
    Mutation(
        29, "localfly/proxy/header.py", "_upgrade() if is_websocket(given) else [(", "[] if False else [("
    ),
    Mutation(8, "localfly/proxy/replay_header.py", "match is None or match[1] in fields:", "match is None:"),
    Mutation(
        9,
        "localfly/proxy/replay_header.py",
        "match is None or match[1] in fields:",
        "match is None or match[1] in fields or match[1] not in FIELDS:",
    ),
    Mutation(
        10,
        "localfly/proxy/replay_json.py",
        'exclude={"transform", "cache", "allow_bypass"}',
        'exclude={"transform", "cache", "allow_bypass", "state"}',
    ),
    Mutation(
        11,
        "localfly/proxy/transform.py",
        "[pair for pair in given if pair[0] not in gone] + put",
        "given + put",
    ),
    Mutation(
        12,
        "localfly/proxy/exchange.py",
        "upstream.ask(asked.method, target, headers",
        'upstream.ask(b"GET", target, headers',
    ),
    Mutation(
        14,
        "localfly/proxy/header.py",
        'name != b"fly-replay" and not name.startswith(b"fly-replay-")',
        'name != b"fly-replay"',
    ),
    Mutation(15, "localfly/proxy/body.py", "self.size <= self.limit", "self.size <= self.limit + 1"),
    Mutation(17, "localfly/proxy/select.py", "first <= public_port <= last", "first <= last"),
    Mutation(
        18,
        "localfly/proxy/exchange.py",
        "client.refuse(status, header.own(asked.edge))",
        'client.refuse(status, header.own(asked.edge, 3), b"why")',
    ),
    Mutation(
        19,
        "localfly/proxy/reach.py",
        "self._clock() + self._give_up_s\n        woken",
        "self._clock() + 2 * self._give_up_s\n        woken",
    ),
    Mutation(20, "localfly/proxy/replay.py", "([0-9]{1,9})(ms|s)", "([0-9]{1,9})(ms|s|)"),
    Mutation(
        21,
        "localfly/proxy/select.py",
        "elif target.network != source.network and not source.org.cross_network_replays:",
        "elif False:",
    ),
    Mutation(
        23,
        "localfly/proxy/region.py",
        "enumerate(wanted or (ANYWHERE,))",
        "enumerate(sorted(wanted) or (ANYWHERE,))",
    ),
    Mutation(24, "localfly/proxy/leg.py", "replace(self.hop, missed_instance=missed)", "self.hop"),
    Mutation(
        25, "localfly/proxy/leg.py", "avoids=issuer.machine_id if replay.elsewhere else None", "avoids=None"
    ),
    Mutation(26, "localfly/proxy/header.py", 'dropped |= {b"fly-replay-src"}', 'dropped |= {b"fly-src"}'),
    Mutation(27, "localfly/proxy/leg.py", 'if leg.replay.fallback == "force_self":', "if False:"),
    Mutation(
        28,
        "localfly/proxy/machine.py",
        "if isinstance(event, h11.Response):",
        "if isinstance(event, h11.Response) and event.status_code != 500:",
    ),
    Mutation(29, "localfly/proxy/websocket.py", "self._is_leaving = True", "self._is_leaving = False"),
    Mutation(30, "localfly/proxy/machine.py", "self.writer.close()  # first", "pass  # first"),
    Mutation(
        31, "localfly/proxy/reach.py", 'start(machine, source="proxy")', 'start(machine, source="user")'
    ),
    Mutation(
        32,
        "localfly/proxy/select.py",
        'service.get("autostart") is True',
        'service.get("autostart") is not False',
    ),
    Mutation(
        33,
        "localfly/proxy/autostop.py",
        "len(machines) - (over_soft + 1) < 1",
        "len(machines) - over_soft < 1",
    ),
    Mutation(34, "localfly/proxy/load.py", "count >= candidate.hard_limit:", "count > candidate.hard_limit:"),
    Mutation(35, "localfly/proxy/select.py", "check.service in (None, at)", "check.service is None"),
    Mutation(
        36,
        "localfly/proxy/cache.py",
        "if kept.expires_at > self.clock() and not self._forgets():",
        "if not self._forgets():",
    ),
    Mutation(
        36,
        "localfly/proxy/replay.py",
        "return [name for name, value in parts.items() if value is not None]",
        "return []",
    ),
    Mutation(
        36,
        "localfly/proxy/leg.py",
        'return Leg(wanted, Hop(cache_status=b"hit"), kept.target, is_remembered=True)',
        'return Leg(wanted, Hop(cache_status=b"miss"), kept.target, is_remembered=True)',
    ),
    Mutation(
        37,
        "localfly/proxy/cache_key.py",
        "return sorted(rules, key=lambda rule: len(rule.prefix.path), reverse=True)",
        "return rules",
    ),
    Mutation(
        37,
        "localfly/proxy/cache.py",
        "yield at.app, at.port, at.host, *session",
        "yield at.app, at.port, *session",
    ),
    Mutation(
        38,
        "localfly/proxy/cache.py",
        "return self._chance is not None and self._chance.random() < FORGETS",
        "return False",
    ),
    Mutation(36, "localfly/proxy/recall.py", "if replay.uncacheable:", "if False:"),
    Mutation(
        37, "localfly/proxy/cache_key.py", "len(rule.prefix.path), reverse=True", "len(rule.prefix.path)"
    ),
    Mutation(
        38, "localfly/proxy/cache.py", "self._chance is not None and self._chance.random() < FORGETS", "False"
    ),
    Mutation(
        39,
        "localfly/proxy/direct.py",
        "return runtime.address(machine.id, door.internal_port)",
        "return None",
    ),
    Mutation(
        40,
        "localfly/proxy/steering.py",
        "regions = forced or ((*preferred, ANYWHERE) if preferred else ())",
        "regions = forced or preferred",
    ),
    Mutation(
        40,
        "localfly/proxy/exchange.py",
        "steering=asked.steering if self._choices.steers_replays else NOWHERE,",
        "steering=asked.steering,",
    ),
    Mutation(40, "localfly/proxy/steering.py", '_one(headers, b"fly-force-instance-id")', "None"),
    Mutation(41, "localfly/process.py", '"FLY_REGION": machine.region', '"FLY_REGION": "iad"'),
    Mutation(42, "localfly/journal.py", 'f"logs.{app}.{region}.', 'f"logs.proxy.{region}.'),
    Mutation(
        43,
        "localfly/proxy/door.py",
        "not ipaddress.ip_address(host).is_loopback",
        'host == "255.255.255.255"',
    ),
)
