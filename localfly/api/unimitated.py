"""The published operations that localfly does not imitate.

Answers for the list alone: each of them is a 501 by its name. Any other unknown route is a 404, as on Fly.
"""

_APP = "/v1/apps/{app_name}"
_POLICIES = f"{_APP}/network_policies"
_KEYS = f"{_APP}/secretkeys"
_KEY = f"{_KEYS}/{{secret_name}}"

UNIMITATED = (
    ("GET", _POLICIES),
    ("POST", _POLICIES),
    ("DELETE", f"{_POLICIES}/{{policy_id}}"),
    ("GET", _KEYS),
    ("GET", _KEY),
    ("POST", _KEY),
    ("DELETE", _KEY),
    *(("POST", f"{_KEY}/{verb}") for verb in ("decrypt", "encrypt", "generate", "sign", "verify")),
    *(("POST", f"/v1/tokens/{verb}") for verb in ("authenticate", "authorize", "kms", "oidc")),
)
