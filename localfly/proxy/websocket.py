"""What a machine says on a WebSocket, on its way to the client, and the close frame before it stops.

Answers for knowing where one frame ends and the next begins, so that a frame of the proxy's own fits between
them. Frames themselves are the `websockets` library's; carrying bytes is `pipe`'s.
"""

from collections.abc import Callable

from websockets.frames import Close, CloseCode, Frame, Opcode

_SMALL, _MEDIUM, _LARGE = 2, 4, 10  # bytes of a header without mask, by the length it can tell
_MASK = 4


class Downstream:
    """One direction of an open WebSocket; `write` puts bytes to the client."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._head = bytearray()
        self._left = 0  # bytes of the present frame that are still to come
        self._is_leaving = False
        self._has_left = False

    def pass_on(self, data: bytes) -> None:
        """Bytes of the machine; nothing of them after a close frame of the proxy."""
        if self._has_left:
            return
        end = self._count(data)
        if self._is_leaving and end:
            self._write(data[:end])
            self._close()
        else:
            self._write(data)

    def leave(self) -> None:
        """Send a close frame (1001, going away), now or after the frame under way; idempotent."""
        self._is_leaving = True
        if not (self._has_left or self._head or self._left):
            self._close()

    def _close(self) -> None:
        self._has_left = True
        goodbye = Close(CloseCode.GOING_AWAY, "").serialize()
        self._write(Frame(Opcode.CLOSE, goodbye).serialize(mask=False))

    def _count(self, data: bytes) -> int:
        """How many of these bytes lead up to the last end of a frame in them, or when leaving to the first.

        0 when none ends.
        """
        at = end = 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                at += taken
            else:
                self._head.append(data[at])
                at += 1
                if (size := _payload(self._head)) is None:
                    continue
                self._head.clear()
                self._left = size
            if not self._left:
                end = at
                if self._is_leaving:
                    break
        return end


def _payload(head: bytearray) -> int | None:
    """The number of bytes that follow this header; None while it is not whole."""
    if len(head) < _SMALL:
        return None
    length = head[1] & 0x7F
    size = {126: _MEDIUM, 127: _LARGE}.get(length, _SMALL)
    if len(head) < size + (_MASK if head[1] & 0x80 else 0):
        return None
    return length if size == _SMALL else int.from_bytes(head[2:size])
