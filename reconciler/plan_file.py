"""A saved plan as a file: written whole or not at all, for its owner alone, sealed with the root key.

Answers for the file. What is in it, and what of it may still be done, is `core.saved_plan`'s.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from reconciler.config import ConfigError
from reconciler.core.keys import RootKey
from reconciler.core.saved_plan import VERSION, SavedPlan
from reconciler.readings import SUFFIXES

Json = Any

LARGEST_BYTES = 512 * 1024 * 1024
_MAGIC = "reconciler_plan"
_SALT_BYTES = 16
_PLAN = TypeAdapter(SavedPlan)


def new_salt() -> str:
    """For one file alone."""
    return secrets.token_hex(_SALT_BYTES)


def is_saved_plan(path: Path) -> bool:
    """Whether a path that `apply` was given is a saved plan: a file that is no YAML by its name."""
    return path.is_file() and path.suffix not in SUFFIXES


def check_name(path: Path) -> None:
    """Raises ConfigError when a plan should not be saved there."""
    if path.suffix in SUFFIXES:
        raise ConfigError(
            f"--out {path}: the name of a saved plan does not end in {path.suffix}, as documents' do"
        )
    if path.exists() and not path.is_file():
        raise ConfigError(f"--out {path}: it is not an ordinary file")
    if not path.parent.is_dir():
        raise ConfigError(f"--out {path}: there is no folder {path.parent}")


def write(path: Path, plan: SavedPlan, root_key: RootKey) -> None:
    """Raises ConfigError; then nothing is there that was not there before."""
    body = {_MAGIC: VERSION, "root_key": root_key.kid, **asdict(plan)}
    text = json.dumps({**body, "seal": _seal(body, root_key)}, indent=1, ensure_ascii=False)
    unfinished: str | None = None
    try:
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except OSError as error:
        if unfinished is not None:
            with contextlib.suppress(OSError):
                Path(unfinished).unlink()
        raise ConfigError(f"--out {path}: cannot be written: {error.strerror}") from None


def read(path: Path, root_key: RootKey | None) -> SavedPlan:
    """Raises ConfigError when it is none, of another version or root key, or not as it was written."""
    body = _parsed(path)
    if body.get(_MAGIC) != VERSION:
        raise ConfigError(
            f"{path}: a saved plan of version {body.get(_MAGIC)}, and this program reads version {VERSION}; "
            "make it again with this program's: reconciler plan --out"
        )
    if root_key is None:
        raise ConfigError(f"{path}: a saved plan is sealed with the root key, which is not given here")
    if body.get("root_key") != root_key.kid:
        raise ConfigError(
            f"{path}: it was made with root key {str(body.get('root_key'))[:8]}, and the one given here is "
            f"{root_key.kid}; another installation's?"
        )
    seal = body.pop("seal", None)
    if not isinstance(seal, str) or not hmac.compare_digest(seal.encode(), _seal(body, root_key).encode()):
        raise _damaged(path)
    try:
        return _PLAN.validate_python({key: body[key] for key in body if key not in (_MAGIC, "root_key")})
    except ValidationError:
        raise _damaged(path) from None


def _parsed(path: Path) -> dict[str, Json]:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise _damaged(path)
        body = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _damaged(path) from None
    if not isinstance(body, dict) or not isinstance(body.get(_MAGIC), int):
        raise _damaged(path)
    return body


def _damaged(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: it is no saved plan, or not as it was written; make it again with: reconciler plan --out"
    )


def _seal(body: dict[str, Json], root_key: RootKey) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hmac.new(root_key.plan_key, text.encode(), hashlib.sha256).hexdigest()
