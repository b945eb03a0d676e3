"""Processes that do what they are told: begun fresh, so that nothing of ours counts, and gone when we are."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from tweeter.errors import TweeterError

T = TypeVar("T")

PATIENCE = 10  # seconds to end in


class ChildError(TweeterError):
    """What went wrong in the other process."""


class Child:
    """One process. Its functions are those of modules: they are imported there, and arguments and answers are sent."""

    def __init__(self) -> None:
        fresh = multiprocessing.get_context("spawn")
        self._pipe, theirs = fresh.Pipe()
        self._process = fresh.Process(target=_obey, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns. Raises ChildError with the text of what it raises."""
        self.begin(function, *arguments)
        result: T = self.result()
        return result

    def begin(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Has the function called, and does not wait: `result` does."""
        self._pipe.send((function, arguments))

    def result(self) -> Any:
        """What the function that was begun returns. Raises ChildError."""
        try:
            answer, error = self._pipe.recv()
        except EOFError:
            raise ChildError("A process that measures has ended.") from None
        if error:
            raise ChildError(error)
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _obey(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one who tells us what to do
    with suppress(EOFError, ConnectionError):  # which has ended
        while True:
            function, arguments = pipe.recv()
            pipe.send(_done(function, arguments))
    os._exit(0)  # threads of a site may run


def _done(function: Callable[..., Any], arguments: Any) -> tuple[Any, str]:
    """What the function returns, or the text of what it raises."""
    try:
        return function(*arguments), ""
    except TweeterError as error:
        return None, str(error)
    except Exception:
        return None, traceback.format_exc()
