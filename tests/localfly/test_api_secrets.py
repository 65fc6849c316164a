"""Secrets: names and digests come out, values never."""

import pytest

from tests.localfly.inprocess import laptop
from tests.localfly.requests import create_app, said

PATH = "/v1/apps/alice/secrets"


async def test_many_are_set_and_removed_in_one_step_and_the_version_grows_once() -> None:
    async with laptop() as fly:
        await create_app(fly)
        first = (await fly.client.post(PATH, json={"values": {"A": "1", "B": "2"}})).json()
        second = (await fly.client.post(PATH, json={"values": {"A": None, "C": "3"}})).json()
        listed = (await fly.client.get(PATH)).json()["secrets"]

    assert (first["version"], first["Version"], second["version"]) == (1, 1, 2)
    assert [secret["name"] for secret in listed] == ["B", "C"]
    assert listed == second["secrets"]


async def test_removing_an_unknown_name_changes_nothing_and_tells_the_version() -> None:
    async with laptop() as fly:
        await create_app(fly)
        await fly.client.post(PATH, json={"values": {"A": "1"}})
        answer = await fly.client.post(PATH, json={"values": {"NONE": None}})

    assert answer.json()["version"] == 1


async def test_one_is_set_shown_replaced_and_removed() -> None:
    async with laptop() as fly:
        await create_app(fly)
        created = await fly.client.post(f"{PATH}/KEY", json={"value": "one"})
        shown = (await fly.client.get(f"{PATH}/KEY")).json()
        replaced = (await fly.client.post(f"{PATH}/KEY", json={"value": "two"})).json()
        removed = await fly.client.delete(f"{PATH}/KEY")
        gone = await fly.client.get(f"{PATH}/KEY")

    assert created.status_code == 201
    assert created.json() == {**shown, "version": 1, "Version": 1}
    assert set(shown) == {"name", "digest", "created_at", "updated_at"}
    assert len(shown["digest"]) == 32
    assert replaced["digest"] != shown["digest"]
    assert removed.json() == {"version": 3, "Version": 3}
    assert said(gone) == (404, "secret not found")


async def test_a_value_never_comes_back_nor_shows_in_a_repr() -> None:
    async with laptop() as fly:
        await create_app(fly)
        value = "correct-horse"
        texts = [
            (await fly.client.post(PATH, json={"values": {"KEY": value}})).text,
            (await fly.client.post(f"{PATH}/KEY", json={"value": value})).text,
            (await fly.client.get(PATH)).text,
            (await fly.client.get(f"{PATH}/KEY", params={"show_secrets": "false"})).text,
            (await fly.client.get("/_localfly/world")).text,
            (await fly.client.get("/_localfly/requests")).text,
            (await fly.client.post(PATH, json={"values": {"KEY": [value]}})).text,
            repr(fly.world.apps["alice"].secrets),
            repr(fly.world.apps["alice"]),
        ]
        asked = await fly.client.get(PATH, params={"show_secrets": "true"})

    assert not [text for text in texts if value in text]
    assert said(asked) == (403, "unauthorized")


@pytest.mark.parametrize("name", ["min_version", "version"])
async def test_a_list_that_must_be_newer_than_there_is_is_refused(name: str) -> None:
    async with laptop() as fly:
        await create_app(fly)
        await fly.client.post(PATH, json={"values": {"A": "1"}})
        answers = [await fly.client.get(PATH, params={name: version}) for version in ("1", "2")]

    assert [answer.status_code for answer in answers] == [200, 412]
