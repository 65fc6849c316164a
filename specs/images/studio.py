"""What the sample fleet's machines run: one user's studio, a page for visitors and a door for the platform.

Two listeners in one process, each behind the guard, as in Fly's guide: public (8080) and management (9090).
Answers for its own content alone; who may come in is `router/guard.py`'s, which an image gets by copying it.
"""

import asyncio
import contextlib
import hashlib
import html
import json
import os
import secrets
import signal
import string
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from router.guard import guard

PAGE = string.Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
VOLUME = Path("/data")
MAX_CODE_BYTES = 64 * 1024
CODE_MAY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # be looked at, not run
TICK_S = 1.0


@dataclass(slots=True)
class Studio:
    """One user's studio: what it shows and how often it was looked at."""

    folder: Path | None  # the volume; None: what it remembers ends with the process
    visits: int = 0
    code: str = ""
    revision: int = 0
    talking: int = 0
    is_closing: bool = False
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @classmethod
    def remembered(cls, folder: Path | None) -> "Studio":
        """The studio as its volume has it, or a new one."""
        if folder and (kept := folder / "studio.json").exists():
            known = json.loads(kept.read_text("utf-8"))
            return cls(folder, known["visits"], known["code"], known["revision"])
        return cls(folder)

    def keep(self) -> None:
        """Write it to the volume whole, so that a stop in between leaves the old one."""
        if self.folder is None:
            return
        text = json.dumps({"visits": self.visits, "revision": self.revision, "code": self.code})
        draft = self.folder / "studio.json.new"
        draft.write_text(text, "utf-8")
        draft.replace(self.folder / "studio.json")

    def about(self) -> dict[str, object]:
        """Whose machine answers, as JSON."""
        return {
            "app": os.environ.get("FLY_APP_NAME", "studio"),
            "title": os.environ.get("STUDIO_TITLE", "A studio of one's own"),
            "machine": os.environ.get("FLY_MACHINE_ID", "-"),
            "region": os.environ.get("FLY_REGION", "-"),
            "version": os.environ.get("FLY_MACHINE_VERSION", "-"),
            "has_openai_api_key": bool(os.environ.get("OPENAI_API_KEY")),  # that it is there, never its value
            "visits": self.visits,
            "code_revision": self.revision,
        }


def public(studio: Studio) -> Starlette:
    """What visitors see."""

    async def page(request: Request) -> Response:
        studio.visits += 1
        studio.keep()
        async with studio.news:
            studio.news.notify_all()
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse(studio.about(), headers={"cache-control": "no-store"})
        return HTMLResponse(*rendered(studio))

    async def events(_request: Request) -> Response:
        return StreamingResponse(ticks(studio), media_type="text/event-stream")

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        studio.talking += 1
        try:
            while True:
                await socket.send_text(f"{studio.about()['app']} heard: {await socket.receive_text()}")
        except WebSocketDisconnect:
            pass
        finally:
            studio.talking -= 1

    async def pushed(_request: Request) -> Response:
        return HTMLResponse(
            studio.code, headers={"content-security-policy": CODE_MAY, "cache-control": "no-store"}
        )

    routes = [Route("/", page), Route("/code", pushed), Route("/events", events), WebSocketRoute("/ws", echo)]
    return Starlette(routes=routes)


def management(studio: Studio) -> Starlette:
    """What the platform asks of it; health is the guard's own answer."""

    async def metrics(_request: Request) -> Response:
        rows = [
            ("studio_visits_total", "counter", studio.visits),
            ("studio_code_revision", "gauge", studio.revision),
            ("studio_websockets_open", "gauge", studio.talking),
        ]
        text = "".join(f"# TYPE {name} {kind}\n{name} {value}\n" for name, kind, value in rows)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def push(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_CODE_BYTES:
                return JSONResponse({"error": f"more than {MAX_CODE_BYTES} bytes"}, 413)
        try:
            studio.code = body.decode()
        except UnicodeDecodeError:
            return JSONResponse({"error": "not UTF-8 text"}, 400)
        studio.revision += 1
        studio.keep()
        return JSONResponse({"revision": studio.revision, "sha256": hashlib.sha256(body).hexdigest()})

    return Starlette(routes=[Route("/metrics", metrics), Route("/code", push, methods=["POST"])])


def rendered(studio: Studio) -> tuple[str, int, dict[str, str]]:
    """The page, its status and its headers."""
    about = {name: html.escape(str(value)) for name, value in studio.about().items()}
    nonce = secrets.token_urlsafe(16)
    code = ""
    if studio.code:
        code = (
            f"<h2>Pushed code, revision {studio.revision}</h2>"
            '<iframe sandbox title="Pushed code" src="/code"></iframe>'
        )
    hue = str(int(hashlib.sha256(str(about["app"]).encode()).hexdigest(), 16) % 360)
    text = PAGE.substitute(about, hue=hue, nonce=nonce, code=code)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'"
    )
    return text, 200, {"cache-control": "no-store", "content-security-policy": policy}


async def ticks(studio: Studio) -> AsyncIterator[str]:
    """Server-sent events: the visits so far, at once after each visit and at least every second."""
    while not studio.is_closing:
        yield f"data: {json.dumps({'visits': studio.visits})}\n\n"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_S), studio.news:
                await studio.news.wait()


class Listener(uvicorn.Server):
    """One of several servers in a process, which takes the signals for all of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `main`."""
        yield


def listener(app: object, internal_port: int) -> Listener:
    """Serve on all IPv4 addresses, as Fly wants it, or where localfly says."""
    local = os.environ.get(f"LOCALFLY_PORT_{internal_port}")
    host, port = ("127.0.0.1", int(local)) if local else ("0.0.0.0", internal_port)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI app; uvicorn's own type for it is narrower
        host=host,
        port=port,
        log_level="warning",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    return Listener(config)


def volume() -> Path | None:
    """The machine's volume; on a laptop /data, if there is one, is somebody else's."""
    is_on_a_laptop = "LOCALFLY_PORT_8080" in os.environ
    return VOLUME if VOLUME.is_dir() and not is_on_a_laptop else None


async def main() -> None:
    """Serve both until told to stop."""
    studio = Studio.remembered(volume())
    listeners = [
        listener(guard(public(studio), purpose="public", port=(80, 443, 4443)), 8080),
        listener(guard(management(studio), purpose="management", port=9090), 9090),
    ]

    def stop() -> None:
        studio.is_closing = True
        for each in listeners:
            each.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.gather(*(each.serve() for each in listeners))


if __name__ == "__main__":
    asyncio.run(main())
