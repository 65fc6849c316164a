"""Every success reply holds what the published contract says, of its types, and nothing else."""

from pathlib import Path

import pytest

from localfly.api.routes import ROUTES
from tests.localfly.mutate_shapes import mutate
from tests.localfly.pem_files import made
from tests.localfly.shapes import REPLIES
from tests.localfly.test_api import shape
from tests.localfly.tour import everything, localfly


def test_every_imitated_operation_has_its_shape() -> None:
    assert {shape(*operation) for operation in REPLIES} == {shape(*route) for route in ROUTES}


@pytest.mark.wire
async def test_every_reply_of_the_tour_has_its_shape_and_no_lost_field_goes_unnoticed(tmp_path: Path) -> None:
    """Each operation succeeds with its status; a reply that lacks any field that must be there is a fault."""
    certificate, key = made(tmp_path)
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
