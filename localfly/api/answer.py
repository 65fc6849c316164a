"""How answers look on the wire: JSON, the error envelope, replies without a body, and no answer at all.

Answers for the envelope `{"error", "status"?}`; the words in it are `refusal`'s. How a connection ends is the
server's, by the function that it leaves in the request's scope.
"""

from typing import Any

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from localfly.refusal import Refusal

JSON_TYPE = "application/json; charset=utf-8"
HANG_UP = "localfly.hang_up"  # in a scope's extensions: its `now()` ends the connection at once


def ok(content: Any, *, status: int = 200) -> Response:
    """A success with a JSON body."""
    return Response(to_json(content), status, media_type=JSON_TYPE)


def empty(status: int) -> Response:
    """A success without a body (202, 204)."""
    return Response(status_code=status)


def refusal(refused: Refusal) -> Response:
    """The error envelope; `status` is there for classified failures only."""
    content = {"error": refused.text}
    if refused.code is not None:
        content["status"] = refused.code
    return Response(to_json(content), refused.http_status, refused.headers, media_type=JSON_TYPE)


class ConnectionEnded(ConnectionError):  # noqa: N818 - the moment, as in asyncio's names
    """An answer is lost where there is no connection that could end: in a test without sockets."""


class Lost(Response):
    """No answer: the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - Response's shape
        extension = scope.get("extensions", {}).get(HANG_UP)
        if extension is None:
            raise ConnectionEnded("the connection ended before an answer, as a fault wants it")
        extension["now"]()
        while (await receive())["type"] != "http.disconnect":
            """What is left of the request's body."""


class Unheard(Response):
    """No answer: whoever asked is gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say nothing."""
