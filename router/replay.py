"""The one answer that sends a visitor on: `fly-replay` to an app of the table, in Fly's strictest grammar.

Answers for its bytes. Nothing of a request goes into them: app, machine and terms come from the table and
are checked again right here, the state from the signer.
"""

import re

from router.page import Answer
from router.table import Terms

# Fly's rule for app names is "under 63 chars using numbers, lowercase letters and dashes".
_APP = re.compile(r"[a-z0-9][a-z0-9-]{0,61}\Z")
_MACHINE = re.compile(r"[0-9a-z]{1,32}\Z")
_REGION = re.compile(r"[a-z]{2,8}\Z")
_FALLBACKS = ("force_self", "prefer_self")
SHORTEST_MS = 100
LONGEST_MS = 60_000  # a wake-up must not outlive its state; see `state.GRACE_S`

# Fly ignores the status of a replay answer; 307 says the right thing to anyone else, and may state a length.
_HEAD = "HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\ncache-control: no-store\r\nfly-replay: "


def render(
    app: str,
    *,
    instance: str | None = None,
    prefer_instance: str | None = None,
    regions: tuple[str, ...] = (),
) -> bytes:
    """A replay answer up to its state; ValueError for a name that Fly would not give."""
    if not _APP.match(app):
        raise ValueError("not a Fly app name")
    fields = [f"app={app}", *_region_field(regions)]
    for key, machine in (("instance", instance), ("prefer_instance", prefer_instance)):
        if machine is None:
            continue
        if not _MACHINE.match(machine):
            raise ValueError("not a Fly machine id")
        fields.append(f"{key}={machine}")
    return (_HEAD + ";".join(fields)).encode("ascii")


def ending(terms: Terms) -> bytes:
    """What follows the state; ValueError for terms that Fly does not know, or longer than a state lasts."""
    text = ""
    if terms.timeout_ms is not None:
        if not SHORTEST_MS <= terms.timeout_ms <= LONGEST_MS:
            raise ValueError(f"a replay's timeout is {SHORTEST_MS} to {LONGEST_MS} ms")
        seconds, rest_ms = divmod(terms.timeout_ms, 1000)
        text += f";timeout={terms.timeout_ms}ms" if rest_ms else f";timeout={seconds}s"
    if terms.fallback is not None:
        if terms.fallback not in _FALLBACKS:
            raise ValueError("not a fallback of Fly's")
        text += f";fallback={terms.fallback}"
    return text.encode("ascii") + b"\r\n"


class Replays:
    """The replay answers of one published table; each is rendered when it is first asked for, and once."""

    def __init__(self, terms: Terms) -> None:
        """Raises ValueError for terms that must not stand in a header."""
        _region_field(terms.regions)
        self._regions = terms.regions
        self._ending = ending(terms)
        self._rendered: dict[tuple[str, str | None, str | None], bytes] = {}

    def answer(
        self, app: str, *, instance: str | None, prefer_instance: str | None, state: str | None
    ) -> Answer:
        """The answer that replays to `app`; `state` is the signer's, or None without authentication."""
        key = (app, instance, prefer_instance)
        rendered = self._rendered.get(key)
        if rendered is None:
            # One machine named exactly is where it is: a region beside it could only contradict it.
            regions = self._regions if instance is None else ()
            rendered = render(app, instance=instance, prefer_instance=prefer_instance, regions=regions)
            self._rendered[key] = rendered
        proof = b"" if state is None else b";state=" + state.encode("ascii")
        return Answer(rendered + proof + self._ending)


def _region_field(regions: tuple[str, ...]) -> list[str]:
    """`region=iad`, or quoted when there are several; Fly takes commas nowhere else."""
    if not all(_REGION.match(region) for region in regions):
        raise ValueError("not a region of Fly")
    if not regions:
        return []
    return [f"region={regions[0]}" if len(regions) == 1 else f'region="{",".join(regions)}"']
