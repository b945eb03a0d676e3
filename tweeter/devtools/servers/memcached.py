"""A private memcached."""

from collections.abc import Sequence

from tweeter.devtools.servers.base import Server, find, talk


class Memcached(Server):
    def __init__(self, megabytes: int = 64) -> None:
        self._program = find("memcached", "memcached")
        self._megabytes = megabytes
        super().__init__()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def command(self) -> Sequence[str]:
        return [self._program, "-l", self.host, "-p", str(self.port), "-U", "0", "-m", str(self._megabytes)]

    def answers(self) -> bool:
        return b"STAT pid %d\r" % self.pid in talk(self.port, b"stats\r\n")

    @staticmethod
    def answers_at(port: int) -> bool:
        return talk(port, b"version\r\n").startswith(b"VERSION")
