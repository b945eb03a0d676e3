"""Starts waitress from an ini file, with an additional timeout, an epoll loop for many connections and an orderly end.

    [server:main]
    paste.server_runner = tweeter.serve:serve

waitress closes a connection that is idle for `channel_timeout` seconds, unless the client does not read: waitress waits
until it can write before it closes. The kernel ends such a connection after the same time (TCP_USER_TIMEOUT).

waitress's loop checks every connection twice before each wait. With 128 connections its thread is always busy, and each
thread that serves a page waits for it after every call to SQL or a store. `Sockets` only checks connections that may
have changed, and waits with epoll. `tweeter bench page` on 2 cores, a page of 20 tweets from Redis, 1, 8 and 128
connections: 915, 815 and 77 pages/s with waitress's loop (switch interval 1 ms), 897, 889 and 874 with this one.

At SIGTERM waitress would drop the requests that it is serving. `run` ends a process so that a proxy loses none.
"""

import logging
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping
from threading import get_ident
from typing import Any

from pyramid.registry import Registry
from pyramid.router import Router
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask
from waitress.wasyncore import dispatcher, readwrite

from tweeter.delivery import materialized
from tweeter.timelines.circuit import State
from tweeter.web.rendering import compile_templates

log = logging.getLogger(__name__)

PROBED = 1.0  # seconds that the start waits for the first probe of each store
GOODBYE = 1.0  # seconds after SIGTERM in which connections are accepted, and closed after their next response
PATIENCE = 20.0  # seconds after SIGTERM for responses to end
EVERY = 1.0  # seconds between checks of all connections: waitress marks idle ones for closing outside the loop


class Sockets(dict[int, Any]):
    """The dispatchers of a server by file descriptor; replaces waitress's map and its loop.

    The loop, and the thread that serves its request, change the events for which a dispatcher waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changed: deque[int] = deque()
        self.served: dict[int, int] = {}  # by thread: the descriptor that it is serving
        self.ending = False
        self._epoll = select.epoll()
        self._awaited: dict[int, int] = {}  # by descriptor: the registered events of epoll
        self._listening: list[int] = []
        self._looked = 0.0

    def __setitem__(self, fd: int, dispatcher: Any) -> None:
        super().__setitem__(fd, dispatcher)
        self.changed.append(fd)

    def __delitem__(self, fd: int) -> None:
        super().__delitem__(fd)
        self._await(fd, 0)

    def loop(self, timeout: float, map: Any = None, use_poll: bool = True, count: int | None = None) -> None:
        """Replaces waitress.wasyncore.loop; `map` and `use_poll` exist only for its signature."""
        while self and (count is None or count > 0):
            self._look()
            for fd, events in self._epoll.poll(timeout):
                if (dispatcher := self.get(fd)) is not None:
                    readwrite(dispatcher, events)
                    self.changed.append(fd)
            if count is not None:
                count -= 1

    def _look(self) -> None:
        """Updates the events for which the dispatchers wait."""
        if (now := time.monotonic()) - self._looked > EVERY:
            self._looked = now
            self._listening = [fd for fd, dispatcher in self.items() if dispatcher.accepting]
            self.changed.extend(self)
        asked = {*self._listening, *list(self.served.values())}
        while self.changed:
            asked.add(self.changed.popleft())
        for fd in asked:
            if (dispatcher := self.get(fd)) is not None:
                events = select.EPOLLIN if dispatcher.readable() else 0
                if dispatcher.writable() and not dispatcher.accepting:
                    events |= select.EPOLLOUT
                self._await(fd, events)

    def _await(self, fd: int, events: int) -> None:
        before = self._awaited.pop(fd, 0)
        if events:
            self._awaited[fd] = events
        if before and events and before != events:
            self._epoll.modify(fd, events)
        elif events and not before:
            self._epoll.register(fd, events)
        elif before and not events:
            self._epoll.unregister(fd)


class Task(WSGITask):
    """A request. One that Pushpin forwards is the last of its connection.

    Pushpin opens a connection for each request of a thousand clients that reconnect, and keeps it for later. Beyond
    `connection_limit` the others would wait until `channel_timeout` closes one.
    """

    def build_response_header(self) -> bytes:
        if "GRIP_SIG" in self.request.headers:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


class Channel(HTTPChannel):
    """A connection. It stays in `served` until the loop can see all changes by its thread."""

    task_class = Task

    def service(self) -> None:
        sockets, thread, fd = self._map, get_ident(), self._fileno
        sockets.served[thread] = fd
        if sockets.ending:
            for request in self.requests:
                request.headers["CONNECTION"] = "close"
        try:
            super().service()
        finally:
            sockets.changed.append(fd)
            del sockets.served[thread]

    def handle_close(self) -> None:
        """Leaves closing to the loop, which may be about to use the descriptor."""
        if get_ident() in self._map.served:
            self.will_close = True
        else:
            super().handle_close()

    def _flush_some(self, do_close: bool = True) -> bool:
        """Takes the lock: a thread may send 100 Continue while the loop is sending or closing."""
        with self.outbuf_lock:
            return self.connected and super()._flush_some(do_close)


def make_server(app: Router, **options: Any) -> Any:
    """Makes a waitress server; `options` are waitress's."""
    epoll = hasattr(select, "epoll")  # Linux
    sockets: Any = Sockets() if epoll else {}
    server = create_server(app, map=sockets, **options)
    if epoll:
        server.asyncore = sockets
        for dispatcher in sockets.values():
            if hasattr(dispatcher, "channel_class"):
                dispatcher.channel_class = Channel
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        milliseconds = min(server.adj.channel_timeout * 1000, 2**31 - 1)
        patience = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        server.adj.socket_options = [*server.adj.socket_options, patience]
    return server


def serve(app: Router, global_config: dict[str, str], **options: Any) -> int:
    """The server runner for PasteDeploy: serves until the process ends. In development its last line is a greeting."""
    compile_templates(app.registry)
    server = make_server(app, **options)
    if app.registry.settings["tweeter.production"]:
        server.print_listen("Serving on http://{}:{}")
    else:
        if absent := absent_stores(app.registry):
            log.info("not available: %s (`make services` starts them; /lab shows the errors)", ", ".join(absent))
        print(greeting(server, app.registry.settings), file=sys.stderr, flush=True)
    run(server)
    return 0


def run(server: Any) -> None:
    """Serves until SIGTERM or Ctrl-C; then ends in order.

    After SIGTERM each connection is closed by its next response, so that a proxy sends further requests to other
    processes. A second later the listening sockets and idle connections are closed. The end of the running requests
    ends the server.
    """
    sockets = server.asyncore
    if not isinstance(sockets, Sockets):
        server.run()
        return
    trigger = next(dispatcher for dispatcher in sockets.values() if hasattr(dispatcher, "pull_trigger"))

    def end(number: int, frame: object) -> None:
        sockets.ending = True
        trigger.pull_trigger()  # ends the wait of the loop

    signal.signal(signal.SIGTERM, end)
    try:
        while not sockets.ending:
            sockets.loop(server.adj.asyncore_loop_timeout, count=1)
        _finish(sockets)
    except (SystemExit, KeyboardInterrupt):
        pass
    server.task_dispatcher.shutdown()


def _finish(sockets: Sockets) -> None:
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < PATIENCE:
        if elapsed > GOODBYE:
            for each in list(sockets.values()):
                if each.accepting:
                    dispatcher.close(each)  # the server's own method would close the trigger of its threads, too
                elif isinstance(each, Channel) and not _busy(each):
                    each.handle_close()
            if not any(isinstance(each, Channel) for each in sockets.values()):
                return
        sockets.loop(0.05, count=1)


def _busy(channel: Channel) -> bool:
    """Whether it has a request, or part of one, or a response that is not sent yet."""
    return bool(channel.requests or channel.request or channel.total_outbufs_len)


def absent_stores(registry: Registry, patience: float = PROBED) -> list[str]:
    """The lab's stores that are not available. Waits until each store was probed once."""
    circuits = [timelines.circuit for timelines in materialized(registry)]
    deadline = time.monotonic() + patience
    while any(circuit.state is State.STARTING for circuit in circuits) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [circuit.name for circuit in circuits if circuit.optional and circuit.state is State.OPEN]


def greeting(server: Any, settings: Mapping[str, Any]) -> str:
    """The address of the site, and the account to sign in with."""
    [(host, port), *_] = getattr(server, "effective_listen", None) or [(server.effective_host, server.effective_port)]
    name = "localhost" if host in ("127.0.0.1", "::1", "0.0.0.0") else host  # noqa: S104 (compared, not bound)
    line = f"Tweeter runs on http://{name}:{port}"
    user, _, password = settings["tweeter.demo_account"].partition(" ")
    return f"{line} · user {user} · password {password}" if user else line
