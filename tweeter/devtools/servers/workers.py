"""A private worker of Celery, for tests and benchmarks."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tweeter.devtools.servers.base import PATIENCE, leash
from tweeter.devtools.servers.processes import write_ini


class CeleryWorker:
    """`celery -A tweeter.celery worker`, which can be started and killed repeatedly.

    `settings` are those of the site, `folder` gets an ini file and the log. It ends with the thread that starts it.
    """

    def __init__(self, settings: Mapping[str, Any], folder: Path, processes: int = 2, *options: str) -> None:
        self._ini, self._log = folder / "worker.ini", folder / "worker.log"
        write_ini(self._ini, settings, level="INFO")  # the log shows when the worker is ready
        self._command = [
            sys.executable, "-m", "celery", "-A", "tweeter.celery", "worker", f"--concurrency={processes}",
            "--without-gossip", "--without-mingle", f"--hostname={folder.name}@%h", *options,
        ]  # fmt: skip
        self._logged = 0  # bytes of the log before the start
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it is ready. Raises RuntimeError if it does not start."""
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        """Starts the process; `wait` follows."""
        self._logged = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*leash(), *self._command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=os.environ | {"TWEETER_INI": str(self._ini)},
            )  # fmt: skip

    def wait(self) -> None:
        """Waits until it is ready. Raises RuntimeError."""
        deadline = time.monotonic() + PATIENCE
        while b" ready." not in self._log.read_bytes()[self._logged :]:
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker does not start:\n{self.log}")
            time.sleep(0.02)

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the worker does not run")
        return self._process.pid

    def kill_child(self) -> None:
        """Kills one of the processes that do the chunks; the worker starts another."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
        if children:
            with suppress(ProcessLookupError):
                os.kill(int(random.choice(children)), signal.SIGKILL)  # noqa: S311 (no secret)

    def revive(self) -> None:
        """Starts it again if it has ended, as systemd does.

        With Redis as broker, kombu 5.7 ends a worker that loses its connection before it has acknowledged a chunk.
        """
        if self._process is not None and self._process.poll() is not None:
            self.kill()
            self.start()

    def kill(self) -> None:
        """Kills all its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """Ends it as an operator does; returns the exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            code = self._process.wait(PATIENCE)
        finally:
            self.kill()
        return code
