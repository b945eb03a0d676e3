"""The connection to Pushpin over ZeroMQ: Pushpin subscribes to the channels that have listeners, and to no others."""

import json
import time
from collections.abc import Iterable
from functools import lru_cache

import zmq
from zmq.utils.monitor import recv_monitor_message

from tweeter.metrics import STREAM_EVENTS, child
from tweeter.streaming.channels import Channel, Credential

# Events that wait for each Pushpin, at most; further ones are lost. One tweet may go to each of 10,000 listeners.
WAITING = 100_000
SETTLED = 2.0  # seconds
TELLING = 0.5  # seconds after it is connected in which a Pushpin tells its channels


class Outlet:
    """Publishes to every Pushpin at these addresses. For one thread."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.SNDHWM, WAITING)
        self._socket.setsockopt(zmq.RCVHWM, 0)  # lost subscriptions would be silent streams
        # Otherwise events would wait for a Pushpin that was killed, and reach streams that begin later.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        # It tells when a Pushpin is connected, after which its subscriptions arrive.
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._connected = 0.0  # when the last Pushpin was (monotonic)
        self._missing = 0
        self._settled = False
        # The channels of a Pushpin that was connected after `settle`: they may have missed events.
        self.late: list[str] = []
        for address in addresses:
            self._socket.connect(address)
            self._missing += 1
        self.channels: dict[str, Channel] = {}
        self.credentials: dict[str, Credential] = {}

    def settle(self) -> None:
        """Waits until each Pushpin has told its channels, SETTLED seconds at most for one that does not run."""
        deadline = time.monotonic() + SETTLED
        while (left := deadline - time.monotonic()) > 0:
            self.look()
            if not self._missing and self.quiet:
                break
            time.sleep(min(left, 0.02))
        self._settled = True

    @property
    def quiet(self) -> bool:
        """Whether no Pushpin was connected just now, so that all have told their channels."""
        return time.monotonic() - self._connected > TELLING

    def look(self) -> None:
        """Updates `channels` and `credentials`: those that have listeners now."""
        while self._monitor.poll(0):
            recv_monitor_message(self._monitor)
            self._connected = time.monotonic()
            self._missing -= 1
        while True:
            try:
                message = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            name = message[1:].decode("utf-8", "replace")
            if message[:1] == b"\0":
                self.channels.pop(name, None)
                self.credentials.pop(name, None)
                continue
            if self._settled and not self.quiet:
                self.late.append(name)
            try:
                if channel := Channel.parse(name):
                    self.channels[name] = channel
                elif credential := Credential.parse(name):
                    self.credentials[name] = credential
            except ValueError:
                pass  # not ours

    @property
    def names(self) -> list[str]:
        """The names of all channels that have listeners."""
        return [*self.channels, *self.credentials]

    def publish(self, channel: Channel, event: str, payload: str) -> None:
        """Sends an event, in the form of each protocol."""
        child(STREAM_EVENTS, event).inc()
        self._send(channel.name, _formats(channel.stream, channel.label, event, payload))

    def close_streams(self, name: str) -> None:
        """Ends all streams with this channel."""
        self._send(name, _CLOSE)

    def _send(self, name: str, formats: str) -> None:
        message = f'J{{"channel":{json.dumps(name)},"formats":{formats}}}'
        self._socket.send_multipart([name.encode(), message.encode()])

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._context.term()


_CLOSE = json.dumps({"http-stream": {"action": "close"}, "ws-message": {"action": "close", "code": 4000}})


@lru_cache(maxsize=100)
def _formats(stream: str, label: str, event: str, payload: str) -> str:
    """An event for server-sent events and for WebSockets, as JSON: the same for all listeners of such streams."""
    names = [stream, *([label] if label else [])]
    content = json.dumps({"stream": names, "event": event, "payload": payload}, ensure_ascii=False)
    return json.dumps(
        {"http-stream": {"content": f"event: {event}\ndata: {payload}\n\n"}, "ws-message": {"content": content}},
        ensure_ascii=False,
    )
