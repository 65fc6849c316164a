"""Certificates: kept and shown for what they are, and nothing is called done that no laptop can do."""

import pytest

from tests.localfly.inprocess import laptop
from tests.localfly.pem_files import made
from tests.localfly.requests import create_app, said

PATH = "/v1/apps/alice/certificates"


@pytest.fixture
def pem() -> tuple[str, str]:
    """A certificate and its key."""
    return made()


async def test_a_hostname_asked_for_stays_pending_for_nobody_issues_here() -> None:
    async with laptop() as fly:
        await create_app(fly)
        made = await fly.client.post(f"{PATH}/acme", json={"hostname": "Studio.Example.com"})
        shown = (await fly.client.get(f"{PATH}/studio.example.com")).json()
        checked = (await fly.client.post(f"{PATH}/studio.example.com/check")).json()

    assert made.status_code == 201
    assert made.json() == shown
    assert (shown["hostname"], shown["status"], shown["configured"]) == (
        "studio.example.com",
        "pending_validation",
        False,
    )
    assert shown["dns_requirements"]["cname"] == "alice.fly.dev"
    assert not any(shown["validation"].values())
    assert "asks no name server" in shown["validation_errors"][0]["message"]
    assert checked["dns_records"]["resolved_addresses"] == []


async def test_a_name_below_localhost_resolves_by_nature() -> None:
    async with laptop() as fly:
        await create_app(fly)
        await fly.client.post(f"{PATH}/acme", json={"hostname": "studio.localhost"})
        checked = (await fly.client.post(f"{PATH}/studio.localhost/check")).json()

    assert checked["validation"]["dns_configured"] is True
    assert checked["dns_records"]["a"] == ["127.0.0.1"]
    assert checked["validation_errors"] == []


async def test_an_uploaded_certificate_says_who_issued_it_and_its_key_is_never_kept(
    pem: tuple[str, str],
) -> None:
    async with laptop() as fly:
        await create_app(fly)
        body = {"hostname": "*.example.com", "fullchain": pem[0], "private_key": pem[1]}
        made = await fly.client.post(f"{PATH}/custom", json=body)
        left = (await fly.client.delete(f"{PATH}/%2A.example.com/custom")).json()
        gone = await fly.client.delete(f"{PATH}/%2A.example.com/custom")
        kept = repr(fly.world.apps["alice"])

    entry = made.json()["certificates"][0]
    assert (made.status_code, made.json()["status"]) == (201, "pending_ownership")
    assert (entry["source"], entry["issuer"]) == ("custom", "Acme")
    assert entry["expires_at"] > entry["created_at"]
    assert "PRIVATE" not in kept
    assert left["warning"] == "*.example.com has no certificate left"
    assert left["certificates"] == []
    assert gone.status_code == 404


@pytest.mark.parametrize("wrong", ["host", "key", "chain", "nonsense"])
async def test_a_certificate_that_does_not_fit_is_refused(wrong: str, pem: tuple[str, str]) -> None:
    async with laptop() as fly:
        await create_app(fly)
        body = {"hostname": "a.example.com", "fullchain": pem[0], "private_key": pem[1]}
        body |= {
            "host": {"hostname": "a.example.org"},
            "key": {"private_key": ""},
            "chain": {"fullchain": pem[1]},
            "nonsense": {"fullchain": "x", "private_key": "y"},
        }[wrong]
        refused = await fly.client.post(f"{PATH}/custom", json=body)
        listed = (await fly.client.get(PATH)).json()

    assert refused.status_code == 422
    assert said(refused)[1].startswith("Validation failed: certificate ")
    assert listed["total_count"] == 0


async def test_hostnames_are_listed_page_by_page_and_by_a_part_of_their_name() -> None:
    async with laptop() as fly:
        await create_app(fly)
        names = [f"{letter}.example.com" for letter in "cab"] + ["shop.example.org"]
        for name in names:
            await fly.client.post(f"{PATH}/acme", json={"hostname": name})
        seen, cursor = [], ""
        while True:
            params = {"limit": "2", "filter": "example.com", "cursor": cursor}
            page = (await fly.client.get(PATH, params=params)).json()
            seen += [row["hostname"] for row in page["certificates"]]
            assert page["total_count"] == 3
            if not (cursor := page["next_cursor"]):
                break

    assert seen == sorted(names[:3])


async def test_a_hostname_is_one_apps_alone_until_it_is_deleted() -> None:
    async with laptop() as fly:
        await create_app(fly)
        await create_app(fly, "bob")
        await fly.client.post(f"{PATH}/acme", json={"hostname": "a.example.com"})
        taken = await fly.client.post("/v1/apps/bob/certificates/acme", json={"hostname": "a.example.com"})
        deleted = await fly.client.delete(f"{PATH}/a.example.com")
        gone = await fly.client.get(f"{PATH}/a.example.com")
        bobs = await fly.client.post("/v1/apps/bob/certificates/acme", json={"hostname": "a.example.com"})

    assert taken.status_code == 409
    assert (deleted.status_code, gone.status_code, bobs.status_code) == (204, 404, 201)


@pytest.mark.parametrize("hostname", ["", "no dots", "localhost", "a..b", "*.*.b.c", "x" * 300 + ".com"])
async def test_what_is_no_hostname_is_refused(hostname: str) -> None:
    async with laptop() as fly:
        await create_app(fly)
        refused = await fly.client.post(f"{PATH}/acme", json={"hostname": hostname})

    assert refused.status_code == 422
