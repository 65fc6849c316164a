"""How `git` is started: what it gets of our environment, and which of its settings are overruled.

Answers for no hook, no prompt and no secret of ours. What is asked of git is its callers'.
"""

import os
from collections.abc import Mapping

QUIET = (
    "-c",
    "core.sparseCheckout=false",
    "-c",
    "core.fsmonitor=false",
    "-c",
    f"core.hooksPath={os.devnull}",
)
_NEEDED = ("PATH", "HOME", "TMPDIR", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK")


def git_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What git needs, and no secret of ours: its filters are programs of the user's."""
    return {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        **{name: environ[name] for name in _NEEDED if name in environ},
    }
