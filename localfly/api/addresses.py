"""The addresses an app is reached at: allocate, list, release (contract §12).

Answers for types, the rules of flycast networks and the forms of addresses. What is reachable on this laptop
is decided by doors alone; addresses from here are of ranges kept for documentation and tests.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from starlette.responses import Response

from localfly.api.answer import empty, ok
from localfly.api.call import UNIMITATED, Body, Call
from localfly.moment import rfc3339
from localfly.refusal import Invalid, NotFound, NotImitated, Refusal
from localfly.region import REGIONS
from localfly.world import DEFAULT_NETWORK, Address, App, Org

GLOBAL = "global"
SHARED_V4 = "203.0.113.1"  # of the range for documentation; one address for every app that has it
_V4 = ipaddress.ip_network("198.18.0.0/15")  # the range for tests between networks
_V6 = ipaddress.ip_network("2001:db8::/32")  # the range for documentation


class SharedAlready(Refusal):
    """409: an app has the shared address once; the text is not established."""

    http_status = 409

    def __init__(self, app: str) -> None:
        super().__init__(f"already_exists: app {app} has the shared IPv4 address already")


class AllocateAddress(Body):
    """`network` and `org_slug` name the network from which callers come, for `private_v6` alone."""

    type: Literal["v4", "v6", "shared_v4", "private_v6", "egress_v4", "egress_v6", "egress_pair"]
    region: str | None = None
    org_slug: str | None = None
    network: str | None = None
    service_name: Annotated[Any, UNIMITATED] = None


async def list_addresses(call: Call) -> Response:
    """The addresses of an app: the doors that lead to it, and those that were asked for."""
    call.query()
    return ok({"ips": [address_json(address) for address in call.app().addresses]})


async def allocate(call: Call) -> Response:
    """A new address with every call; only the shared one is there once."""
    call.query()
    asked = await call.body(AllocateAddress)
    app = call.lasting_app()
    if asked.type.startswith("egress"):
        raise NotImitated(f"addresses of type '{asked.type}': machines reach out as this laptop does")
    where = asked.region or GLOBAL
    if where not in (GLOBAL, *REGIONS):
        raise Invalid(f"invalid field 'region': unknown region {where!r}")
    if asked.type == "private_v6":
        address = _flycast(call, app, asked)
    else:
        if asked.org_slug or asked.network:
            raise Invalid(f"invalid field 'type': {asked.type} takes neither org_slug nor network")
        address = _public(call, app, asked.type)
    address = replace(address, region=where)
    app.addresses = [*app.addresses, address]
    return ok(address_json(address))


async def release(call: Call) -> Response:
    """Give an address back; a door of localfly stays."""
    call.query()
    app = call.app()
    found = next((one for one in app.addresses if one.ip == _plain(call.named("ip"))), None)
    if found is None:
        raise NotFound("ip address not found")
    if found.is_door:
        raise NotImitated(f"releasing {found.ip}: it is a door, opened by --listen")
    app.addresses = [one for one in app.addresses if one is not found]
    return empty(204)


def address_json(address: Address) -> dict[str, Any]:
    """The IPAssignment object; `network` has an empty name for an organisation's default network."""
    return {
        "ip": address.ip,
        "region": address.region,
        "service_name": "",
        "shared": address.is_shared,
        "egress": False,
        "created_at": rfc3339(address.created_at),
        "network": _network_json(address),
    }


def _network_json(address: Address) -> Mapping[str, str] | None:
    if address.network is None or address.org is None:
        return None
    return {
        "name": "" if address.network == DEFAULT_NETWORK else address.network,
        "org_slug": address.org,
    }


def _flycast(call: Call, app: App, asked: AllocateAddress) -> Address:
    """In the network named, which does not default to the app's own, but to the organisation's default."""
    org: Org = call.org(asked.org_slug) if asked.org_slug else app.org
    network = asked.network or DEFAULT_NETWORK
    if network not in org.networks:
        raise Invalid("network not found")
    number = org.networks[network]
    last = call.world.ids.number(2**32)
    ip = f"fdaa:{number >> 16:x}:{number & 0xFFFF:x}:0:1:0:{last >> 16:x}:{last & 0xFFFF:x}"
    return Address(
        ip=str(ipaddress.ip_address(ip)),
        region=GLOBAL,
        is_shared=False,
        created_at=call.world.clock(),
        network=network,
        org=org.slug,
    )


def _public(call: Call, app: App, kind: str) -> Address:
    if kind == "shared_v4":
        if any(one.is_shared for one in app.addresses):
            raise SharedAlready(app.name)
        return Address(SHARED_V4, GLOBAL, is_shared=True, created_at=call.world.clock())
    taken = {one.ip for other in call.world.apps.values() for one in other.addresses}
    block = _V4 if kind == "v4" else _V6
    while (ip := str(block[1 + call.world.ids.number(block.num_addresses - 2)])) in taken:
        pass
    return Address(ip, GLOBAL, is_shared=False, created_at=call.world.clock())


def _plain(ip: str) -> str:
    try:
        return str(ipaddress.ip_address(ip))
    except ValueError:
        raise Invalid(f"invalid path parameter 'ip': {ip[:60]!r} is not an address") from None
