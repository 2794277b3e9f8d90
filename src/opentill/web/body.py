"""Reading the body of a request from whoever sends it, and no more of it than is allowed."""

from opentill.kernel.asgi import Receive


class CallerGone(Exception):  # noqa: N818 - nobody is left to be told
    """The caller hung up before the body was complete."""


async def read_whole(receive: Receive, *, bytes_max: int) -> bytes | None:
    """Return the whole body, or None if it has more than *bytes_max* bytes. Raises CallerGone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise CallerGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > bytes_max:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return part if len(parts) == 1 else b"".join(parts)
