"""App secrets: names and digests go out, values only come in (contract §10).

Answers for the requests; the version counter and the digests are the world's.
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import Body, Call, flag, whole_number
from localfly.moment import rfc3339
from localfly.refusal import FailedPrecondition, Invalid, NotFound, Unauthorized
from localfly.world import App, Secret


class SetMany(Body):
    """A null removes the name; one for an unknown name changes nothing and tells the version."""

    values: dict[str, str | None]


class SetOne(Body):
    """The value of one secret."""

    value: str


async def list_secrets(call: Call) -> Response:
    """Names and digests of an app's secrets."""
    return ok({"secrets": _listed(_readable(call))})


async def set_many(call: Call) -> Response:
    """Set and remove names in one step."""
    call.query()
    asked = await call.body(SetMany)
    app = call.app()
    if not all(asked.values):
        raise Invalid("invalid field 'values': a name is empty")
    version = call.world.set_secrets(app, asked.values)
    return ok({"secrets": _listed(app), **_versioned(version)})


async def show(call: Call) -> Response:
    """Name and digest of one."""
    return ok(_secret_json(_named(call, _readable(call))))


async def set_one(call: Call) -> Response:
    """Set one."""
    call.query()
    asked = await call.body(SetOne)
    app = call.app()
    version = call.world.set_secrets(app, {call.named("name"): asked.value})
    return ok({**_secret_json(_named(call, app)), **_versioned(version)}, status=201)


async def delete(call: Call) -> Response:
    """Remove one."""
    call.query()
    app = call.app()
    _named(call, app)
    return ok(_versioned(call.world.set_secrets(app, {call.named("name"): None})))


def _readable(call: Call) -> App:
    """The app, when its secrets are as new as asked for (`version` is the Go client's word)."""
    query = call.query("min_version", "version", "show_secrets")
    app = call.app()
    if flag(query, "show_secrets"):
        raise Unauthorized
    wanted = max(whole_number(query, name, default=0) for name in ("min_version", "version"))
    check_secrets_version(app, wanted)
    return app


def check_secrets_version(app: App, wanted: int | None) -> None:
    """Refuse a secrets version that is still to come; neither status nor text is established."""
    if wanted is not None and wanted > app.secrets_version:
        raise FailedPrecondition(
            f"secrets version {wanted} is not there yet, currently {app.secrets_version}"
        )


def _named(call: Call, app: App) -> Secret:
    secret = app.secrets.get(call.named("name"))
    if secret is None:
        raise NotFound("secret not found")
    return secret


def _listed(app: App) -> list[dict[str, Any]]:
    return [_secret_json(secret) for secret in app.secrets.values()]


def _secret_json(secret: Secret) -> dict[str, Any]:
    return {
        "name": secret.name,
        "digest": secret.digest,
        "created_at": rfc3339(secret.created_at),
        "updated_at": rfc3339(secret.updated_at),
    }


def _versioned(version: int) -> Mapping[str, int]:
    return {"version": version, "Version": version}
