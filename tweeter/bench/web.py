"""Measured web servers: each is waitress in a process of its own, with the settings of the ini file."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import plaster
from pyramid.paster import setup_logging
from pyramid.router import Router

import tweeter
from tweeter.bench.browser import Address
from tweeter.bench.children import Child
from tweeter.bench.scratch import Scratch
from tweeter.serve import make_server

# The ini file's listening address is not used.
ELSEWHERE = frozenset(("listen", "host", "port", "ipv4", "ipv6", "unix_socket", "unix_socket_perms", "sockets"))
RUNNERS = ("use", "paste.server_runner")


def server_settings(ini: str) -> dict[str, str]:
    """The ini file's waitress settings; the defaults if the file has no server section."""
    found = plaster.get_loader(ini, protocols=["wsgi"]).get_settings("server:main")
    ours = any(found.get(key) in ("egg:waitress#main", "egg:waitress", "tweeter.serve:serve") for key in RUNNERS)
    return {key: value for key, value in found.items() if ours and key not in {*ELSEWHERE, *RUNNERS}}


def site_app(settings: dict[str, Any]) -> Router:
    """The site as pserve would build it."""
    return tweeter.main({}, **settings)


class Served(NamedTuple):
    """A running server."""

    address: Address
    child: Child

    def cpu(self) -> float:
        """CPU seconds of its process."""
        return self.child.call(time.process_time)


@contextmanager
def serving(
    scratch: Scratch, ini: str, name: str, make: Callable[..., Router], *arguments: Any, port: int = 0
) -> Iterator[Served]:
    """Runs a server for the application that `make(*arguments)` returns in the server's process; 0 is any free port.

    It logs as the ini file says, except that standard error is a file of this name.
    """
    log = str(scratch.folder / f"{name}.log")
    with closing(Child()) as child:
        yield Served(child.call(_serve, ini, log, server_settings(ini), port, make, arguments), child)


def _serve(
    ini: str, log: str, settings: Mapping[str, str], port: int, make_app: Callable[..., Router], arguments: Any
) -> Address:
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 2)
    setup_logging(ini)
    server = make_server(make_app(*arguments), **settings, listen=f"127.0.0.1:{port}")
    threading.Thread(target=server.run, daemon=True).start()
    return "127.0.0.1", server.effective_port
