"""Whether a machine's answer is a replay, in either form.

Answers for telling the forms apart and reading a document of bounded size. The forms themselves are
`replay_header`'s and `replay_json`'s.
"""

import h11

from localfly.proxy import replay_header, replay_json
from localfly.proxy.machine import Upstream
from localfly.proxy.replay import Malformed, Replay


async def read(upstream: Upstream, head: h11.Response | h11.InformationalResponse) -> Replay | None:
    """The replay that an answer asks for, or None for an ordinary one, whose body is then untouched.

    Raises Malformed, NotImitated, or Broke when the document ends early.
    """
    headers = list(head.headers)
    if not replay_json.is_json(headers):
        return replay_header.read(headers)
    if any(name.startswith(b"fly-replay") for name, _ in headers):
        raise Malformed("both forms at once")  # which of them Fly obeys is not published
    document = b""
    async for data in upstream.answer():
        document += data
        if len(document) > replay_json.SIZE_LIMIT:
            raise Malformed("the document is too long")
    return replay_json.parse(document)
