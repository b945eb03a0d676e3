"""Child processes that call functions for their parent: each starts fresh, and ends with the parent."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeVar

from tweeter.errors import TweeterError

T = TypeVar("T")

PATIENCE = 10  # seconds to exit


class ChildError(TweeterError):
    """An error in the child process."""


class Child:
    """One process. It imports the functions, which must be defined in modules; arguments and results are pickled."""

    def __init__(self) -> None:
        fresh = multiprocessing.get_context("spawn")
        self._pipe, theirs = fresh.Pipe()
        self._process = fresh.Process(target=_obey, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return int(self._process.pid or 0)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls the function and returns its result. Raises ChildError with the text of its error."""
        self.begin(function, *arguments)
        result: T = self.result()
        return result

    def begin(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Starts the call without waiting; `result` waits."""
        self._pipe.send((function, arguments))

    def result(self) -> Any:
        """The result of the call that `begin` started. Raises ChildError."""
        try:
            answer, error = self._pipe.recv()
        except EOFError:
            raise ChildError("A process that measures has ended.") from None
        if error:
            raise ChildError(error)
        return answer

    def each(self, function: Callable[..., Iterator[T]], *arguments: Any) -> Iterator[T]:
        """The items of a generator function, as the child process makes them. Raises ChildError."""
        self._pipe.send((_Each(function), arguments))
        while (item := self.result()) is not None:
            yield item

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class _Each(NamedTuple):
    """A generator function whose items are sent one by one; None follows the last."""

    function: Callable[..., Iterator[Any]]


def _send_each(pipe: Connection, function: Callable[..., Iterator[Any]], arguments: Any) -> None:
    for item in function(*arguments):
        pipe.send((item, ""))


def _obey(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends this process
    with suppress(EOFError, ConnectionError):  # the parent has ended
        while True:
            function, arguments = pipe.recv()
            if isinstance(function, _Each):
                arguments = pipe, function.function, arguments
                function = _send_each
            pipe.send(_done(function, arguments))
    os._exit(0)  # threads of a site may still run


def _done(function: Callable[..., Any], arguments: Any) -> tuple[Any, str]:
    """The result of the function, or the text of its error."""
    try:
        return function(*arguments), ""
    except TweeterError as error:
        return None, str(error)
    except Exception:
        return None, traceback.format_exc()
