"""A way past the proxy, as a peer on the app's private network has it: bytes straight to a machine that runs.

Answers for finding the machine. Nothing is added, hidden, woken or counted: what an app says there, a
`fly-replay` with its state too, is seen as it is.
"""

from collections.abc import Sequence

from localfly.lifecycle import Runtime
from localfly.proxy.door import Attached, Direct
from localfly.world import World


def address(
    door: Direct, world: World, attached: Sequence[Attached], runtime: Runtime
) -> tuple[str, int] | None:
    """Where that machine listens on this laptop for the door's internal port; None when nothing does."""
    for backend in attached:
        if (backend.app, backend.port) == (door.app, door.internal_port) and door.machine in (
            None,
            backend.machine_id,
        ):
            return backend.host, backend.port
    app = world.apps.get(door.app)
    for machine in app.living() if app else ():
        if machine.state == "started" and door.machine in (None, machine.id, machine.name):
            return runtime.address(machine.id, door.internal_port)
    return None
