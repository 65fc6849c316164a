"""Every failure of the Machines API that is known (contract §2.2), by a name that a fault can ask for.

Answers for status and literal text; `{app_name}`, `{machine_id}`, `{volume_id}`, `{name}`, `{org}` and
`{region}` in it are the request's. When one happens is `faults`'.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Form = Literal["error", "message", "html", "empty"]  # `message`: some replies have that in place of `error`


@dataclass(frozen=True, slots=True)
class Mishap:
    """An answer that is no success; `code` goes into `status`."""

    http_status: int
    text: str
    code: str | None = None
    form: Form = "error"

    def words(self, about: Mapping[str, str]) -> str:
        """Its text for a request."""
        return self.text.format_map(_Named(about))


class _Named(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"unknown-{name}"


_HOST = (
    "aborted: could not reserve resource for machine: "
    "insufficient {} available to fulfill request on the current host"
)
_PLACED = "aborted: insufficient {} available to fulfill request"
_START = "failed_precondition: "

MISHAPS: Mapping[str, Mishap] = MappingProxyType(
    {
        "invalid": Mishap(400, "invalid_argument: invalid request"),
        "network_not_found": Mishap(400, "network not found"),
        "volume_no_capacity_400": Mishap(400, "no capacity"),
        "token_expired": Mishap(401, "Authenticate: token validation error"),
        "unauthorized": Mishap(403, "unauthorized"),
        "memory_quota": Mishap(
            403,
            'organization "{org}" is using 65536 MB of memory in {region} which is over the allowed quota. '
            "please consider other regions",
        ),
        "app_not_found": Mishap(404, "app not found"),
        "machine_not_found": Mishap(404, "not_found: machine not found"),
        "volume_not_found": Mishap(404, "volume not found"),
        "lease_not_found": Mishap(404, "lease not found"),
        "deadline_exceeded": Mishap(408, "deadline_exceeded: the host did not answer in time"),
        "wait_expired": Mishap(
            408,
            "deadline_exceeded: machine failed to reach desired state, started, currently starting",
        ),
        "lease_held": Mishap(
            409,
            "aborted: machine ID {machine_id} lease currently held by somebody@tokens.fly.io, "
            "expires at 2099-01-01T00:00:00Z",
        ),
        "name_held": Mishap(
            409,
            "already_exists: unique machine name violation, "
            'machine ID {machine_id} already exists with name "{name}"',
        ),
        "concurrent_update": Mishap(409, "aborted: machine update failed due to concurrent update"),
        "host_cpus": Mishap(409, _HOST.format("CPUs")),
        "host_memory": Mishap(409, _HOST.format("memory")),
        "placement_resources": Mishap(409, _PLACED.format("resources")),
        "placement_ips": Mishap(409, _PLACED.format("IPs")),
        "volume_no_capacity": Mishap(409, "aborted: no capacity"),
        "volume_placement_capacity": Mishap(
            412,
            "insufficient resources to create new machine with existing volume id '{volume_id}'",
            "volume_placement_capacity",
        ),
        "volume_claimed": Mishap(412, "failed_precondition: volume already claimed by machine {machine_id}"),
        "volume_bound": Mishap(
            412, "failed_precondition: volume is currently bound to machine: {machine_id}"
        ),
        "start_from_created": Mishap(412, f"{_START}unable to start machine from current state: 'created'"),
        "start_while_replaced": Mishap(412, f"{_START}machine getting replaced, refusing to start"),
        "start_while_active": Mishap(412, f"{_START}machine still active, refusing to start"),
        "destroy_while_running": Mishap(
            412,
            "failed_precondition: unable to destroy machine, "
            "not currently stopped, suspended, failed or created",
        ),
        "exec_not_running": Mishap(412, "failed_precondition: machine not running"),
        "exec_eof": Mishap(412, "exec request failed: EOF"),
        "snapshot_scheduled": Mishap(
            412, "failed_precondition: snapshot is already scheduled at 2099-01-01T00:00:00Z"
        ),
        "metadata_stale": Mishap(412, "failed_precondition: machine version is not the current one"),
        "name_taken": Mishap(422, "Validation failed: Name has already been taken", "name_taken"),
        "name_race": Mishap(422, "uniqueness constraint violated"),
        "insufficient_capacity": Mishap(422, "could not find a candidate host", "insufficient_capacity"),
        "payment_required": Mishap(422, "please add a payment method to create more machines"),
        "rate_limit": Mishap(429, "rate limit exceeded"),
        "internal": Mishap(500, "internal: something went wrong"),
        "unknown": Mishap(500, "unknown: something went wrong", "unknown"),
        "bad_gateway": Mishap(502, "Bad Gateway", form="html"),
        "unavailable": Mishap(503, "unavailable: service is unavailable"),
        "host_disabled": Mishap(
            503, "unavailable: deploys to this host are temporarily disabled, please try again later"
        ),
        "gateway_timeout": Mishap(504, "", form="empty"),
    }
)
LOST = "lost"  # no answer at all: the connection ends
