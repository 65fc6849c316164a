"""A certificate for *.example.com and its key, made by the openssl of this computer."""

import shutil
import subprocess
from pathlib import Path

_COMMAND = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout key -out cert "
    "-subj /O=Acme/CN=example.com -addext subjectAltName=DNS:*.example.com"
)


def made(folder: Path) -> tuple[str, str]:
    """The certificate and its key, both PEM."""
    openssl = shutil.which("openssl")
    assert openssl, "these tests need the openssl command"
    subprocess.run([openssl, *_COMMAND.split()], check=True, capture_output=True, cwd=folder)
    return (folder / "cert").read_text(), (folder / "key").read_text()
