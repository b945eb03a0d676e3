"""A Redis master and a replica, with sentinels."""

import os
from collections.abc import Sequence

from tweeter.devtools.servers.cluster import Member, wait_until

SERVICE = "timelines"


class Watcher(Member):
    """A sentinel."""

    def __init__(self, master: Member) -> None:
        super().__init__()
        self._file = self.folder / "sentinel.conf"
        self._file.write_text(
            f"sentinel monitor {SERVICE} {master.host} {master.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\n"
            f"sentinel failover-timeout {SERVICE} 2000\n"
        )
        if self._owner:
            os.chown(self._file, self._owner["user"], self._owner["group"])

    def command(self) -> Sequence[str]:
        options = ("--port", str(self.port), "--bind", self.host, "--dir", str(self.folder))
        return [self._program, str(self._file), "--sentinel", *options]


class RedisSentinel:
    """A master, a replica, and three sentinels."""

    def __init__(self) -> None:
        self.master, self.replica = Member(), Member()
        self.watchers: list[Watcher] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"{watcher.host}:{watcher.port}" for watcher in self.watchers)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    def start(self) -> None:
        self.master.start()
        self.replica.start()
        with self.replica.client() as client:
            client.replicaof(self.master.host, self.master.port)
        wait_until(lambda: self.replica.follows)
        self.watchers = [Watcher(self.master) for _ in range(3)]
        for watcher in self.watchers:
            watcher.start()
        wait_until(self._agreed)

    def _agreed(self) -> bool:
        for watcher in self.watchers:
            with watcher.client() as client:
                state = client.sentinel_master(SERVICE)
                if state["num-other-sentinels"] != 2 or state["num-slaves"] != 1:
                    return False
        return True

    def close(self) -> None:
        for server in (*self.watchers, self.replica, self.master):
            server.close()
