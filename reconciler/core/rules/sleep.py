"""Machines that Fly puts to sleep when they are idle, and that no visitor can wake."""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.core.rules.remark import Remark

Json = Any

AWAKE = ("off", False)


def sleep_remarks(config: Mapping[str, Json]) -> Iterator[Remark]:
    """A warning when some service lets Fly stop the machine, and none starts it again."""
    services = config.get("services") or ()
    if not services or any(service.get("autostart") is not False for service in services):
        return
    if all(service.get("autostop", "stop") in AWAKE for service in services):
        return
    yield Remark(
        ("services",),
        "Fly stops the machine when it is idle, and with autostart: false no visitor starts it: it would be "
        "started by the reconciler, and stopped again, for ever; expected autostop: off too",
        "autostop-without-autostart",
        "warning",
    )
