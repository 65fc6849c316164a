"""An uploaded certificate, judged as a TLS client would: by a handshake in memory.

Answers for whether key and certificate belong together, for hostname and dates. Trust is not asked for: the
chain's own certificates count as trusted.
"""

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BadPem(Exception):  # noqa: N818 - reads as the sentence it is
    """Why a certificate cannot be used."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a certificate says; `expires_at` in unix seconds."""

    expires_at: float
    issuer: str


def inspect(*, fullchain: str, private_key: str, hostname: str) -> Read:
    """What the certificate says; BadPem when it is none, not the key's, not the hostname's, or expired."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with tempfile.TemporaryDirectory(prefix="localfly-") as folder:  # OpenSSL reads a chain from files alone
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_text(fullchain, encoding="utf-8")
        key.touch(mode=0o600)
        key.write_text(private_key, encoding="utf-8")
        try:
            server.load_cert_chain(chain, key, password=_no_password)
            client.load_verify_locations(chain)
        except (ssl.SSLError, ValueError) as error:
            raise BadPem(f"certificate or private key cannot be used ({_reason(error)})") from None
    try:
        said = _handshake(server, client, hostname.replace("*", "any", 1))
    except ssl.SSLCertVerificationError as error:
        raise BadPem(f"certificate refused: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise BadPem(f"certificate refused ({_reason(error)})") from None
    return Read(ssl.cert_time_to_seconds(said["notAfter"]), _name(said["issuer"]))


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, hostname: str) -> dict[str, Any]:
    """Both ends of a connection in turn, until the client has verified the server."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = client.wrap_bio(to_client, to_server, server_hostname=hostname)
    them = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(8):  # flights; TLS 1.3 needs three
        for end in (us, them):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
        if us.version() and (said := us.getpeercert()):
            return said
    raise ssl.SSLError("the handshake did not end")


def _no_password() -> str:
    raise ValueError("the key is locked with a password")


def _name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    found = {key: value for part in parts for key, value in part}
    return found.get("organizationName") or found.get("commonName") or ""


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
