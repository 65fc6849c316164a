"""Ends the process groups that a localfly left when it was killed. Run as a script, never imported.

Reads `+GROUP` and `-GROUP` lines from its standard input, which only localfly holds the other end of; at
its end, however that came, the groups that are left get SIGKILL. Standard library only, for a quick start.
"""

import contextlib
import os
import signal
import sys

if __name__ == "__main__":
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
