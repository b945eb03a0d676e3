"""A private Redis without persistence."""

from collections.abc import Sequence

from tweeter.devtools.servers.base import Server, find, talk

REFUSALS = (b"-NOAUTH", b"-NOPERM", b"-DENIED")


class Redis(Server):
    def __init__(self) -> None:
        self._program = find("redis-server", "redis-server")
        super().__init__()

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def command(self) -> Sequence[str]:
        options = {"port": self.port, "bind": self.host, "dir": self.folder, "save": "", "appendonly": "no"}
        return [self._program, *(word for key, value in options.items() for word in (f"--{key}", str(value)))]

    def answers(self) -> bool:
        return b"process_id:%d\r" % self.pid in talk(self.port, b"INFO server\r\n")

    @staticmethod
    def answers_at(port: int) -> bool:
        return talk(port, b"PING\r\n").startswith((b"+PONG", *REFUSALS))

    @staticmethod
    def refuses_at(port: int) -> str:
        said = talk(port, b"PING\r\n")
        return said.decode(errors="replace").strip("-\r\n") if said.startswith(REFUSALS) else ""
