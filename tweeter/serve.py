"""waitress as an ini file starts it, but for one bound that it lacks.

waitress closes a connection that is idle for `channel_timeout` seconds, except where the reader does not read: to
close it waits until it can write. The kernel can end such a connection after the same time.

    [server:main]
    paste.server_runner = tweeter.serve:serve
"""

import socket
from typing import Any

import waitress
from pyramid.router import Router
from waitress.server import create_server


def make_server(app: Router, **options: Any) -> Any:
    """A server of waitress with its own options."""
    server = create_server(app, **options)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        milliseconds = server.adj.channel_timeout * 1000
        patience = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        server.adj.socket_options = [*server.adj.socket_options, patience]
    return server


def serve(app: Router, global_config: dict[str, str], **options: Any) -> int:
    """For PasteDeploy: serves until the process ends."""
    waitress.serve(app, _server=make_server, **options)
    return 0
