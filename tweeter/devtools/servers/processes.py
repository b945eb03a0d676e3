"""Private processes of a site: `pserve` and `tweeter relay`, as an operator starts them."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tweeter.devtools.servers.base import Server, talk

LOGGING = """
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = timed
[logger_root]
level = {level}
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = timed
[formatter_timed]
format = %(asctime)s %(levelname)s %(name)s: %(message)s
"""


def write_ini(path: Path, settings: Mapping[str, Any], server: Mapping[str, str] = {}, level: str = "WARNING") -> None:
    """Writes the ini file of a site; `server` are settings of waitress."""
    sections = {"app:main": {"use": "egg:tweeter", **settings}}
    sections["server:main"] = {"paste.server_runner": "tweeter.serve:serve", **server}
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {str(value).replace('%', '%%')}" for key, value in values.items())]
    # The port is an argument of `pserve`.
    lines += ["listen = 127.0.0.1:%(http_port)s"]
    path.write_text("\n".join(lines) + "\n" + LOGGING.format(level=level), encoding="utf-8")


class SiteProcess(Server):
    """`pserve` with an ini file of `write_ini`."""

    user = "root"  # of the ini file's owner

    def __init__(self, ini: Path) -> None:
        self._ini = ini
        super().__init__()

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "pyramid.scripts.pserve", str(self._ini), f"http_port={self.port}"]

    def answers(self) -> bool:
        return talk(self.port, b"GET /robots.txt HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.")


class RelayProcess(Server):
    """`tweeter relay` with an ini file of `write_ini`. It listens at no port."""

    user = "root"
    _logged = 0  # bytes of its log before the start

    def __init__(self, ini: Path) -> None:
        self._ini = ini
        super().__init__()

    def command(self) -> Sequence[str]:
        self._logged = (self.folder / "log").stat().st_size
        return [sys.executable, "-m", "tweeter.cli", "relay", str(self._ini)]

    def answers(self) -> bool:
        return b"Delivering to" in (self.folder / "log").read_bytes()[self._logged :]
