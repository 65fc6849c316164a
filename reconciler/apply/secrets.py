"""Sets and unsets an app's secrets, all in one call."""

from reconciler.apply.bench import Bench
from reconciler.core.action import SetSecrets
from reconciler.core.outcome import StepFailed
from reconciler.fly.client import Secret


async def set_all(bench: Bench, action: SetSecrets) -> None:
    """Nothing is set unless every name has a value here."""
    missing = sorted(set(action.names) - set(bench.values))
    if missing:
        raise StepFailed(
            "SecretMissing",
            f"cannot set secrets of {action.app_name}: there is no value here for {', '.join(missing)}; "
            "offer it where its Secret document says that it comes from",
            is_transient=False,
        )
    values: dict[str, Secret | None] = {name: bench.values[name] for name in action.names}
    values |= dict.fromkeys(action.unset)
    bench.secrets_version = await bench.seen(lambda: bench.fly.set_secrets(action.app_name, values))
