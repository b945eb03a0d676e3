"""Streams over a WebSocket. Pushpin holds it, and asks the site in requests: one when it opens, one for each message.

Every request has the headers and the query of the first one. So the site keeps nothing about a WebSocket.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from pyramid.request import Request
from pyramid.response import Response

from tweeter.api.endpoints import ANY, Call, endpoint
from tweeter.api.entities import Empty
from tweeter.api.errors import Failure
from tweeter.api.streaming import STREAM_NAMES, channels_of, check_pushpin
from tweeter.streaming import WEBSOCKET_EVENTS

PING = 50  # seconds without an event, after which a WebSocket gets a ping; its pong is a request to the site


class Message(msgspec.Struct):
    """What a client sends: {"type": "subscribe", "stream": "hashtag", "tag": "python"}."""

    type: str
    stream: str = ""
    tag: str = ""
    list: str | int = 0


_decode = msgspec.json.Decoder(Message).decode


@endpoint("GET", "/api/v1/streaming", returns=Empty, streams=True)
def not_a_websocket(request: Request) -> Empty:
    """404: this address is for WebSockets."""
    raise Failure(404, "This address is for WebSockets. For server-sent events add the stream's name to the path.")


@endpoint(
    "POST", "/api/v1/streaming", returns=str, scope=ANY, anonymous=True, streams=True,
    media=WEBSOCKET_EVENTS,
)  # fmt: skip
def websocket(request: Request, stream: str = "", tag: str = "", list: str = "") -> Response:
    """A WebSocket with any number of streams. Pushpin sends its messages here."""
    from tweeter.streaming import grip

    check_pushpin(request)
    try:
        frames = [*grip.read_frames(request.body)]
    except ValueError as error:
        raise Failure(400, f"The body has no events of a WebSocket: {error}") from None
    answers: Any = []
    for frame in frames:
        if frame.kind == "OPEN":
            ping = {"message-type": "ping", "content": "", "timeout": PING}
            answers += [grip.Frame("OPEN"), grip.control("keep-alive", **ping)]
            if stream:
                # A first stream that is refused refuses the WebSocket.
                answers += _orders(request, Message("subscribe", stream, tag, list))
        elif frame.kind == "TEXT":
            answers += _answer(request, frame.content)
        elif frame.kind in ("CLOSE", "DISCONNECT"):
            answers.append(grip.Frame(frame.kind, frame.content))
    response = grip.websocket(answers)
    if protocol := request.headers.get("Sec-WebSocket-Protocol"):
        response.headers["Sec-WebSocket-Protocol"] = protocol
    return response


def _answer(request: Request, content: bytes) -> Iterator[Any]:
    """The frames for a message of the client. An error is a message of its own."""
    from tweeter.streaming import grip

    try:
        yield from [*_orders(request, _decode(content))]
    except msgspec.DecodeError:
        yield grip.Frame("TEXT", _error("The message is not the JSON of an order.", 400))
    except Failure as failure:
        yield grip.Frame("TEXT", _error(str(failure), failure.status))


def _error(text: str, status: int) -> bytes:
    return msgspec.json.encode({"error": text, "status": status})


def _orders(request: Request, message: Message) -> Iterator[Any]:
    """The orders to Pushpin. Raises Failure."""
    from tweeter.streaming import grip

    if message.type not in ("subscribe", "unsubscribe"):
        raise Failure(400, "type must be subscribe or unsubscribe")
    _check(request, message.stream)
    list_id = int(message.list or 0) if str(message.list or 0).isdecimal() else 0
    channel, *credential = channels_of(request, message.stream, message.tag, min(list_id, 2**63 - 1))
    if message.type == "subscribe":
        for name in (channel, *credential):
            yield grip.control("subscribe", channel=name)
    else:
        yield grip.control("unsubscribe", channel=channel)


def _check(request: Request, name: str) -> None:
    """Raises Failure if there is no such stream, or the token does not allow it."""
    context: Call = request.context
    needed = STREAM_NAMES.get(name)
    if needed is None:
        raise Failure(400, "Unknown stream type")
    if context.access is None and not needed.anonymous:
        raise Failure(401, "The access token is invalid")
    if context.access is not None:
        if not context.access.allows(needed.scope):
            raise Failure(403, "This action is outside the authorized scopes")
        if context.access.user is None and not needed.anonymous:
            raise Failure(422, "This method requires an authenticated user")
