"""Certificates: the hostnames of an app, asked for through ACME or uploaded (contract §13).

Answers for the requests, for what may be one hostname's twice, and for showing nothing as done that this
laptop cannot do: no hostname is ever validated beyond what `.localhost` names are by nature. Reading an
uploaded certificate is `pem`'s.
"""

import re
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from localfly.api.answer import empty, ok
from localfly.api.call import Body, Call, whole_number
from localfly.api.pem import BadPem, inspect
from localfly.moment import rfc3339
from localfly.refusal import Invalid, NotFound, Refusal, Unprocessable
from localfly.world import App, Certificate, CustomCertificate

PAGE, LONGEST_PAGE = 25, 500
LONGEST_HOSTNAME = 253
HOSTNAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


class HostnameTaken(Refusal):
    """409: another app has the hostname; the text is not established."""

    http_status = 409

    def __init__(self, hostname: str) -> None:
        super().__init__(f"already_exists: hostname {hostname} is taken")


class AskAcme(Body):
    """A hostname to get a certificate for."""

    hostname: str


class UploadCustom(Body):
    """A certificate with its chain, and its key, both PEM."""

    hostname: str
    fullchain: str
    private_key: str


async def list_certificates(call: Call) -> Response:
    """A page of an app's hostnames in order of name."""
    query = call.query("filter", "cursor", "limit")
    limit = whole_number(query, "limit", default=PAGE)
    if not 1 <= limit <= LONGEST_PAGE:
        raise Invalid(f"invalid query parameter 'limit': must be inside range [1, {LONGEST_PAGE}]")
    app = call.app()
    fitting = [app.certificates[name] for name in sorted(app.certificates) if query.get("filter", "") in name]
    ahead = [one for one in fitting if one.hostname > query.get("cursor", "")]
    page = ahead[:limit]
    return ok(
        {
            "certificates": [_summary(one) for one in page],
            "next_cursor": page[-1].hostname if len(ahead) > limit else "",
            "total_count": len(fitting),
        }
    )


async def ask_acme(call: Call) -> Response:
    """Ask for a certificate; on this laptop nobody issues it, so it stays pending."""
    call.query()
    asked = await call.body(AskAcme)
    app = call.lasting_app()
    found = _hostname(call, app, asked.hostname)
    return ok(_detail(app, _put(call, app, replace(found, is_acme_requested=True))), status=201)


async def upload_custom(call: Call) -> Response:
    """Take a certificate whose key, hostname and dates hold; its key is not kept."""
    call.query()
    asked = await call.body(UploadCustom)
    app = call.lasting_app()
    found = _hostname(call, app, asked.hostname)
    try:
        read = inspect(fullchain=asked.fullchain, private_key=asked.private_key, hostname=found.hostname)
    except BadPem as error:
        raise Unprocessable(f"Validation failed: {error}") from None
    custom = CustomCertificate(call.world.clock(), expires_at=read.expires_at, issuer=read.issuer)
    return ok(_detail(app, _put(call, app, replace(found, custom=custom))), status=201)


async def show(call: Call) -> Response:
    """One hostname."""
    call.query()
    app = call.app()
    return ok(_detail(app, _named(call, app)))


async def check(call: Call) -> Response:
    """What DNS says, as far as this laptop knows without asking anybody: names below `.localhost`."""
    call.query()
    await call.no_body()
    app = call.app()
    certificate = _named(call, app)
    return ok({**_detail(app, certificate), "dns_records": _records(certificate.hostname)})


async def delete(call: Call) -> Response:
    """Take the hostname away with all its certificates."""
    call.query()
    app = call.app()
    gone = _named(call, app)
    app.certificates = {name: one for name, one in app.certificates.items() if one is not gone}
    return empty(204)


async def delete_acme(call: Call) -> Response:
    """Ask no longer; the hostname stays."""
    call.query()
    app = call.app()
    found = _named(call, app)
    if not found.is_acme_requested:
        raise NotFound("certificate not found")
    return ok(_detail(app, _put(call, app, replace(found, is_acme_requested=False))))


async def delete_custom(call: Call) -> Response:
    """Take the uploaded certificate away; the hostname stays."""
    call.query()
    app = call.app()
    found = _named(call, app)
    if found.custom is None:
        raise NotFound("certificate not found")
    left = _put(call, app, replace(found, custom=None))
    warning = "" if left.is_acme_requested else f"{left.hostname} has no certificate left"
    return ok({**_detail(app, left), "warning": warning})


def _hostname(call: Call, app: App, text: str) -> Certificate:
    """The app's entry of that hostname, made if it is new; 422 for no hostname, 409 for another app's."""
    name = text.lower().rstrip(".")
    if len(name) > LONGEST_HOSTNAME or not HOSTNAME.fullmatch(name):
        raise Unprocessable(f"Validation failed: Hostname {text[:100]!r} is not valid")
    for other in call.world.apps.values():
        if other is not app and name in other.certificates:
            raise HostnameTaken(name)
    now = call.world.clock()
    return app.certificates.get(name) or Certificate(name, now, now)


def _put(call: Call, app: App, certificate: Certificate) -> Certificate:
    changed = replace(certificate, updated_at=call.world.clock())
    app.certificates = {**app.certificates, changed.hostname: changed}
    return changed


def _named(call: Call, app: App) -> Certificate:
    found = app.certificates.get(call.named("hostname").lower())
    if found is None:
        raise NotFound("certificate not found")
    return found


def _status(certificate: Certificate) -> str:
    is_only_custom = certificate.custom is not None and not certificate.is_acme_requested
    return "pending_ownership" if is_only_custom else "pending_validation"


def _is_local(hostname: str) -> bool:
    return hostname.endswith(".localhost")


def _entries(certificate: Certificate) -> list[dict[str, Any]]:
    entries = []
    if certificate.is_acme_requested:
        entries.append(_entry("fly", "pending_validation", None))
    if certificate.custom is not None:
        entries.append(_entry("custom", "pending_ownership", certificate.custom))
    return entries


def _entry(source: str, status: str, custom: CustomCertificate | None) -> dict[str, Any]:
    return {
        "source": source,
        "status": status,
        "created_at": custom and rfc3339(custom.created_at),
        "expires_at": custom and rfc3339(custom.expires_at),
        "issuer": custom and custom.issuer,
        "issued": [],
    }


def _detail(app: App, certificate: Certificate) -> dict[str, Any]:
    """The CertificateDetail object: what is there, what is missing, and what to do on the real Fly."""
    name = certificate.hostname
    bare = name.removeprefix("*.")
    addresses = [one.ip for one in app.addresses if one.network is None]
    is_local = _is_local(name)
    errors = [] if is_local else [_unchecked(certificate)]
    return {
        "hostname": name,
        "configured": False,
        "acme_requested": certificate.is_acme_requested,
        "status": _status(certificate),
        "dns_provider": "",
        "rate_limited_until": None,
        "certificates": _entries(certificate),
        "validation": {
            "dns_configured": is_local,
            "alpn_configured": False,
            "http_configured": False,
            "ownership_txt_configured": False,
        },
        "dns_requirements": {
            "a": [ip for ip in addresses if ":" not in ip],
            "aaaa": [ip for ip in addresses if ":" in ip],
            "cname": f"{app.name}.fly.dev",
            "acme_challenge": {"name": f"_acme-challenge.{bare}", "target": f"{bare}.{app.id}.flydns.net"},
            "ownership": {
                "name": f"_fly-ownership.{bare}",
                "app_value": f"app-{app.id}",
                "org_value": f"org-{app.org.slug}",
            },
        },
        "validation_errors": errors,
    }


def _unchecked(certificate: Certificate) -> dict[str, Any]:
    return {
        "code": None,
        "message": f"localfly asks no name server about {certificate.hostname}",
        "remediation": "use a name below .localhost, or try this on Fly",
        "timestamp": rfc3339(certificate.updated_at),
    }


def _records(hostname: str) -> dict[str, Any]:
    is_local = _is_local(hostname)
    found = {"a": ["127.0.0.1"], "aaaa": ["::1"]} if is_local else {"a": [], "aaaa": []}
    return {
        **found,
        "cname": [],
        "resolved_addresses": [*found["a"], *found["aaaa"]],
        "soa": "",
        "acme_challenge_cname": "",
        "ownership_txt": "",
    }


def _summary(certificate: Certificate) -> dict[str, Any]:
    return {
        "hostname": certificate.hostname,
        "status": _status(certificate),
        "dns_provider": "",
        "acme_dns_configured": False,
        "acme_alpn_configured": False,
        "acme_http_configured": False,
        "ownership_txt_configured": False,
        "configured": False,
        "acme_requested": certificate.is_acme_requested,
        "has_custom_certificate": certificate.custom is not None,
        "has_fly_certificate": False,
        "created_at": rfc3339(certificate.created_at),
        "updated_at": rfc3339(certificate.updated_at),
    }
