"""Reads a file below the secrets folder, and nothing else, whoever moves things about meanwhile.

Answers for where the bytes come from: links are followed first, and then each step of the real path is taken
without following any, so that one put there in between leads nowhere.
"""

import errno
import os
import stat
from pathlib import Path

from reconciler.core.secret import LARGEST_BYTES

FORBIDDEN = ("/proc", "/sys", "/dev")  # they show this process, its neighbours and the machine

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # opening a pipe does not block


class SecretFileError(Exception):
    """It is not read; str() is the end of a sentence that begins with the file's name."""


def unusable_folder(directory: Path) -> str:
    """Why `directory` cannot be the secrets folder; "" when it can."""
    try:
        real = directory.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # RuntimeError: a loop, before Python 3.13
        return "there is no such folder"
    if not real.is_dir():
        return "there is no such folder"
    if _is_forbidden(real) or real == Path("/"):
        return "it would offer the system's own files; give a folder that holds secrets alone"
    return ""


def read_below(directory: Path, name: str) -> bytes:
    """The whole file, at most so large as a secret may be. Raises SecretFileError."""
    try:
        root = directory.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root) or path == root:
            raise SecretFileError("is outside the secrets folder")
        if _is_forbidden(path):
            raise SecretFileError("is one of the system's own")
        content = _read(root, path.relative_to(root).parts)
    except (OSError, RuntimeError, ValueError) as error:
        raise SecretFileError(f"cannot be read: {_why(error)}") from None
    if len(content) > LARGEST_BYTES:
        raise SecretFileError(f"is larger than {LARGEST_BYTES} bytes")
    return content


def _is_forbidden(path: Path) -> bool:
    if any(path.is_relative_to(folder) for folder in FORBIDDEN):
        return True
    # The same file systems may be mounted elsewhere; what is no mount of its own says nothing.
    mounted = {Path(folder).stat().st_dev for folder in FORBIDDEN if Path(folder).is_dir()}
    return path.stat().st_dev in mounted - {Path("/").stat().st_dev}


def _read(root: Path, steps: tuple[str, ...]) -> bytes:
    descriptor = os.open(root, _DIRECTORY)
    try:
        for step in steps[:-1]:
            descriptor = _replaced(descriptor, os.open(step, _DIRECTORY, dir_fd=descriptor))
        descriptor = _replaced(descriptor, os.open(steps[-1], _FILE, dir_fd=descriptor))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not an ordinary file")
        chunks: list[bytes] = []
        while sum(map(len, chunks)) <= LARGEST_BYTES and (chunk := os.read(descriptor, LARGEST_BYTES)):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def _replaced(before: int, after: int) -> int:
    os.close(before)
    return after


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno != errno.ELOOP:
        return error.strerror or "it cannot be opened"
    if isinstance(error, ValueError):
        return "its name holds a NUL byte"
    return "its links lead in a circle"
