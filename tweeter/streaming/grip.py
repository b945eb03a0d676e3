"""GRIP, the protocol of Pushpin: signed requests, held responses, and WebSockets as requests.

https://pushpin.org/docs/protocols/grip/
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jwt
from pyramid.request import Request
from pyramid.response import Response

from tweeter.streaming import WEBSOCKET_EVENTS

KEEP_ALIVE = 15  # seconds without an event, after which a held response gets a comment


def came_through(request: Request, key: str) -> bool:
    """Whether Pushpin forwarded this request: it signs requests with its `sig_key`."""
    try:
        jwt.decode(request.headers.get("Grip-Sig", ""), key, algorithms=["HS256"], options={"require": ["exp"]})
    except jwt.InvalidTokenError:
        return False
    return True


def held(channels: Iterable[str], beginning: str) -> Response:
    """Server-sent events: Pushpin holds the client's request, and adds what is published in these channels."""
    response = Response(beginning.encode(), content_type="text/event-stream", charset="UTF-8")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx
    response.headers["Grip-Hold"] = "stream"
    response.headers["Grip-Channel"] = ", ".join(channels)
    response.headers["Grip-Keep-Alive"] = f":thump\\n\\n; format=cstring; timeout={KEEP_ALIVE}"
    return response


class Frame(NamedTuple):
    """An event of a WebSocket: OPEN, TEXT, BINARY, PING, PONG, CLOSE or DISCONNECT."""

    kind: str
    content: bytes = b""


def read_frames(body: bytes) -> Iterator[Frame]:
    """The events in the body of a request. Raises ValueError."""
    while body:
        line, _, body = body.partition(b"\r\n")
        kind, _, size = line.partition(b" ")
        if not size:
            yield Frame(kind.decode("ascii"))
            continue
        length = int(size, 16)
        if body[length : length + 2] != b"\r\n":
            raise ValueError("an event is not as long as it says")
        yield Frame(kind.decode("ascii"), body[:length])
        body = body[length + 2 :]


def control(type_: str, **values: Any) -> Frame:
    """An order to Pushpin, for example to subscribe a WebSocket to a channel."""
    return Frame("TEXT", b"c:" + json.dumps({"type": type_, **values}).encode())


def websocket(frames: Iterable[Frame]) -> Response:
    """The answer to the events of a WebSocket."""
    body = b"".join(
        b"%s\r\n" % kind.encode() if not content else b"%s %x\r\n%s\r\n" % (kind.encode(), len(content), content)
        for kind, content in frames
    )
    response = Response(body, content_type=WEBSOCKET_EVENTS, charset=None)
    response.headers["Sec-WebSocket-Extensions"] = 'grip; message-prefix=""'
    return response
