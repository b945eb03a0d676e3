"""What private servers have in common: a process, a free port, a temporary folder, stopped by their own handle."""

import atexit
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tweeter.errors import TweeterError

HOST = "127.0.0.1"
LOCAL = ("localhost", HOST)
PORTS = 15_000, 32_768  # Linux takes those from 32,768 for outgoing connections, unless it is told otherwise
PATIENCE = 30  # seconds to start or to stop

_reserved: dict[int, socket.socket] = {}


class NotInstalled(TweeterError):
    """A server's program is missing; the text names the Debian package it comes with."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed; it comes with the Debian package {package}")
        self.package = package


def find(program: str, package: str, *folders: Path) -> str:
    """The path of a program, looked for in the folders and then on PATH.

    Raises NotInstalled.
    """
    for folder in folders:
        if (folder / program).exists():
            return str(folder / program)
    if path := shutil.which(program):
        return path
    raise NotInstalled(program, package)


def free_port() -> int:
    """Reserves a port and returns it: no other process that asks gets it before `release_port` or this one's end.

    The port lies below the range that the kernel uses for outgoing connections. A connection to it is refused until a
    server listens. The server has to set SO_REUSEADDR, as Redis, memcached, PostgreSQL, waitress and asyncio do.
    """
    while True:
        with suppress(OSError):
            return reserve_port(random.randrange(*PORTS))  # noqa: S311 (no secret)


def reserve_port(port: int) -> int:
    """Reserves one certain port. Raises OSError where it is taken."""
    holder = socket.socket()
    try:
        holder.bind((HOST, port))  # fails beside any other socket at the port
    except OSError:
        holder.close()
        raise
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # from now on a server may listen beside it
    _reserved[port] = holder
    return port


def release_port(port: int) -> None:
    """Lets others take a reserved port; nothing where this process did not reserve it."""
    if holder := _reserved.pop(port, None):
        holder.close()


def resident(pid: int) -> int:
    """Bytes of memory that a process has (its resident set), as Linux tells."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Server:
    """One process. `start` and `stop` as often as one likes: it keeps its port, and forgets what it held."""

    user = "nobody"  # who runs it when root starts it
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        root = os.geteuid() == 0
        self._owner: dict[str, Any] = {}
        # Root's own TMPDIR may be closed to the user that the server runs as.
        self.folder = Path(tempfile.mkdtemp(prefix="tweeter-server-", dir="/tmp" if root else None))
        if root:
            user = pwd.getpwnam(self.user if _exists(self.user) else "nobody")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.host = HOST
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether this process answers at the port, and no other."""
        raise NotImplementedError

    @staticmethod
    def refuses_at(port: int) -> str:
        """Why a server that answers there lets nobody in without a password; empty where it does."""
        return ""

    def start(self) -> None:
        """Returns once the server answers."""
        for _ in range(5):
            first = not self.port
            self.port = self.port or free_port()
            if self._begin():
                return
            if first:
                self.port = 0  # somebody else took the port meanwhile
        raise RuntimeError(f"{type(self).__name__} does not start:\n{self.log}")

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def alive(self) -> bool:
        """False also where it ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def resident(self) -> int:
        """Bytes of memory that the process has, without its children's."""
        return resident(self.pid)

    def stop(self) -> None:
        """Ends it in order."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Ends it like a crash."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It hangs from now on: connections stay open, nothing is answered."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)  # it takes effect a moment later

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{type(self).__name__} does not run")
        return self._process

    def close(self) -> None:
        """Stops it for good and removes its folder."""
        self.stop()
        release_port(self.port)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def run(self, *command: str) -> None:
        """Runs a program to its end as the user who owns the folder."""
        with (self.folder / "log").open("ab") as log:
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=_environment(),
                check=False, **self._owner,
            )  # fmt: skip
        if result.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{self.log}")

    def _begin(self) -> bool:
        # A process that is killed takes its servers with it; one that is interrupted closes them in order itself.
        # The kernel takes the thread that starts a server for its parent: the end of that thread ends the server too.
        setpriv = shutil.which("setpriv")
        leash = [setpriv, "--pdeathsig", self.stop_signal.name] if setpriv else []
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*leash, *self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=_environment(), start_new_session=True, **self._owner,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            if self.answers() and self._process.poll() is None:
                return True
            time.sleep(0.02)
        self.kill()
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def talk(port: int, question: bytes) -> bytes:
    """What a server answers first, 4,096 bytes at most; nothing where there is none."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(question)
            return connection.recv(4096)
    except OSError:
        return b""


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")}
