"""Clients that nobody here wrote drive localfly, unchanged: all that they offer and localfly imitates."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from localfly.api.routes import ROUTES
from tests import wire
from tests.clients import installed, report

ORG = "acme"
TOKEN = "laptop-token"
CLIENTS = installed.clients()
PROGRAM = """sh -c 'trap "" USR1; exec sleep 600'"""  # what runs in the machines: it lives through a SIGUSR1
FLAGS = (*("--fast", "--no-rate-limits", "--allow-exec"), *("--image", f"registry.fly.io/guest={PROGRAM}"))

# The package's shapes have no null; these replies have one, as Fly's do: in a volume that no machine has, in
# a certificate that is not held back. The fetch function handed to the package leaves nulls out for these.
READ_WITHOUT_NULLS = frozenset(
    (
        *("VolumesCreate", "VolumesGetById", "VolumesList", "VolumesOrgList", "VolumesExtend"),
        *("VolumesUpdate", "VolumeDelete", "AppCertificatesAcmeCreate", "AppCertificatesAcmeDelete"),
        *("AppCertificatesCheck", "AppCertificatesCustomCreate", "AppCertificatesCustomDelete"),
        "AppCertificatesShow",
    )
)


@dataclass(frozen=True, slots=True)
class Driven:
    """What a client's script told, and (method, path) of every request that localfly answered with 2xx."""

    offered: Any
    driven: frozenset[str]
    unimitated: frozenset[str]
    without_nulls: frozenset[str]
    answered: frozenset[tuple[str, str]]


@asynccontextmanager
async def localfly() -> AsyncIterator[str]:
    """The URL of a localfly of one's own."""
    env = {"LOCALFLY_TOKEN": TOKEN}
    argv = ("localfly", "--api", "127.0.0.1:0", "--org", ORG, *FLAGS)
    async with wire.started(wire.PYTHON, "-m", *argv, env=env) as program:
        await program.said("localfly ready")
        yield (await program.said(r"localfly api (http://\S+)"))[1]


async def drive(client: installed.Client) -> Driven:
    """Run a client's script to its end against a fresh localfly."""
    with installed.program(client) as argv:
        async with localfly() as url:
            env = {
                "LOCALFLY_URL": url,
                "LOCALFLY_TOKEN": TOKEN,
                "LOCALFLY_ORG": ORG,
                "FLY_FLAPS_BASE_URL": url,
            }
            done = await wire.finished(*argv, env=env, within_s=90)
            assert done.code == 0, done.err
            headers = {"authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(base_url=url, headers=headers) as asking:
                requests = (await asking.get("/_localfly/requests")).json()["requests"]
    told = json.loads(done.out.splitlines()[-1])
    return Driven(
        told["offered"],
        frozenset(told["driven"]),
        frozenset(told["unimitated"]),
        frozenset(told.get("without_nulls", ())),
        frozenset((each["method"], each["path"]) for each in requests if each["status"] < 300),
    )


def route_of(method: str, path: str) -> tuple[str, str] | None:
    """Localfly's route that a path, or a template with other names in braces, leads to."""
    asked = re.sub(r"\{\w+\}", "x", path)
    for known, template in ROUTES:
        if known == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), asked):
            return known, template
    return None


@pytest.mark.wire
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_an_independent_client_drives_all_that_it_offers_and_localfly_imitates(
    client: installed.Client, record_property: report.Record
) -> None:
    """Its script checks every result; only what localfly refuses by name is left out."""
    got = await drive(client)

    offered = {each if isinstance(each, str) else each["name"]: each for each in got.offered}
    reached = {route_of(*request) for request in got.answered}
    assert got.driven
    assert got.driven & got.unimitated == set()
    assert got.without_nulls <= READ_WITHOUT_NULLS
    assert got.driven | got.unimitated == set(offered)
    for name, operation in offered.items():
        if not isinstance(operation, str):  # the package says by itself what it asks for
            path = "/v1" + operation["path"].removeprefix("/v1")
            route = route_of(operation["method"], path)
            assert (name in got.driven) == (route is not None), name
            assert route is None or route in reached, name
    report.note(
        record_property, client.name, f"{client.name} {client.version} ({len(got.driven)} operations)"
    )
