"""Tokens: what the caller's own may do, and narrower ones for one app (contract §3, §15).

Answers for the two requests; scopes, minting and forging are `localfly.token`'s.
"""

import hashlib
from typing import Any

from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import Body, Call
from localfly.moment import duration_ns
from localfly.refusal import Invalid, Unauthorized
from localfly.token import Scope

DEPLOY_TOKEN_EXPIRY = "175200h"  # noqa: S105 - 20 years: what Fly's command line asks for


class CreateDeployToken(Body):
    """`expiry` is a duration from now."""

    expiry: str | None = None


async def create_deploy_token(call: Call) -> Response:
    """A token that may act on this app alone, until it expires."""
    call.query()
    asked = await call.body(CreateDeployToken)
    app = call.lasting_app()
    if call.caller.scope.machine is not None:
        raise Unauthorized
    try:
        lasts_s = duration_ns(asked.expiry or DEPLOY_TOKEN_EXPIRY) / 1e9
    except ValueError as error:
        raise Invalid(f"invalid field 'expiry': {error}") from None
    if lasts_s <= 0:
        raise Invalid("invalid field 'expiry': must be above 0")
    expires_at = call.world.clock() + lasts_s
    within = call.caller.scope.expires_at
    if within is not None:  # a token cannot make one that outlives it
        expires_at = min(expires_at, within)
    scope = Scope(orgs=frozenset((app.org.slug,)), app=app.id, expires_at=expires_at)
    return ok({"token": call.tokens.mint(scope)})


async def show_current(call: Call) -> Response:
    """What the caller's token may do, one entry per organisation."""
    call.query()
    scope = call.caller.scope
    apps = [app.name for app in call.world.apps.values() if app.id == scope.app]
    token_id = hashlib.sha256(b"token id\n" + call.caller.owner.encode()).hexdigest()[:16]
    orgs = list(call.world.orgs) if scope.orgs is None else sorted(scope.orgs)
    return ok({"tokens": [_token_json(token_id, slug, apps, scope) for slug in orgs]})


def _token_json(token_id: str, slug: str, apps: list[str], scope: Scope) -> dict[str, Any]:
    return {
        "token_id": token_id,
        "org_slug": slug,
        "organization": slug,
        "apps": apps,
        "user": "",
        "restricted_to_machine": scope.machine or "",
        "source_machine_id": "",
    }
