"""What every success reply of the Machines API must hold: fields, types, nothing else, per operation.

Written from the published contract's text and not from our code: localfly is the accused here. A field is
either demanded or may be missing; every other one is a fault, and so is a null where none is published.
"""

from collections.abc import Mapping

from tests.localfly.shape import Either, Kind, Many, Null, Plain, Table, Thing

TEXT = Plain(str)
NAME = Plain(str, may_be_empty=False)
TEXT_OR_NULL = Plain(str, may_be_null=True)
WHOLE = Plain(int)
WHOLE_OR_NULL = Plain(int, may_be_null=True)
NUMBER = Plain(float)
FLAG = Plain(bool)
MOMENT = Plain(str, pattern=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")  # RFC 3339, UTC
MOMENT_OR_NULL = Plain(str, pattern=MOMENT.pattern, may_be_null=True)
MS = Plain(int)  # unix milliseconds
DURATION = Plain(str, pattern=r"([0-9.]+(ns|µs|ms|s|m|h))+")  # always text on output
ULID = Plain(str, pattern=r"[0-9A-HJKMNP-TV-Z]{26}")
PRIVATE_IP = Plain(str, pattern=r"fdaa:[0-9a-f:]+")
TEXTS = Many(TEXT)
OK = Thing({"ok": FLAG})

# §3
APP = Thing(
    {
        "id": NAME,
        "name": NAME,
        "internal_numeric_id": WHOLE,
        "status": Plain(str, pattern="pending|deployed|suspended"),
        "network": NAME,
        "network_cidr": Plain(str, pattern=r"fdaa:[0-9a-f:]+/\d+"),
        "machine_count": WHOLE,
        "volume_count": WHOLE,
        "organization": Thing({"name": NAME, "slug": NAME, "internal_numeric_id": WHOLE}),
    },
    {"cname_target": TEXT, "app_role": TEXT},
)

# §9
GUEST = Thing(
    {"cpu_kind": Plain(str, pattern="shared|performance"), "cpus": WHOLE, "memory_mb": WHOLE},
    {"max_memory_mb": WHOLE, "gpus": WHOLE, "gpu_kind": TEXT, "host_dedication_id": TEXT},
)
HEADERS = Many(Thing({"name": NAME, "values": TEXTS}))
SERVICE_CHECK = Thing(
    {"type": Plain(str, pattern="tcp|http")},
    {
        "port": WHOLE,
        "interval": DURATION,
        "timeout": DURATION,
        "grace_period": DURATION,
        "method": TEXT,
        "path": TEXT,
        "protocol": TEXT,
        "tls_server_name": TEXT,
        "tls_skip_verify": FLAG,
        "headers": HEADERS,
    },
)
CHECK = Thing({**SERVICE_CHECK.must, "port": WHOLE}, {**SERVICE_CHECK.may, "kind": TEXT})
REPLAY_CACHE = Thing(
    {"ttl_seconds": WHOLE, "type": TEXT, "name": NAME}, {"path_prefix": TEXT, "allow_bypass": FLAG}
)
PORT = Thing(
    {},
    {
        "port": WHOLE,
        "start_port": WHOLE,
        "end_port": WHOLE,
        "handlers": TEXTS,
        "force_https": FLAG,
        "http_options": Thing({}, {"replay_cache": Many(REPLAY_CACHE), "response": Table(Table(TEXT))}),
    },
)
SERVICE = Thing(
    {"protocol": Plain(str, pattern="tcp|udp"), "internal_port": WHOLE},
    {
        "ports": Many(PORT),
        "checks": Many(SERVICE_CHECK),
        "concurrency": Thing({}, {"type": TEXT, "soft_limit": WHOLE, "hard_limit": WHOLE}),
        "autostart": FLAG,
        "autostop": Either((FLAG, Plain(str, pattern="suspend"))),  # output: booleans, or this text
        "min_machines_running": WHOLE,
        "force_instance_key": TEXT_OR_NULL,
        "force_instance_description": TEXT,
    },
)
CONFIG = Thing(
    {"image": NAME, "guest": GUEST, "init": Thing({}), "dns": Thing({})},
    {
        "env": Table(TEXT),
        "services": Many(SERVICE),
        "checks": Table(CHECK),
        "metadata": Table(TEXT),
        "mounts": Many(
            Thing(
                {"volume": NAME, "path": NAME},
                {"name": TEXT, "encrypted": FLAG, "size_gb": WHOLE},
            )
        ),
        "restart": Thing({}, {"policy": TEXT, "max_retries": WHOLE}),
        "stop_config": Thing({}, {"signal": TEXT, "timeout": DURATION}),
        "auto_destroy": FLAG,
        "schedule": TEXT,
        "standbys": TEXTS,
        "size": TEXT,
    },
)

# §4
EVENT = Thing(
    {
        "id": NAME,
        "type": NAME,
        "status": NAME,
        "source": Plain(str, pattern="user|flyd|proxy"),
        "timestamp": MS,
    },
    {
        "request": Thing(
            {},
            {
                "exit_event": Thing(
                    {
                        "exit_code": WHOLE,
                        "guest_exit_code": WHOLE,
                        "signal": WHOLE,
                        "guest_signal": WHOLE,
                        "oom_killed": FLAG,
                        "requested_stop": FLAG,
                        "restarting": FLAG,
                        "exited_at": MOMENT,
                    }
                ),
                "restart_count": WHOLE,
            },
        )
    },
)
IMAGE_REF = Thing(
    {"registry": TEXT, "repository": TEXT, "tag": TEXT, "digest": TEXT}, {"labels": Table(TEXT)}
)
STATE = Plain(
    str,
    pattern="created|creating|starting|started|stopping|stopped|suspending|suspended|restarting|updating|"
    "replacing|destroying|destroyed|failed|launch_failed",
)
STRIPPED_LEASE = Thing({"owner": NAME, "description": TEXT, "expires_at": WHOLE})
SUMMARY = Thing(
    {
        "id": Plain(str, pattern="[0-9a-f]{14}"),
        "name": NAME,
        "state": STATE,
        "region": Plain(str, pattern="[a-z]{3}"),
        "instance_id": ULID,
        "private_ip": PRIVATE_IP,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "image_ref": IMAGE_REF,
        "cordoned": FLAG,
    },
)
MACHINE = Thing(
    {
        **SUMMARY.must,
        "config": CONFIG,
        "events": Many(EVENT, least=1),
        "checks": Many(
            Thing(
                {
                    "name": NAME,
                    "status": Plain(str, pattern="passing|warning|critical"),
                    "output": TEXT,
                    "updated_at": MOMENT,
                }
            )
        ),
        "host_status": Plain(str, pattern="ok|unknown|unreachable"),
    },
    {"lease": STRIPPED_LEASE},
)
LOST_MACHINE = MACHINE.without("config").with_(  # host_status is not ok: image_ref may be empty
    incomplete_config=Table(Either((TEXT, GUEST, Table(TEXT), Null()))),
    image_ref=Either((IMAGE_REF, Thing({}))),
)
PROCESS = Thing(
    {
        "pid": WHOLE,
        "stime": WHOLE,
        "rtime": WHOLE,
        "command": TEXT,
        "directory": TEXT,
        "cpu": WHOLE,
        "rss": WHOLE,
        "listen_sockets": Many(Thing({"proto": NAME, "address": NAME})),
    }
)
MEMORY = Thing({"limit_mb": WHOLE, "available_mb": WHOLE})

# §7: wrapped, as the live API has it
LEASE = Thing(
    {
        "status": Plain(str, pattern="success"),
        "data": Thing(
            {
                "nonce": Plain(str, pattern="[0-9a-f]{12}"),
                "expires_at": WHOLE,
                "owner": NAME,
                "description": TEXT,
                "version": ULID,
            }
        ),
    }
)

# §10
SECRET = Thing(
    {"name": NAME, "digest": Plain(str, pattern="[0-9a-f]{32}"), "created_at": MOMENT, "updated_at": MOMENT}
)
COUNTED = {"version": WHOLE, "Version": WHOLE}

# §11
VOLUME = Thing(
    {
        "id": Plain(str, pattern="vol_[0-9a-z]+"),
        "name": NAME,
        "state": NAME,
        "size_gb": WHOLE,
        "region": NAME,
        "zone": TEXT,
        "encrypted": FLAG,
        "attached_machine_id": TEXT_OR_NULL,
        "attached_alloc_id": TEXT_OR_NULL,
        "created_at": MOMENT,
        "blocks": WHOLE,
        "block_size": WHOLE,
        "blocks_free": WHOLE,
        "blocks_avail": WHOLE,
        "bytes_used": WHOLE,
        "bytes_total": WHOLE,
        "fstype": NAME,
        "snapshot_retention": WHOLE,
        "auto_backup_enabled": FLAG,
        "host_status": Plain(str, pattern="ok|unknown|unreachable"),
        "type": Plain(str, pattern="local|cache"),
    }
)
SNAPSHOT = Thing(
    {
        "id": Plain(str, pattern="vs_[0-9a-z]+"),
        "size": WHOLE,
        "volume_size": WHOLE,
        "digest": TEXT,
        "created_at": MOMENT,
        "status": Plain(str, pattern="waiting|running|created|pending"),
        "retention_days": WHOLE_OR_NULL,
    }
)
BACKUP = Thing(
    {
        "id": NAME,
        "app_id": NAME,
        "volume_id": NAME,
        "state": NAME,
        "type": TEXT,
        "message": TEXT,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "finished_at": MOMENT_OR_NULL,
        "graph_id": TEXT,
    }
)

# §12
ADDRESS = Thing(
    {
        "ip": NAME,
        "region": NAME,
        "service_name": TEXT,
        "shared": FLAG,
        "egress": FLAG,
        "created_at": MOMENT,
        "network": Either((Null(), Thing({"name": TEXT, "org_slug": NAME}))),
    }
)

# §13
CERTIFICATE = Thing(
    {
        "hostname": NAME,
        "configured": FLAG,
        "acme_requested": FLAG,
        "status": Plain(str, pattern="active|pending_validation|pending_ownership"),
        "dns_provider": TEXT,
        "rate_limited_until": MOMENT_OR_NULL,
        "certificates": Many(
            Thing(
                {
                    "source": Plain(str, pattern="custom|fly"),
                    "status": Plain(str, pattern="active|pending_ownership|pending_validation"),
                    "created_at": MOMENT_OR_NULL,
                    "expires_at": MOMENT_OR_NULL,
                    "issuer": TEXT_OR_NULL,
                    "issued": Many(
                        Thing({"type": TEXT, "expires_at": MOMENT, "certificate_authority": TEXT})
                    ),
                }
            )
        ),
        "validation": Thing(
            {
                "dns_configured": FLAG,
                "alpn_configured": FLAG,
                "http_configured": FLAG,
                "ownership_txt_configured": FLAG,
            }
        ),
        "dns_requirements": Thing(
            {
                "a": TEXTS,
                "aaaa": TEXTS,
                "cname": TEXT,
                "acme_challenge": Thing({"name": NAME, "target": NAME}),
                "ownership": Thing({"name": NAME, "app_value": NAME, "org_value": NAME}),
            }
        ),
        "validation_errors": Many(
            Thing({"code": TEXT_OR_NULL, "message": NAME, "remediation": TEXT, "timestamp": MOMENT})
        ),
    }
)
DNS_RECORDS = Thing(
    {
        "a": TEXTS,
        "aaaa": TEXTS,
        "cname": TEXTS,
        "resolved_addresses": TEXTS,
        "soa": TEXT,
        "acme_challenge_cname": TEXT,
        "ownership_txt": TEXT,
    }
)
CERTIFICATE_ROW = Thing(
    {
        "hostname": NAME,
        "status": NAME,
        "dns_provider": TEXT,
        "acme_dns_configured": FLAG,
        "acme_alpn_configured": FLAG,
        "acme_http_configured": FLAG,
        "ownership_txt_configured": FLAG,
        "configured": FLAG,
        "acme_requested": FLAG,
        "has_custom_certificate": FLAG,
        "has_fly_certificate": FLAG,
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
)

# §14
ORG_MACHINE = Thing(
    {
        "id": NAME,
        "app_name": NAME,
        "name": NAME,
        "state": STATE,
        "region": NAME,
        "version": ULID,
        "private_ip": PRIVATE_IP,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "config": Thing({"image": NAME, "guest": GUEST}, {"metadata": Table(TEXT)}),
    }
)

# §15
REGION = Thing(
    {
        "code": Plain(str, pattern="[a-z]{3}"),
        "name": NAME,
        "latitude": NUMBER,
        "longitude": NUMBER,
        "gateway_available": FLAG,
        "requires_paid_plan": FLAG,
        "deprecated": FLAG,
        "geo_region": NAME,
        "mpg_available": FLAG,
    }
)
TOKEN = Thing(
    {
        "token_id": NAME,
        "org_slug": NAME,
        "organization": TEXT,
        "apps": TEXTS,
        "user": TEXT,
        "restricted_to_machine": TEXT,
        "source_machine_id": TEXT,
    }
)

_APP = "/v1/apps/{app_name}"
_MACHINE = f"{_APP}/machines/{{machine_id}}"
_VOLUME = f"{_APP}/volumes/{{volume_id}}"
_CERTIFICATE = f"{_APP}/certificates/{{hostname}}"
NOTHING = None  # no body

REPLIES: Mapping[tuple[str, str], tuple[int, Kind | None]] = {
    ("GET", "/v1/apps"): (200, Thing({"apps": Many(APP, least=1), "total_apps": WHOLE})),
    ("POST", "/v1/apps"): (201, APP.with_(created_at=MS)),
    ("GET", _APP): (200, APP),
    ("DELETE", _APP): (202, NOTHING),
    ("POST", f"{_APP}/deploy_token"): (200, Thing({"token": NAME})),
    ("GET", f"{_APP}/ip_assignments"): (200, Thing({"ips": Many(ADDRESS, least=1)})),
    ("POST", f"{_APP}/ip_assignments"): (200, ADDRESS),
    ("DELETE", f"{_APP}/ip_assignments/{{ip}}"): (204, NOTHING),
    ("GET", f"{_APP}/certificates"): (
        200,
        Thing({"certificates": Many(CERTIFICATE_ROW, least=1), "next_cursor": TEXT, "total_count": WHOLE}),
    ),
    ("POST", f"{_APP}/certificates/acme"): (201, CERTIFICATE),
    ("POST", f"{_APP}/certificates/custom"): (201, CERTIFICATE),
    ("GET", _CERTIFICATE): (200, CERTIFICATE),
    ("DELETE", _CERTIFICATE): (204, NOTHING),
    ("POST", f"{_CERTIFICATE}/check"): (200, CERTIFICATE.with_(dns_records=DNS_RECORDS)),
    ("DELETE", f"{_CERTIFICATE}/acme"): (200, CERTIFICATE),
    ("DELETE", f"{_CERTIFICATE}/custom"): (200, CERTIFICATE.with_(warning=TEXT)),
    ("GET", f"{_APP}/machines"): (200, Many(MACHINE, least=1)),
    ("POST", f"{_APP}/machines"): (200, MACHINE.with_(nonce=Plain(str, pattern="[0-9a-f]{12}"))),
    ("GET", _MACHINE): (200, MACHINE.with_(lease=STRIPPED_LEASE)),
    ("POST", _MACHINE): (200, MACHINE),
    ("DELETE", _MACHINE): (200, OK),
    ("POST", f"{_MACHINE}/start"): (
        200,
        Thing({"previous_state": STATE, "migrated": FLAG, "new_host": TEXT}),
    ),
    **{
        ("POST", f"{_MACHINE}/{verb}"): (200, OK)
        for verb in ("stop", "suspend", "restart", "signal", "cordon", "uncordon")
    },
    ("GET", f"{_MACHINE}/wait"): (
        200,
        Thing({"ok": FLAG, "state": STATE, "version": ULID, "event_id": ULID}),
    ),
    ("GET", f"{_MACHINE}/events"): (200, Many(EVENT, least=1)),
    ("GET", f"{_MACHINE}/versions"): (
        200,
        Many(Thing({"version": ULID, "user_config": Thing({"image": NAME}, CONFIG.may)}), least=1),
    ),
    ("POST", f"{_MACHINE}/exec"): (
        200,
        Thing({"exit_code": WHOLE, "exit_signal": WHOLE, "stdout": TEXT, "stderr": TEXT}),
    ),
    ("GET", f"{_MACHINE}/ps"): (200, Many(PROCESS, least=1)),
    ("GET", f"{_MACHINE}/memory"): (200, MEMORY),
    ("PUT", f"{_MACHINE}/memory"): (200, MEMORY),
    ("POST", f"{_MACHINE}/memory/reclaim"): (200, Thing({"actual_mb": WHOLE})),
    ("GET", f"{_MACHINE}/lease"): (200, LEASE),
    ("POST", f"{_MACHINE}/lease"): (201, LEASE),
    ("DELETE", f"{_MACHINE}/lease"): (200, Thing({"status": Plain(str, pattern="success"), "data": OK})),
    ("GET", f"{_MACHINE}/metadata"): (200, Thing({"tag": TEXT})),  # the tour's own key
    ("PUT", f"{_MACHINE}/metadata"): (204, NOTHING),
    ("PATCH", f"{_MACHINE}/metadata"): (204, NOTHING),
    ("GET", f"{_MACHINE}/metadata/{{key}}"): (200, Thing({"value": TEXT})),
    ("POST", f"{_MACHINE}/metadata/{{key}}"): (204, NOTHING),
    ("DELETE", f"{_MACHINE}/metadata/{{key}}"): (204, NOTHING),
    ("GET", f"{_APP}/secrets"): (200, Thing({"secrets": Many(SECRET, least=1)})),
    ("POST", f"{_APP}/secrets"): (200, Thing({"secrets": Many(SECRET, least=1), **COUNTED})),
    ("GET", f"{_APP}/secrets/{{secret_name}}"): (200, SECRET),
    ("POST", f"{_APP}/secrets/{{secret_name}}"): (201, SECRET.with_(**COUNTED)),
    ("DELETE", f"{_APP}/secrets/{{secret_name}}"): (200, Thing(COUNTED)),
    ("GET", f"{_APP}/volumes"): (200, Many(VOLUME, least=1)),
    ("POST", f"{_APP}/volumes"): (200, VOLUME),
    ("GET", _VOLUME): (200, VOLUME),
    ("PUT", _VOLUME): (200, VOLUME),
    ("DELETE", _VOLUME): (200, VOLUME),
    ("PUT", f"{_VOLUME}/extend"): (200, Thing({"volume": VOLUME, "needs_restart": FLAG})),
    ("GET", f"{_VOLUME}/snapshots"): (200, Many(SNAPSHOT, least=1)),
    ("POST", f"{_VOLUME}/snapshots"): (200, Thing({"Msg": Thing({"backup": BACKUP})})),
    ("GET", "/v1/orgs/{org_slug}/machines"): (
        200,
        Thing(
            {
                "machines": Many(ORG_MACHINE, least=1),
                "error_regions": TEXTS,
                "last_machine_id": TEXT,
                "last_updated_at": MOMENT,
                "next_cursor": NAME,  # the tour asks for a page that is not the last
            }
        ),
    ),
    ("GET", "/v1/orgs/{org_slug}/volumes"): (
        200,
        Thing(
            {
                "volumes": Many(VOLUME.with_(app_name=NAME, updated_at=MOMENT), least=1),
                "last_volume_id": TEXT,
                "last_updated_at": MOMENT,
                "next_cursor": NAME,
            }
        ),
    ),
    ("GET", "/v1/platform/regions"): (200, Thing({"Regions": Many(REGION, least=1), "Nearest": NAME})),
    ("POST", "/v1/platform/placements"): (
        200,
        Thing({"Regions": Many(Thing({"Region": NAME, "Count": WHOLE, "Concurrency": WHOLE}), least=1)}),
    ),
    ("GET", "/v1/tokens/current"): (200, Thing({"tokens": Many(TOKEN, least=1)})),
}
