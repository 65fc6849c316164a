"""Which state of a machine allows which verb, and how Fly words it when it does not.

Answers for the tables of contract §5 alone; what the verb then does is `lifecycle`'s.
"""

from localfly.refusal import FailedPrecondition, HostUnreachable, MachineNotFound, StartRefused
from localfly.world import Machine

UP = ("started", "starting", "restarting")
DESTROYABLE = ("stopped", "suspended", "failed", "created")
LEAVES = {
    "stop": (*UP, "suspending", "suspended", "failed"),
    "suspend": ("started",),
    "restart": ("started", "failed"),
}
DONE = {"stop": ("stopped", "stopping"), "suspend": ("suspended", "suspending")}
RESTART_WINDOW_S = 300.0
RESTARTS = 10  # in the window, for the policy `on-failure`, unless the config says otherwise


def check_host(machine: Machine) -> None:
    """Refuse what a lost host cannot do: everything."""
    if machine.host_status == "unreachable":
        raise HostUnreachable(machine.id)


def has_to(verb: str, machine: Machine) -> bool:
    """Whether `stop`, `suspend` or `restart` has something to do; raises what refuses it."""
    if machine.state == "destroyed":
        raise MachineNotFound
    check_host(machine)
    if machine.state in DONE.get(verb, ()):
        return False
    if machine.state not in LEAVES[verb]:
        raise FailedPrecondition(f"unable to {verb} machine from current state: '{machine.state}'")
    return True


def check_startable(machine: Machine) -> None:
    """Refuse a start that has to wait, or cannot be."""
    if machine.state == "destroyed":
        raise MachineNotFound
    if machine.state == "replacing":
        raise StartRefused("machine getting replaced, refusing to start", is_passing=True)
    if machine.is_being_reaped:
        raise StartRefused("machine still active, refusing to start", is_passing=True)
    if machine.state not in ("stopped", "suspended", "failed"):
        raise unstartable(machine)


def unstartable(machine: Machine) -> StartRefused:
    """The refusal of a start from its state of now."""
    return StartRefused(
        f"unable to start machine from current state: '{machine.state}'",
        is_passing=machine.state in ("created", "stopping"),
    )


def is_to_restart(machine: Machine, code: int, now: float) -> bool:
    """Whether its restart policy (`on-failure` unless told) starts it again after an exit with this code.

    Forgets the restarts that are too long ago to count.
    """
    restart = machine.config.get("restart") or {}
    policy = restart.get("policy") or "on-failure"
    machine.restarts = tuple(at for at in machine.restarts if at > now - RESTART_WINDOW_S)
    if policy == "always":
        return True
    retries = restart.get("max_retries", RESTARTS)
    return policy == "on-failure" and code != 0 and len(machine.restarts) < retries
