"""What a request counts against: its operation as the action, and the thing that its path or body names.

Answers for the identifier; rates are `limits`'. Operations on neither an app nor a machine count per
organisation, which Fly does not say: the stricter possibility.
"""

from pydantic_core import from_json

from localfly.api.call import Call
from localfly.limits import Limits

DELETE_APP = "DELETE /v1/apps/{app_name}"


async def admit(limits: Limits, operation: str, call: Call) -> None:
    """Count the request, or raise TooFast."""
    if limits.is_on:
        limits.admit(operation, await _identifier(operation, call))


async def _identifier(operation: str, call: Call) -> str:
    named = call.request.path_params
    if operation == DELETE_APP:  # its limit is per minute: not meant for one app
        app = call.world.apps.get(named["app_name"])
        return app.org.slug if app is not None else ""
    for part in ("machine_id", "app_name", "org_slug"):
        if part in named:
            return str(named[part])
    return call.request.query_params.get("org_slug") or await _org_of_body(call)


async def _org_of_body(call: Call) -> str:
    try:
        content = from_json(await call.request.body())
    except ValueError:
        return ""
    slug = content.get("org_slug") if isinstance(content, dict) else None
    return slug if isinstance(slug, str) else ""
