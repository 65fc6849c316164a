"""How answers look on the wire: JSON, the error envelope, and replies without a body.

Answers for the envelope `{"error", "status"?}`; the words in it are `refusal`'s.
"""

from typing import Any

from starlette.responses import JSONResponse, Response

from localfly.refusal import Refusal

JSON_TYPE = "application/json; charset=utf-8"


def ok(content: Any, *, status: int = 200) -> Response:
    """A success with a JSON body."""
    return JSONResponse(content, status, media_type=JSON_TYPE)


def empty(status: int) -> Response:
    """A success without a body (202, 204)."""
    return Response(status_code=status)


def refusal(refused: Refusal) -> Response:
    """The error envelope; `status` is there for classified failures only."""
    content = {"error": refused.text}
    if refused.code is not None:
        content["status"] = refused.code
    return JSONResponse(content, refused.http_status, media_type=JSON_TYPE)
