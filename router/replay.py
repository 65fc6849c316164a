"""The one answer that sends a visitor on: `fly-replay` to an app of the table, in Fly's strictest grammar.

Answers for its bytes. Nothing of a request goes into them: app and machine come from the table and are
checked again right here, the state from the signer.
"""

import re

from router.page import Answer

# Fly's rule for app names is "under 63 chars using numbers, lowercase letters and dashes".
_APP = re.compile(r"[a-z0-9][a-z0-9-]{0,61}\Z")
_MACHINE = re.compile(r"[0-9a-z]{1,32}\Z")

# Fly ignores the status of a replay answer; 307 says the right thing to anyone else, and may state a length.
_HEAD = "HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\ncache-control: no-store\r\nfly-replay: "


def render(app: str, *, instance: str | None = None, prefer_instance: str | None = None) -> bytes:
    """Everything of a replay answer but its state; ValueError for a name that Fly would not give."""
    if not _APP.match(app):
        raise ValueError("not a Fly app name")
    fields = [f"app={app}"]
    for key, machine in (("instance", instance), ("prefer_instance", prefer_instance)):
        if machine is None:
            continue
        if not _MACHINE.match(machine):
            raise ValueError("not a Fly machine id")
        fields.append(f"{key}={machine}")
    return (_HEAD + ";".join(fields)).encode("ascii")


class Replays:
    """The replay answers of one published table; each is rendered when it is first asked for, and once."""

    def __init__(self) -> None:
        self._rendered: dict[tuple[str, str | None, str | None], bytes] = {}

    def answer(
        self, app: str, *, instance: str | None, prefer_instance: str | None, state: str | None
    ) -> Answer:
        """The answer that replays to `app`; `state` is the signer's, or None without authentication."""
        key = (app, instance, prefer_instance)
        rendered = self._rendered.get(key)
        if rendered is None:
            rendered = render(app, instance=instance, prefer_instance=prefer_instance)
            self._rendered[key] = rendered
        tail = b"\r\n" if state is None else b";state=" + state.encode("ascii") + b"\r\n"
        return Answer(rendered + tail)
