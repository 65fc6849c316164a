"""What a visitor reads when there is no machine to go to: a small page, or JSON or a line for programs.

Answers for status, headers and body. When which page is due is `decide`'s; nothing of a request but its id,
and that only in Fly's own format, is repeated.
"""

import html
import json
import re
from dataclasses import dataclass

REQUEST_ID = re.compile(rb"[0-9A-HJKMNP-TV-Z]{26}-[a-z]{3}\Z")  # ULID and edge region, as Fly's proxy sets it

_PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    408: "Request Timeout",
    413: "Content Too Large",
    417: "Expectation Failed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
    508: "Loop Detected",
}
_TITLES = {
    404: "Nothing lives here",
    413: "Too much at once",
    503: "Not here right now",
    508: "Going in circles",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes of one answer; whoever writes them adds the connection's own header and the empty line."""

    head: bytes  # status line and headers, each with its line end
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not replayed: a status, a CamelCase reason for programs, a sentence for people."""

    status: int
    reason: str
    message: str
    retry_after_s: int | None = None


def refusal_page(refusal: Refusal, *, accept: bytes | None, request_id: bytes | None = None) -> Answer:
    """The page for `refusal` in the form that `accept` asks for: HTML, JSON, else plain text.

    `request_id` is shown when it has the form of Fly's ids, and left out otherwise.
    """
    shown_id = request_id.decode("ascii") if request_id and REQUEST_ID.match(request_id) else None
    wanted = (accept or b"").lower()
    if b"text/html" in wanted:
        kind, text = "text/html; charset=utf-8", _html(refusal, shown_id)
    elif b"application/json" in wanted:
        kind, text = "application/json", _json(refusal, shown_id)
    else:
        kind, text = "text/plain; charset=utf-8", _text(refusal, shown_id)
    return _answer(refusal.status, kind, text, retry_after_s=refusal.retry_after_s)


def plain(status: int, text: str) -> Answer:
    """A line of text, for health checks."""
    return _answer(status, "text/plain; charset=utf-8", text, retry_after_s=None)


def _answer(status: int, kind: str, text: str, *, retry_after_s: int | None) -> Answer:
    body = text.encode()
    retry = "" if retry_after_s is None else f"retry-after: {retry_after_s}\r\n"
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\n"
        f"content-type: {kind}\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\n"
        "vary: accept\r\n"
        "x-content-type-options: nosniff\r\n"
        f"{retry}"
    )
    return Answer(head.encode("ascii"), body)


def _text(refusal: Refusal, request_id: str | None) -> str:
    tail = f" (request {request_id})" if request_id else ""
    return f"{refusal.status} {refusal.reason}: {refusal.message}{tail}\n"


def _json(refusal: Refusal, request_id: str | None) -> str:
    told = {"error": refusal.reason, "message": refusal.message, "request_id": request_id}
    return json.dumps({key: value for key, value in told.items() if value is not None}) + "\n"


def _html(refusal: Refusal, request_id: str | None) -> str:
    again = refusal.retry_after_s
    return _PAGE.format(
        title=html.escape(_TITLES.get(refusal.status, _PHRASES[refusal.status])),
        message=html.escape(refusal.message),
        small=html.escape(f"{refusal.status} {refusal.reason}" + (f" · {request_id}" if request_id else "")),
        refresh="" if again is None else f'<meta http-equiv="refresh" content="{again}">\n',
        note="" if again is None else "<p class=note>This page tries again by itself.</p>\n",
    )


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
{refresh}<title>{title}</title>
<style>
:root {{ --ground: #f6f5f1; --card: #fff; --ink: #22252b; --soft: #6d727c; --line: #e4e2db }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ground: #15171b; --card: #1d2026; --ink: #eceef2; --soft: #9aa1ad; --line: #2c3038 }}
}}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--ground);
  color: var(--ink); font: 1.05rem/1.55 system-ui, sans-serif }}
main {{ box-sizing: border-box; width: min(32rem, 100% - 2rem); padding: 2.25rem 2.5rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 14px }}
h1 {{ margin: 0 0 .6rem; font-size: 1.55rem; line-height: 1.2; letter-spacing: -.01em }}
p {{ margin: 0 }}
.note {{ margin-top: .6rem; color: var(--soft) }}
small {{ display: block; margin-top: 1.6rem; color: var(--soft); font: .8rem ui-monospace, monospace;
  overflow-wrap: anywhere }}
</style>
<main>
<h1>{title}</h1>
<p>{message}</p>
{note}<small>{small}</small>
</main>
</html>
"""
