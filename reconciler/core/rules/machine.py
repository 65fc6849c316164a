"""Every rule over one machine config, in one call.

Which document a remark is shown at is `reference`'s matter.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.core.rules.guest import size_remarks
from reconciler.core.rules.image import image_remarks
from reconciler.core.rules.port import port_remarks
from reconciler.core.rules.remark import Remark
from reconciler.core.rules.sleep import sleep_remarks
from reconciler.core.rules.suspend import suspend_remarks

Json = Any

READ = frozenset({"containers", "guest", "image", "init", "schedule", "services", "size", "volumes"})


def machine_remarks(config: Mapping[str, Json], doors: Mapping[int, str]) -> Iterator[Remark]:
    """What a config gets wrong that has its services in it; only fields in `READ` count."""
    yield from size_remarks(config)
    yield from suspend_remarks(config)
    yield from sleep_remarks(config)
    yield from image_remarks(config)
    for index, service in enumerate(config.get("services") or ()):
        yield from port_remarks(("services", index), service, doors)
