"""Asking a port on this laptop whether it is well: by connecting, or with one HTTP request.

Answers for what is said and heard on the wire. When, and for which port, is `check`'s.
"""

import asyncio
import os
import ssl

import h11

from localfly.check import Check, Outcome

OUTPUT_LIMIT = 1024
READ_SIZE = 16 * 1024
TOO_MANY = 429  # the one status that is a warning: the agent behind Fly's checks calls it one


async def probe(check: Check, host: str, port: int) -> Outcome:
    """Status (`passing`, `warning`, `critical`) and what to show; takes as long as the other side lets it."""
    try:
        reader, writer = await asyncio.open_connection(
            host,
            port,
            ssl=_tls(check) if check.is_tls else None,
            server_hostname=(check.tls_server_name or "localhost") if check.is_tls else None,
        )
    except ssl.SSLError as error:
        return "critical", f"tls: {error.reason or error}"
    except OSError as error:
        return "critical", f"connect: {os.strerror(error.errno or 0).lower()}"
    try:
        if check.type == "tcp":
            return "passing", "Success"
        return await _ask(check, host, port, reader, writer)
    except (ConnectionError, h11.ProtocolError) as error:
        return "critical", f"no HTTP answer: {error}"
    finally:
        writer.transport.abort()


async def _ask(
    check: Check, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Outcome:
    http = h11.Connection(h11.CLIENT)
    headers = {"host": f"{host}:{port}", "user-agent": "localfly-check", "connection": "close"}
    headers |= {name.lower(): value for name, value in check.headers}
    request = h11.Request(method=check.method, target=check.path, headers=list(headers.items()))
    for part in (request, h11.EndOfMessage()):
        writer.write(http.send(part) or b"")
    status, body = 0, bytearray()
    while len(body) < OUTPUT_LIMIT:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    url = f"{'https' if check.is_tls else 'http'}://{host}:{port}{check.path}"
    text = bytes(body[:OUTPUT_LIMIT]).decode(errors="replace")
    return _verdict(status), f"HTTP {check.method} {url}: {status} Output: {text}"


def _verdict(status: int) -> str:
    if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls success
        return "passing"
    return "warning" if status == TOO_MANY else "critical"


def _tls(check: Check) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not check.is_tls_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
