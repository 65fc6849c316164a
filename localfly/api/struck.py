"""A request under faults: answered late, wrongly, or not at all, before or after it had its effect.

Answers for the order of these, and for what a mishap looks like on the wire. Which request is struck is
`faults`'.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import from_json
from starlette.responses import HTMLResponse, Response

from localfly.api.answer import Lost, empty, ok
from localfly.api.call import Call
from localfly.faults import Fault
from localfly.mishap import LOST, MISHAPS, Mishap


async def strike(fault: Fault, call: Call, answer: Callable[[], Awaitable[Response]]) -> Response:
    """The fault's answer, or the request's own; with or without the effect of answering."""
    own = await answer() if fault.after_effect else None
    if fault.delay_s:
        await call.world.clock.sleep(fault.delay_s)
    if fault.answer == LOST:
        return Lost()
    if fault.answer is not None:
        return _rendered(MISHAPS[fault.answer], fault, await _about(call))
    return own or await answer()


def _rendered(mishap: Mishap, fault: Fault, about: Mapping[str, str]) -> Response:
    text, status = mishap.words(about), mishap.http_status
    match fault.form or mishap.form:
        case "html":
            page = f"<html><head><title>{status}</title></head><body><h1>{status} {text}</h1></body></html>"
            return HTMLResponse(page, status)
        case "empty":
            return empty(status)
        case "message":
            return ok({"message": text}, status=status)
        case _:
            code = {} if mishap.code is None else {"status": mishap.code}
            return ok({"error": text, **code}, status=status)


async def _about(call: Call) -> dict[str, str]:
    """What the request names in its path and body, for the words of a mishap."""
    about = {part: str(value) for part, value in call.request.path_params.items()}
    app = call.world.apps.get(about.get("app_name", ""))
    if app is not None:
        about |= {"org": app.org.slug}
    body = await _body(call)
    texts = {part: body[part] for part in ("name", "region") if isinstance(body.get(part), str)}
    mounts = body.get("config", {}).get("mounts") if isinstance(body.get("config"), dict) else None
    if isinstance(mounts, list) and mounts and isinstance(mounts[0], dict):
        texts["volume_id"] = str(mounts[0].get("volume"))
    return about | texts


async def _body(call: Call) -> dict[str, Any]:
    try:
        content = from_json(await call.request.body())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
