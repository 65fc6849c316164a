"""Carries httpx's requests by aiohttp's client, which is several times as fast with many at once.

Answers for what the library between the two gets wrong: which failures prove that a request never left. Of
all others the effect is unknown, and a create that is repeated then would be done twice.
"""

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport


class Transport(AiohttpTransport):
    """Raises httpx's own exceptions, each as httpx's own transport would."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await _read_whole(await super().handle_async_request(request))
        except httpx.ConnectTimeout as error:  # the library's word for all that may happen to a connection
            match error.__cause__:  # of the first two nothing was sent
                case aiohttp.ConnectionTimeoutError():
                    raise
                case aiohttp.ClientConnectorError():
                    raise httpx.ConnectError(str(error), request=request) from error
            raise httpx.ReadError(str(error) or "the connection ended", request=request) from error
        except aiohttp.ClientError as error:  # one that the library has no word for
            raise httpx.ReadError(str(error) or type(error).__name__, request=request) from error


async def _read_whole(answer: httpx.Response) -> httpx.Response:
    """With its body, so that a connection that ends under it is told in the same words."""
    try:
        body = b"".join([chunk async for chunk in answer.aiter_raw()])
    finally:
        await answer.aclose()
    return httpx.Response(
        answer.status_code, headers=answer.headers, content=body, extensions=answer.extensions
    )
