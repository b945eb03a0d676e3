"""`memory` says at the start that the site has more than one process."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.conftest import running, settings_of
from tests.support.children import Child, holds

Start = Callable[..., list[str]]


@pytest.fixture
def start(database_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[Start]:
    """Starts a site that runs until the end of the test; returns what it warns of."""
    with ExitStack() as stack:

        def start(**settings: str) -> list[str]:
            caplog.clear()
            stack.enter_context(running(settings_of(database_url) | {"tweeter.timelines": "memory"} | settings))
            for thread in threading.enumerate():
                if thread.name == "other processes":
                    thread.join()
            return [message for message in caplog.messages if "is meant for a single process" in message]

        yield start


def test_a_single_process_says_nothing(start: Start) -> None:
    assert start() == []


def test_the_database_shows_another_process(start: Start, database_url: str) -> None:
    if database_url.startswith("sqlite"):
        assert start() == []
        [said] = start()
    else:
        with closing(Child(database_url, "memory")) as child:
            while not child.do(holds):
                time.sleep(0.02)
            [said] = start()
    assert said.startswith("tweeter.timelines = memory is meant for a single process, but another process uses the dat")
    assert start(**{"tweeter.timelines": "sql"}) == []


def test_the_configuration_shows_it(start: Start) -> None:
    [said] = start(**{"tweeter.delivery": "relay"})
    assert "but tweeter.delivery = relay is for stores that processes share. Each" in said
