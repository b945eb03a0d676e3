"""A private RabbitMQ with a private port mapper (epmd)."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tweeter.devtools.servers.base import Server, find, free_port, leash, release_port, talk

HEADER = b"AMQP\x00\x00\x09\x01"


class RabbitMQ(Server):
    """Its messages outlive a restart only if they are durable."""

    user = "rabbitmq"

    def __init__(self) -> None:
        # The program in /usr/sbin changes the user.
        self._program = find("rabbitmq-server", "rabbitmq-server", Path("/usr/lib/rabbitmq/bin"))
        self._mapper_program = find("epmd", "erlang-base")
        self._mapper: subprocess.Popen[bytes] | None = None
        self._ports = [free_port(), free_port()]
        super().__init__()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}//"

    @property
    def _name(self) -> str:
        return f"tweeter-{self._ports[0]}@"

    def command(self) -> Sequence[str]:
        return [self._program]

    def environment(self) -> dict[str, str]:
        mapper, distribution = self._ports
        own = {
            "HOME": self.folder,
            "ERL_EPMD_PORT": mapper,
            "ERL_EPMD_ADDRESS": self.host,
            "RABBITMQ_NODENAME": f"{self._name}localhost",
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": distribution,
            "RABBITMQ_MNESIA_BASE": self.folder / "data",
            "RABBITMQ_LOG_BASE": self.folder,
            "RABBITMQ_PID_FILE": self.folder / "pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "plugins",
            "RABBITMQ_CONF_ENV_FILE": self.folder / "no-such-file",
            # One scheduler that does not spin while idle: tests share their processors.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        return super().environment() | {key: str(value) for key, value in own.items()}

    def answers(self) -> bool:
        # Its first response names the cluster, which is by default the node at the machine's own name.
        return self._name.encode() in talk(self.port, HEADER)

    def spawn(self) -> None:
        if self._mapper is None:
            # Otherwise the server would start one that outlives it.
            self._mapper = subprocess.Popen(
                [*leash(), self._mapper_program, "-port", str(self._ports[0])],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder,
                env=self.environment(), **self._owner,
            )  # fmt: skip
        super().spawn()

    def _signal(self, number: signal.Signals) -> None:
        # The program is a script, which does not pass on every signal.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        super().close()
        if self._mapper is not None:
            self._mapper.terminate()
            self._mapper.wait()
            self._mapper = None
        for port in self._ports:
            release_port(port)
