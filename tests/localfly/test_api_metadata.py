"""Metadata: merged in place, seen at once, without a restart or a new version."""

import pytest

from tests.localfly.inprocess import laptop
from tests.localfly.requests import config, said, started_machine

PATH = "/v1/apps/alice/machines"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_put_and_patch_merge_and_null_or_empty_removes(method: str) -> None:
    async with laptop() as fly:
        machine = await started_machine(fly, config=config(metadata={"a": "1", "b": "2", "c": "3"}))
        path = f"{PATH}/{machine['id']}"
        changes = {"metadata": {"a": "9", "b": None, "c": "", "d": "4"}}
        written = await fly.client.request(method, f"{path}/metadata", json=changes)
        metadata = (await fly.client.get(f"{path}/metadata")).json()
        shown = (await fly.client.get(path)).json()
        row = (await fly.client.get("/v1/orgs/acme/machines")).json()["machines"][0]

    assert (written.status_code, written.content) == (204, b"")
    assert metadata == shown["config"]["metadata"] == row["config"]["metadata"] == {"a": "9", "d": "4"}
    assert (shown["instance_id"], shown["state"]) == (machine["instance_id"], "started")


async def test_one_key_is_set_read_and_removed() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}/metadata/team.name"
        absent = await fly.client.get(path)
        written = await fly.client.post(path, json={"value": "red"})
        read = await fly.client.get(path)
        removed = await fly.client.delete(path)
        again = await fly.client.delete(path)
        gone = await fly.client.get(path)

    answers = (absent, written, removed, again, gone)
    assert [answer.status_code for answer in answers] == [404, 204, 204, 204, 404]
    assert read.json() == {"value": "red"}


async def test_a_write_for_a_version_that_is_no_longer_current_is_refused() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        body = {"metadata": {"a": "1"}, "machine_version": machine["instance_id"]}
        current = await fly.client.patch(f"{path}/metadata", json=body)
        await fly.client.post(path, json={"config": config()})
        stale = await fly.client.patch(f"{path}/metadata", json=body)
        metadata = (await fly.client.get(f"{path}/metadata")).json()

    assert (current.status_code, stale.status_code) == (204, 412)
    assert metadata == {}


async def test_metadata_does_not_rewrite_what_was_submitted() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        path = f"{PATH}/{machine['id']}"
        await fly.client.patch(f"{path}/metadata", json={"metadata": {"a": "1"}})
        versions = (await fly.client.get(f"{path}/versions")).json()

    assert versions == [{"version": machine["instance_id"], "user_config": config()}]


async def test_values_that_are_not_text_are_refused() -> None:
    async with laptop() as fly:
        machine = await started_machine(fly)
        answer = await fly.client.patch(f"{PATH}/{machine['id']}/metadata", json={"metadata": {"a": 1}})

    assert answer.status_code == 400
    assert "metadata.a" in said(answer)[1]
