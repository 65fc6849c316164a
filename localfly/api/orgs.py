"""The two lists over a whole organisation: machines and volumes, page by page (contract §14).

Answers for cursors, `updated_after` and filters. Rows come oldest change first.
"""

import base64
import binascii
import bisect
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import Call, flag, parsed, whole_number
from localfly.api.volume_json import volume_json, volume_state
from localfly.consistency import Consistency
from localfly.moment import parse_rfc3339, rfc3339
from localfly.refusal import Invalid
from localfly.world import Machine, Org, Volume

LONGEST_PAGE = 1000
_CONFIG_SHOWN = ("image", "guest", "metadata")
_QUERY = ("include_deleted", "region", "state", "updated_after", "cursor", "limit")

Row = TypeVar("Row", Machine, Volume)
Position = tuple[float, str]


async def list_machines(call: Call) -> Response:
    """A page of all machines: little per row, and `version` for `instance_id`."""
    query = call.query(*_QUERY, "summary")
    org = call.org(call.named("org_slug"))
    states = _states(query)
    show_destroyed = flag(query, "include_deleted") or (states is not None and "destroyed" in states)
    late, silent = call.consistency, call.consistency.missing_regions()
    rows = (
        machine
        for machine in _from_cursor(org, query)
        if (show_destroyed or machine.state != "destroyed" or late.lists_gone(machine))
        and late.lists(machine)
        and machine.region not in silent
        and query.get("region", machine.region) == machine.region
        and (states is None or machine.state in states)
    )
    page, cursor = _page(rows, query, late)
    is_summary = flag(query, "summary")
    reply: dict[str, Any] = {
        "machines": [
            _machine_row(machine, is_summary=is_summary)
            | ({"state": "destroying"} if late.lists_gone(machine) else {})
            for machine in page
        ],
        "error_regions": list(silent),
        "last_machine_id": page[-1].id if page else "",
        "last_updated_at": rfc3339(page[-1].updated_at) if page else "",
    }
    return ok(reply | cursor)


async def list_volumes(call: Call) -> Response:
    """A page of all volumes."""
    query = call.query(*_QUERY, "summary")
    org = call.org(call.named("org_slug"))
    states = _states(query)
    late = call.consistency
    rows = [
        volume
        for app in call.world.apps.values()
        if app.org is org
        for volume in app.volumes.values()
        if (flag(query, "include_deleted") or volume.deleted_at is None or late.lists_deleted(volume))
        and late.lists(volume)
        and query.get("region", volume.region) == volume.region
        and (states is None or volume_state(volume, call.lifecycle) in states)
    ]
    page, cursor = _page(sorted(rows, key=_position), query, late)
    is_summary = flag(query, "summary")
    reply: dict[str, Any] = {
        "volumes": [
            _volume_row(volume, call, is_summary=is_summary)
            | ({"state": "created"} if late.lists_deleted(volume) else {})
            for volume in page
        ],
        "last_volume_id": page[-1].id if page else "",
        "last_updated_at": rfc3339(page[-1].updated_at) if page else "",
    }
    return ok(reply | cursor)


def _from_cursor(org: Org, query: Mapping[str, str]) -> Iterable[Machine]:
    """Its machines, without most of those before the cursor: a late page costs no more than an early one."""
    known = list(org.machines.values())
    start = parsed(query, "cursor", _cursor, default=None)
    begin = 0 if start is None else bisect.bisect_left(known, start.position[0], key=attrgetter("change"))
    return itertools.islice(known, begin, None)


def _page(
    rows: Iterable[Row], query: Mapping[str, str], late: Consistency
) -> tuple[list[Row], dict[str, str]]:
    """Rows after the cursor (or the moment) up to the limit, and the cursor of the next page, if any.

    Where answers lag a page may be empty although rows follow; its cursor leads to one that is not.
    """
    limit = whole_number(query, "limit", default=LONGEST_PAGE)
    if not 1 <= limit <= LONGEST_PAGE:
        raise Invalid(f"invalid query parameter 'limit': must be inside range [1, {LONGEST_PAGE}]")
    after = parsed(query, "updated_after", parse_rfc3339, default=0.0)
    start = parsed(query, "cursor", _cursor, default=None)
    page: list[Row] = []
    more: dict[str, str] = {}
    for row in rows:
        if row.updated_at <= after if start is None else not start.is_before(_position(row)):
            continue
        if len(page) == limit:
            more = {"next_cursor": Cursor(_position(page[-1])).text()}
            break
        page.append(row)
    is_second_try = start is not None and start.has_row
    if page and not is_second_try and late.is_page_empty():
        return [], {"next_cursor": Cursor(_position(page[0]), has_row=True).text()}
    return page, more


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after a position, or with `has_row` at it."""

    position: Position
    has_row: bool = False

    def is_before(self, position: Position) -> bool:
        """Whether a row there belongs to the page or one that follows."""
        return position > self.position or (self.has_row and position == self.position)

    def text(self) -> str:
        """As the API hands it out."""
        at, row = self.position
        return base64.urlsafe_b64encode(f"{at!r} {row} {self.has_row:d}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """A cursor that the API handed out; ValueError for anything else."""
        try:
            words = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(" ")
        except (binascii.Error, UnicodeError) as error:
            raise ValueError(text) from error
        at, row, has_row = words
        return cls((float(at), row), has_row == "1")


def _cursor(text: str) -> Cursor | None:
    return Cursor.read(text)


def _position(row: Machine | Volume) -> Position:
    """Where it stands in its list; machines are kept in this order already, volumes are sorted."""
    return (row.change, "") if isinstance(row, Machine) else (row.updated_at, row.id)


def _states(query: Mapping[str, str]) -> frozenset[str] | None:
    return frozenset(query["state"].split(",")) if query.get("state") else None


def _machine_row(machine: Machine, *, is_summary: bool) -> dict[str, Any]:
    row = {
        "id": machine.id,
        "app_name": machine.app.name,
        "name": machine.name,
        "state": machine.state,
        "region": machine.region,
        "version": machine.instance_id,
        "private_ip": machine.private_ip,
        "created_at": rfc3339(machine.created_at),
        "updated_at": rfc3339(machine.updated_at),
    }
    if is_summary:
        return row
    return row | {"config": {name: machine.config.get(name) or {} for name in _CONFIG_SHOWN}}


def _volume_row(volume: Volume, call: Call, *, is_summary: bool) -> dict[str, Any]:
    row = volume_json(volume, call.lifecycle, is_summary=is_summary)
    return row | {"app_name": volume.app_name, "updated_at": rfc3339(volume.updated_at)}
