"""A reader of the outbox, like a relay."""

from sqlalchemy.orm import Session, sessionmaker

from tweeter.outbox.log import Batch, Log, Position
from tweeter.values import Event


class Reader:
    """Reads the outbox and counts the events as applied."""

    def __init__(self, sessions: sessionmaker[Session], at_end: bool = False) -> None:
        self._engine = sessions.kw["bind"].execution_options(isolation_level="AUTOCOMMIT")
        self.position = Position()
        if at_end:
            with self._engine.connect() as connection:
                self.position = Log(connection).end().position

    def look(self, limit: int = 100) -> Batch:
        with self._engine.connect() as connection:
            return Log(connection).read(self.position, limit)

    def read(self, limit: int = 100) -> list[Event | None]:
        batch = self.look(limit)
        self.position = batch.position
        return [logged.event for logged in batch.events]
