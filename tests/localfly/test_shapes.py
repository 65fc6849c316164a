"""Every success reply holds what the published contract says, of its types, and nothing else."""

import pytest

from localfly.api.routes import ROUTES
from tests.localfly.inprocess import laptop
from tests.localfly.mutate_shapes import mutate
from tests.localfly.pem_files import made
from tests.localfly.requests import config, started_machine
from tests.localfly.shape import Many
from tests.localfly.shapes import LOST_MACHINE, MACHINE, ORG_MACHINE, REPLIES, SUMMARY
from tests.localfly.test_api import shape
from tests.localfly.tour import everything, localfly


def test_every_imitated_operation_has_its_shape() -> None:
    assert {shape(*operation) for operation in REPLIES} == {shape(*route) for route in ROUTES}


async def test_summaries_and_a_machine_on_a_lost_host_have_shapes_of_their_own() -> None:
    async with laptop() as fly:
        check = {"type": "tcp", "port": 80, "interval": "1s", "grace_period": "0s"}
        machine = await started_machine(fly, config=config(checks={"up": check}))
        await fly.world.clock.sleep(5)
        path = f"/v1/apps/alice/machines/{machine['id']}"
        checked = (await fly.client.get(path)).json()
        rows = (await fly.client.get("/v1/apps/alice/machines?summary=true")).json()
        page = (await fly.client.get("/v1/orgs/acme/machines?summary=true")).json()["machines"]
        lost = {"machines": {machine["id"]: {"host_status": "unreachable"}}}
        await fly.client.patch("/_localfly/world", json=lost)
        shown = (await fly.client.get(path)).json()

    assert [one["name"] for one in checked["checks"]] == ["up"]
    assert list(MACHINE.faults(checked)) == []
    assert list(Many(SUMMARY, least=1).faults(rows)) == []
    assert list(Many(ORG_MACHINE.without("config"), least=1).faults(page)) == []
    assert list(LOST_MACHINE.faults(shown)) == []


@pytest.mark.wire
async def test_every_reply_of_the_tour_has_its_shape_and_no_lost_field_goes_unnoticed() -> None:
    """Each operation succeeds with its status; a reply that lacks any field that must be there is a fault."""
    certificate, key = made()
    async with localfly() as api:
        replies = await everything(api, certificate=certificate, key=key)
    assert {reply.operation for reply in replies} == set(REPLIES)
    wrong = []
    demanding = {reply.operation: False for reply in replies}
    for reply in replies:
        status, kind = REPLIES[reply.operation]
        if reply.status != status:
            wrong.append(f"{reply.operation}: {reply.status}")
        if kind is None:
            if reply.content is not None:
                wrong.append(f"{reply.operation}: has a body")
            continue
        found = list(kind.faults(reply.content))
        wrong += [f"{' '.join(reply.operation)}: {fault}" for fault in found]
        demanding[reply.operation] = True
    assert wrong == []
    count = mutate(replies)
    assert set(count.noticed) == {operation for operation, has_body in demanding.items() if has_body}
    assert set(count.noticed) | count.without_body == set(REPLIES)
