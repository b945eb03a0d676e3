"""Base class of private servers: a process, a free port, a temporary folder, a handle that stops it."""

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
PORTS = 15_000, 32_768  # by default Linux uses ports from 32,768 for outgoing connections
PATIENCE = 30  # seconds to start or to stop

_reserved: dict[int, socket.socket] = {}


class NotInstalled(TweeterError):
    """A server's program is missing. The message names its Debian package."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed; it comes with the Debian package {package}")
        self.package = package


def find(program: str, package: str, *folders: Path) -> str:
    """The path of a program, searched in the folders and then on PATH.

    Raises NotInstalled.
    """
    for folder in folders:
        if (folder / program).exists():
            return str(folder / program)
    if path := shutil.which(program):
        return path
    raise NotInstalled(program, package)


def free_port() -> int:
    """Reserves a free port until `release_port` or the end of this process, and returns it.

    The port is below the range of the kernel's outgoing connections. Connections to it are refused until a server
    listens. The server must set SO_REUSEADDR, as Redis, memcached, PostgreSQL, waitress and asyncio do.
    """
    while True:
        with suppress(OSError):
            return reserve_port(random.randrange(*PORTS))  # noqa: S311 (no secret)


def reserve_port(port: int) -> int:
    """Reserves this port. Raises OSError if it is in use."""
    holder = socket.socket()
    try:
        holder.bind((HOST, port))  # fails if any other socket is bound to the port
    except OSError:
        holder.close()
        raise
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lets a server listen beside this socket
    _reserved[port] = holder
    return port


def release_port(port: int) -> None:
    """Releases a reserved port. Does nothing if this process did not reserve it."""
    if holder := _reserved.pop(port, None):
        holder.close()


def resident(pid: int) -> int:
    """The resident set size of a process in bytes, from Linux."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Server:
    """One server process. It can be started and stopped repeatedly: it keeps its port and loses its data."""

    user = "nobody"  # the user that runs it if root starts it
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        root = os.geteuid() == 0
        self._owner: dict[str, Any] = {}
        # Root's own TMPDIR may be inaccessible to the user that runs the server.
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

    def environment(self) -> dict[str, str]:
        """The environment variables of its programs."""
        return {key: value for key, value in os.environ.items() if not key.startswith("PG")}

    def answers(self) -> bool:
        """Whether this process, and no other, responds at the port."""
        raise NotImplementedError

    @staticmethod
    def refuses_at(port: int) -> str:
        """Why a server at this port rejects clients without a password; empty if it accepts them."""
        return ""

    def start(self) -> None:
        """Starts the server and waits until it responds."""
        for _ in range(5):
            first = not self.port
            self.spawn()
            if self._responds():
                return
            if first:
                self.port = 0  # another process took the port
        raise RuntimeError(f"{type(self).__name__} does not start:\n{self.log}")

    def spawn(self) -> None:
        """Starts the process. Several servers start at the same time if all are spawned before the first `wait`."""
        self.port = self.port or free_port()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*leash(self.stop_signal), *self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env=self.environment(), start_new_session=True, **self._owner,
            )  # fmt: skip

    def wait(self) -> None:
        """Waits until the spawned server responds. Raises RuntimeError."""
        if not self._responds():
            raise RuntimeError(f"{type(self).__name__} does not start:\n{self.log}")

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def alive(self) -> bool:
        """Whether it runs; False if it exited by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def resident(self) -> int:
        """The resident set size in bytes, without child processes."""
        return resident(self.pid)

    def stop(self) -> None:
        """Shuts it down cleanly."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kills it, as a crash would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Suspends it: connections stay open, requests get no response."""
        process = self._running()
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)  # the signal takes effect asynchronously

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{type(self).__name__} does not run")
        return self._process

    def close(self) -> None:
        """Stops it permanently and removes its folder."""
        self.stop()
        release_port(self.port)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def run(self, *command: str) -> None:
        """Runs a program to completion, as the folder's owner."""
        with (self.folder / "log").open("ab") as log:
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=self.environment(),
                check=False, **self._owner,
            )  # fmt: skip
        if result.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{self.log}")

    def _responds(self) -> bool:
        """Waits until the process responds; False, and it is dead, if it does not."""
        deadline = time.monotonic() + PATIENCE
        while self.alive and time.monotonic() < deadline:
            if self.answers() and self.alive:
                return True
            time.sleep(0.02)
        self.kill()
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(how)
        self._signal(signal.SIGCONT)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        self._running().send_signal(number)


def leash(number: signal.Signals = signal.SIGTERM) -> list[str]:
    """The beginning of a command: if this process is killed, its servers get this signal.

    If it is interrupted, it closes them cleanly itself. PDEATHSIG refers to the thread that starts a server: when that
    thread ends, the server ends, too.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name] if setpriv else []


def talk(port: int, question: bytes) -> bytes:
    """The first response of a server, up to 4,096 bytes; empty if there is no server."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(question)
            return connection.recv(4096)
    except OSError:
        return b""


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())
