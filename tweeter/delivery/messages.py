"""What a relay and its workers share: the message, the limits, and how messages are sent."""

from typing import NamedTuple, Protocol

from tweeter.db.sessions import SessionFactory

SMALL, LARGE = "small", "large"  # the queues: chunks of authors with one, and of those with several


class Chunk(NamedTuple):
    """The message to a worker: the tweet's id, and the range of its author's followers. `store` is a backend's name."""

    site: str
    store: str
    run: str
    id: int
    tweet_id: int
    user_id: int
    first: int
    last: int
    attempt: int = 1


class Limits(NamedTuple):
    """`size` followers of a chunk, `outstanding` chunks of a queue, `patience` seconds for a chunk."""

    size: int
    outstanding: int
    patience: float


class Publisher(Protocol):
    """Sends chunks to workers, from a thread of its own. `up` says whether the broker was there the last time."""

    up: bool

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def send(self, queue: str, chunk: Chunk) -> None:
        """Sends a chunk soon, or drops it if the broker is gone. Returns at once."""


class Workers(NamedTuple):
    """What a process needs to give chunks to workers. The sessions are in autocommit."""

    publisher: Publisher
    limits: Limits
    sessions: SessionFactory
