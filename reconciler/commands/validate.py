"""`reconciler validate`."""

from reconciler import terminal
from reconciler.core.spec import ENV_PREFIX
from reconciler.exit import Exit
from reconciler.flags import SecretEnvPrefix, SpecsArgument
from reconciler.session import read_source


def validate(specs: SpecsArgument, secret_env_prefix: SecretEnvPrefix = ENV_PREFIX) -> int:
    """Check the documents; asks nothing of Fly."""
    _, found = read_source(specs, secret_env_prefix=secret_env_prefix)
    terminal.tell_problems(found)
    if found.problems:
        return Exit.ERROR
    terminal.say(f"{len(found.users)} user apps, {len(found.machines)} machine templates: no problems")
    return Exit.OK
