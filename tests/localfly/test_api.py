"""The API as a whole: nothing is pretended, nobody gets in who should not, every answer has its id."""

import re
from pathlib import Path

import pytest

from localfly.api.gate import is_loopback
from localfly.api.routes import ROUTES
from tests.localfly.inprocess import TOKEN, laptop
from tests.localfly.requests import config, create_app, create_machine, said

PUBLISHED = [
    tuple(line.split(maxsplit=1))
    for line in Path(__file__).with_name("operations.txt").read_text(encoding="utf-8").splitlines()
]


def shape(method: str, path: str) -> tuple[str, str]:
    """An operation without the names of its path parameters."""
    return method, re.sub(r"\{.*?\}", "{}", path)


IMITATED = {shape(*route) for route in ROUTES}


def test_every_imitated_operation_is_a_published_one() -> None:
    assert {shape(*operation) for operation in PUBLISHED} >= IMITATED
    assert len(IMITATED) == len(ROUTES)


@pytest.mark.parametrize(
    ("method", "path"), [operation for operation in PUBLISHED if shape(*operation) not in IMITATED]
)
async def test_every_other_operation_is_a_501_that_names_it(method: str, path: str) -> None:
    async with laptop() as fly:
        await create_app(fly)
        concrete = re.sub(r"\{.*?\}", "x", path.replace("{app_name}", "alice"))
        body: dict[str, str] | None = {} if method in ("POST", "PUT", "PATCH") else None
        answer = await fly.client.request(method, concrete, json=body)

    assert said(answer) == (501, f"localfly does not imitate {method} {concrete}; see docs/localfly.md")


@pytest.mark.parametrize(
    ("method", "path"), [operation for operation in PUBLISHED if shape(*operation) in IMITATED]
)
async def test_no_imitated_operation_ignores_a_query_parameter_that_it_does_not_know(
    method: str, path: str
) -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly)
        concrete = path.replace("{app_name}", "alice").replace("{machine_id}", machine["id"])
        concrete = re.sub(r"\{.*?\}", "x", concrete.replace("{org_slug}", "acme"))
        answer = await fly.client.request(method, concrete, params={"made_up": "1"})

    assert (answer.status_code, "'made_up'" in answer.json()["error"]) == (501, True)


@pytest.mark.parametrize("path", ["/", "/v2/apps", "/apps", "/graphql", "/v1", "/v1/apps/", "/v1/apps/a/b"])
async def test_a_route_outside_the_api_is_a_404_that_is_not_json(path: str) -> None:
    async with laptop() as fly:
        answer = await fly.client.get(path)

    assert (answer.status_code, answer.text) == (404, "404 page not found")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/v1/apps?org_slug=acme", "/_localfly/world", "/"])
@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Bearer ", f"Basic {TOKEN}", TOKEN])
async def test_a_missing_or_wrong_token_is_401_everywhere(path: str, authorization: str) -> None:
    async with laptop() as fly:
        answer = await fly.client.get(path, headers={"authorization": authorization})

    assert said(answer) == (401, "Authenticate: token validation error")


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"FlyV1 {TOKEN}", f"Bearer FlyV1 {TOKEN}"])
async def test_both_schemes_of_fly_are_taken(authorization: str) -> None:
    async with laptop() as fly:
        answer = await fly.client.get("/v1/apps?org_slug=acme", headers={"authorization": authorization})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://localhost:4280"},
        {"origin": "null"},
        {"host": "evil.example"},
        {"host": "localhost.evil.example:4280"},
        {"host": "169.254.169.254"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/apps", "/_localfly/world"])
async def test_a_web_page_or_a_rebound_name_is_refused_even_with_the_token(
    path: str, headers: dict[str, str]
) -> None:
    async with laptop() as fly:
        status, text = said(await fly.client.get(path, headers=headers))

    assert status == 403
    assert text.startswith("localfly refuses this request: ")


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("localhost", True),
        ("localhost:4280", True),
        ("alice.localhost:80", True),
        ("127.0.0.1:4280", True),
        ("127.9.9.9", True),
        ("[::1]:4280", True),
        ("[::1]", True),
        ("", False),
        ("0.0.0.0:4280", False),
        ("localhost.", True),
        ("notlocalhost", False),
        ("10.0.0.1", False),
    ],
)
def test_only_names_of_this_computer_are_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_declared_as_json_is_refused(media_type: str) -> None:
    async with laptop() as fly:
        answer = await fly.client.post(
            "/v1/apps", content=b'{"name": "a", "org_slug": "acme"}', headers={"content-type": media_type}
        )
        listed = await fly.client.get("/v1/apps?org_slug=acme")

    assert answer.status_code == 415
    assert listed.json()["total_apps"] == 0


@pytest.mark.parametrize("content", [b"{", b"nonsense", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN'])
async def test_a_body_that_is_not_json_is_a_400(content: bytes) -> None:
    async with laptop() as fly:
        answer = await fly.client.post(
            "/v1/apps", content=content, headers={"content-type": "application/json"}
        )

    assert answer.status_code == 400


async def test_a_body_of_more_than_ten_megabytes_is_refused() -> None:
    async with laptop() as fly:
        answer = await fly.client.post("/v1/apps", json={"name": "a" * 10_000_000, "org_slug": "acme"})

    assert said(answer) == (413, "request body is larger than 10000000 bytes")
    assert answer.headers["connection"] == "close"


async def test_every_answer_carries_its_own_request_id() -> None:
    async with laptop() as fly:
        answers = [
            await fly.client.get("/v1/apps?org_slug=acme"),
            await fly.client.get("/v1/apps/nobody"),
            await fly.client.get("/v1/apps", headers={"authorization": ""}),
            await fly.client.get("/nowhere"),
        ]
        ids = [answer.headers["fly-request-id"] for answer in answers]
        told = (await fly.client.get("/_localfly/requests")).json()
        noted = told["requests"]
        assert sum(told["answered"].values()) == len(noted)

    assert len(set(ids)) == 4
    assert [(entry["method"], entry["path"], entry["status"]) for entry in noted] == [
        ("GET", "/v1/apps", 200),
        ("GET", "/v1/apps/nobody", 404),
        ("GET", "/v1/apps", 401),
        ("GET", "/nowhere", 404),
    ]
    assert [entry["request_id"] for entry in noted] == ids


@pytest.mark.parametrize("operation", ["start"])
async def test_an_operation_without_a_body_refuses_one(operation: str) -> None:
    async with laptop() as fly:
        await create_app(fly)
        machine = await create_machine(fly, config=config())
        path = f"/v1/apps/alice/machines/{machine['id']}/{operation}"
        answer = await fly.client.post(path, json={"force": True})

    assert answer.status_code == 400
