"""What an exit code of the command says."""

from enum import IntEnum


class Exit(IntEnum):
    """The first that holds, in this order: ERROR, PARTIAL, BLOCKED, CHANGES, OK."""

    OK = 0
    ERROR = 1  # usage too
    CHANGES = 2  # only `plan --detailed-exitcode`
    BLOCKED = 3  # by a guardrail
    PARTIAL = 4  # not everything could be read
