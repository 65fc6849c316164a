"""The calls for one app, and for finding apps."""

from dataclasses import replace

from pydantic import TypeAdapter

from reconciler.fly import models
from reconciler.fly.call import ANYTHING, Caller, on_app, on_org

_APP = TypeAdapter(models.App)
_APPS = TypeAdapter(models.AppsPage)


class AppCalls:
    """Every method raises `FlyError` and nothing else."""

    _calls: Caller

    async def list_apps(self, org: str) -> tuple[models.App, ...]:
        """Every app of the organisation, with its network."""
        call = on_org("GET", org, "/v1/apps", "list apps", params={"org_slug": org})
        return (await self._calls.ask(call, _APPS)).apps

    async def get_app(self, app: str) -> models.App:
        """`NotFound`: the name is free, or too new to be seen; `Forbidden`: another organisation's."""
        return await self._calls.ask(on_app("GET", app, "", "get app"), _APP)

    async def create_app(self, *, name: str, org: str, network: str) -> None:
        """Repeated on a lost answer, since names are unique: `NameTaken` may mean our own first try."""
        body = {"name": name, "org_slug": org, "network": network}
        call = on_org("POST", org, "/v1/apps", "create app", subject=name, json=body)
        await self._calls.ask(call, ANYTHING)

    async def delete_app(self, app: str) -> None:
        """Takes everything in it along, some time after the answer; `NotFound`: it is gone."""
        call = on_app("DELETE", app, "", "delete app")
        await self._calls.ask(replace(call, identifier="of the organisation"), ANYTHING)
