"""Ways in which Fly's answers look empty, small or foreign: about who has a document, and who has none."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from localfly.consistency import Lag
from localfly.faults import Fault
from tests.deletion.scene import HOUR_S, NAMES, Happens, Scene, Way, changes, scene, stays

Distort = Callable[[httpx.Request, httpx.Response, Any], Any]
ORG = "/v1/orgs/acme/machines"
APP = "/v1/apps/acme-alice"


def distorting(distort: Distort) -> Happens:
    """Answers are changed from now on."""

    async def happens(at: Scene) -> None:
        at.on.line.distort = distort

    return happens


def refusing(status: int, **answer: Any) -> Callable[[str], Happens]:
    """Every call whose path has these words is answered so."""

    def of(words: str) -> Happens:
        async def happens(at: Scene) -> None:
            at.on.line.refuse = lambda request: (
                httpx.Response(status, **answer) if words in request.url.path else None
            )

        return happens

    return of


def gone(happens: Happens) -> Happens:
    """Alice's document goes as well."""

    async def both(at: Scene) -> None:
        await happens(at)
        at.save(users__alice=None)

    return both


def no_apps(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    return {"apps": [], "total_apps": 0} if request.url.path == "/v1/apps" else body


def no_org_machines(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    return {**body, "machines": []} if request.url.path == ORG else body


def nothing_listed(request: httpx.Request, answer: httpx.Response, body: Any) -> Any:
    return no_apps(request, answer, no_org_machines(request, answer, body))


def no_machines(request: httpx.Request, answer: httpx.Response, body: Any) -> Any:
    body = no_org_machines(request, answer, body)
    is_its = request.url.path.startswith("/v1/apps/") and request.url.path.endswith("/machines")
    return [] if is_its and request.method == "GET" else body


def no_volumes(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    return [] if request.method == "GET" and request.url.path.endswith("/volumes") else body


def nothing_inside(request: httpx.Request, answer: httpx.Response, body: Any) -> Any:
    return no_volumes(request, answer, no_machines(request, answer, body))


def others_only(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    if request.url.path == ORG:
        return {**body, "machines": [row for row in body["machines"] if row["app_name"] != "acme-alice"]}
    return body


def silent_region(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    return {**body, "machines": [], "error_regions": ["iad"]} if request.url.path == ORG else body


def repeating_cursor(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    return {**body, "machines": [], "next_cursor": "again"} if request.url.path == ORG else body


def unreachable(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    if request.method == "GET" and request.url.path == f"{APP}/machines":
        return [{**each, "host_status": "unreachable", "config": None} for each in body]
    return body


def another_network(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    if request.method == "GET" and request.url.path == APP:
        return {**body, "network": "default"}
    if request.method == "GET" and request.url.path == f"{APP}/secrets":
        return {**body, "secrets": [each for each in body["secrets"] if "OWNER" not in each["name"]]}
    return body


def another_org(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
    if request.method == "GET" and request.url.path == APP:
        return {**body, "organization": {**body["organization"], "slug": "rivals"}}
    return body


async def a_page_fails(at: Scene) -> None:
    """The first page comes, short, and the one after it never does."""

    def cut(request: httpx.Request, _answer: httpx.Response, body: Any) -> Any:
        if request.url.path == ORG and "cursor" not in request.url.params:
            return {**body, "machines": body["machines"][:1], "next_cursor": "next"}
        return body

    at.on.line.distort = cut
    at.on.line.refuse = lambda request: (
        httpx.Response(500, json={"error": "internal"}) if "cursor" in request.url.params else None
    )


async def empty_pages(at: Scene) -> None:
    at.on.fly.troubles.consistency.lag = Lag(empty_pages=0.5, seed=3)


async def lists_lag(at: Scene) -> None:
    at.on.fly.troubles.consistency.lag = Lag(hidden_s=20, late_s=60, hides_apps_as_401=True)


async def regions_come_and_go(at: Scene) -> None:
    at.on.fly.troubles.consistency.lag = Lag(error_regions=("iad",), errs=0.5, seed=5)


async def now_and_then_an_error(at: Scene) -> None:
    at.on.fly.troubles.faults.add(Fault("internal", probability=0.5))


async def connections_end(at: Scene) -> None:
    def cut(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ReadError("connection reset", request=request)

    at.on.line.refuse = cut


async def line_is_cut(at: Scene) -> None:
    at.on.line.is_cut = True


JSON = {"content-type": "application/json"}
PAGE = refusing(200, text="<html>welcome</html>", headers={"content-type": "text/html"})
NULL = refusing(200, text="null", headers=JSON)
OBJECT = refusing(200, json={}, headers=JSON)

WANTED = [
    Way("apps-empty", "The organisation's list of apps is empty.", distorting(no_apps)),
    Way("org-machines-empty", "The organisation's list of machines is empty.", distorting(no_org_machines)),
    Way("both-empty", "Both are empty.", distorting(nothing_listed)),
    Way("page-fails", "The second page never comes.", a_page_fails),
    Way("empty-pages", "Pages are empty though more follow.", empty_pages),
    Way("cursor-repeats", "The list never ends.", distorting(repeating_cursor)),
    Way("region-silent", "A region says nothing about its machines.", distorting(silent_region)),
    Way("regions-come-and-go", "A region says nothing now and then.", regions_come_and_go),
    Way("lists-lag", "What was made a minute ago is not listed.", lists_lag),
    Way("500-everywhere", "Every call fails.", refusing(500, json={"error": "internal"})("/v1")),
    Way("500-now-and-then", "Half of all calls fail.", now_and_then_an_error),
    Way("403-on-one", "One app may not be read.", refusing(403, json={"error": "unauthorized"})(APP)),
    Way("404-on-one", "One app is said not to be there.", refusing(404, json={"error": "no"})(f"{APP}/")),
    Way("401", "The token has run out.", refusing(401, json={"error": "token"})("/v1")),
    Way("429", "Fly wants to be asked less.", refusing(429, json={"error": "rate limit"})("/v1")),
    Way("page-instead", "Something in between answers with a page.", PAGE("/v1")),
    Way("null-instead", "Every answer is null.", NULL("/v1")),
    Way("object-instead", "Every answer is an empty object.", OBJECT("/v1")),
    Way("reset", "Connections end without an answer.", connections_end),
    Way("cut", "Nothing gets through.", line_is_cut),
    Way("volumes-empty", "Lists of volumes are empty.", distorting(no_volumes)),
    Way("machines-empty", "Lists of machines are empty.", distorting(no_machines)),
    Way("inside-empty", "Everything that lists is empty.", distorting(nothing_inside)),
]


@pytest.mark.parametrize("way", WANTED, ids=str)
async def test_whoever_has_a_document_is_not_deleted_when(way: Way) -> None:
    """Fly seems to hold less than it does: nothing goes, and nobody's data is replaced by an empty volume."""
    async with scene() as at:
        await stays(at, way, for_s=HOUR_S / 2)


LEAVING = [
    Way("apps-empty", "The organisation's list of apps is empty.", distorting(no_apps)),
    Way(
        "rows-lack-her",
        "The organisation's list lacks her machine; her own does too.",
        distorting(no_machines),
        "Unlisted",
    ),
    Way("machines-empty", "Every list of machines is empty.", distorting(no_machines), "Unlisted"),
    Way("volumes-empty", "Every list of volumes is empty.", distorting(no_volumes), "Unlisted"),
    Way("inside-empty", "Everything that lists is empty.", distorting(nothing_inside), "Unlisted"),
    Way(
        "region-silent",
        "A region says nothing about its machines.",
        distorting(silent_region),
        "RegionsSilent",
    ),
    Way("page-fails", "The second page never comes.", a_page_fails),
    Way("cursor-repeats", "The list never ends.", distorting(repeating_cursor)),
    Way("host-unreachable", "Her host does not answer.", distorting(unreachable), "HostUnreachable"),
    Way(
        "other-network",
        "Read by itself her app is on another network.",
        distorting(another_network),
        "NotProven",
    ),
    Way(
        "other-org", "Read by itself her app is another organisation's.", distorting(another_org), "NotProven"
    ),
    Way(
        "403-on-app",
        "Her app may not be read.",
        refusing(403, json={"error": "unauthorized"})(APP),
        "NotProven",
    ),
    Way(
        "403-inside",
        "What is in it may not be read.",
        refusing(403, json={"error": "unauthorized"})(f"{APP}/"),
    ),
    Way(
        "500-machines",
        "Her machines cannot be read.",
        refusing(500, json={"error": "internal"})(f"{APP}/machines"),
    ),
    Way(
        "404-machines",
        "Her machines are said not to be there.",
        refusing(404, json={"error": "no"})(f"{APP}/machines"),
    ),
    Way(
        "500-volumes",
        "Her volumes cannot be read.",
        refusing(500, json={"error": "internal"})(f"{APP}/volumes"),
    ),
    Way(
        "404-volumes",
        "Her volumes are said not to be there.",
        refusing(404, json={"error": "no"})(f"{APP}/volumes"),
    ),
    Way(
        "500-secrets",
        "Her labels cannot be read.",
        refusing(500, json={"error": "internal"})(f"{APP}/secrets"),
    ),
    Way(
        "404-secrets",
        "Her labels are said not to be there.",
        refusing(404, json={"error": "no"})(f"{APP}/secrets"),
    ),
    Way(
        "500-addresses",
        "Her addresses cannot be read.",
        refusing(500, json={"error": "internal"})(f"{APP}/ip"),
    ),
    Way("page-inside", "Something in between answers for her app.", PAGE(f"{APP}/")),
    Way("null-inside", "Answers about her app are null.", NULL(f"{APP}/")),
    Way("object-inside", "Answers about her app are empty objects.", OBJECT(f"{APP}/")),
    Way("cut", "Nothing gets through.", line_is_cut),
]


@pytest.mark.parametrize("way", LEAVING, ids=str)
async def test_whoever_has_none_is_kept_whole_when(way: Way) -> None:
    """Her document is gone and every approval given: one call answered badly keeps all of hers."""
    async with scene() as at:
        at.on.fly.journal.requests.clear()
        told = Way(way.name, way.sentence, gone(way.happens), way.proof)
        await stays(at, told, for_s=HOUR_S / 2)
        assert changes(at.on) == []


async def test_a_lost_host_keeps_app_machine_and_volume_until_it_is_back() -> None:
    """Then all of it goes."""
    async with scene() as at:
        at.on.line.distort = unreachable
        at.save(users__alice=None)
        await asyncio.sleep(HOUR_S)
        assert at.on.shape["acme-alice"] == (1, 1)
        at.on.line.distort = lambda _request, _answer, body: body
        await at.run.until(lambda: "acme-alice" not in at.on.shape, within_s=900)
        assert [f"acme-{name}" for name in NAMES[1:]] == list(at.on.shape)
