"""A private Pushpin before a site."""

import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tweeter.devtools.servers.base import HOST, Server, find, free_port, release_port, resident

KEY = "a key for the private Pushpin of tests"

READY = "ready.invalid"  # the host of the request that `answers` sends
HOLD = b"HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: ready\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

CONFIGURATION = """
[global]
include={{libdir}}/internal.conf
rundir={folder}
ipc_prefix=

[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port={host}:{port}
logdir={folder}
log_level=2
client_buffer_size=16384
client_maxconn=20000

[proxy]
routesfile={folder}/routes
sig_key={key}
zurl_out_specs=ipc://{{rundir}}/zurl-in
zurl_out_stream_specs=ipc://{{rundir}}/zurl-in-stream
zurl_in_specs=ipc://{{rundir}}/zurl-out

[handler]
push_in_spec=ipc://{{rundir}}/push-in
push_in_http_addr={host}
push_in_http_port={http_port}
push_in_sub_specs=tcp://{host}:{events_port}
command_spec=ipc://{{rundir}}/command
message_rate=1000000
message_hwm=1000000
"""


class Pushpin(Server):
    """Forwards requests to a site at a port of this machine, and holds those that the site answers by GRIP.

    `site_port` may change while it does not run.
    """

    def __init__(self, site_port: int = 0) -> None:
        self._program = find("pushpin", "pushpin")
        self.site_port = site_port
        self._ports = [free_port(), free_port(), free_port()]
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """Those of a site behind it."""
        return {"tweeter.pushpin": f"tcp://{self.host}:{self._ports[1]}", "tweeter.pushpin.key": KEY}

    def command(self) -> Sequence[str]:
        http_port, events_port, origin_port = self._ports
        routes = f"{READY} {HOST}:{origin_port}\n* {HOST}:{self.site_port},over_http\n"
        (self.folder / "routes").write_text(routes)
        (self.folder / "pushpin.conf").write_text(
            CONFIGURATION.format(
                folder=self.folder, host=HOST, port=self.port, http_port=http_port, events_port=events_port, key=KEY
            )
        )
        return [self._program, f"--config={self.folder / 'pushpin.conf'}", "--merge-output"]

    def answers(self) -> bool:
        """Whether it holds a request: the proxy answers others before it is connected to the handler."""
        with suppress(OSError), socket.create_server((HOST, self._ports[2])) as origin:
            origin.settimeout(1)
            with socket.create_connection((HOST, self.port), timeout=1) as client:
                client.sendall(f"GET / HTTP/1.1\r\nHost: {READY}\r\n\r\n".encode())
                with origin.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(HOLD)
                return client.recv(4096).startswith(b"HTTP/1.1 200 ")
        return False

    def _signal(self, number: signal.Signals) -> None:
        if number == self.stop_signal:  # it passes that one on
            super()._signal(number)
            return
        family = [self.pid, *self._children()]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while number == signal.SIGKILL and any(Path(f"/proc/{pid}/cmdline").exists() for pid in family[1:]):
            time.sleep(0.01)  # init reaps them; until then they may have the ports

    def _children(self) -> list[int]:
        try:
            return [*map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split())]
        except FileNotFoundError:
            return []

    @property
    def resident(self) -> int:
        """The resident set size of all its processes, in bytes."""
        return sum(map(resident, [self.pid, *self._children()]))

    def close(self) -> None:
        super().close()
        for port in self._ports:
            release_port(port)
