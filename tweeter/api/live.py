"""How events of streams are written for applications: as the entities that the other endpoints return."""

from collections.abc import Mapping, Sequence

import msgspec
from pyramid.config import Configurator

from tweeter.api.entries import shown_of
from tweeter.api.notifications import write_notifications
from tweeter.api.tokens import Tokens
from tweeter.api.writing import People, write_statuses
from tweeter.db.sessions import SessionFactory
from tweeter.services.notifications import Notice
from tweeter.streaming import STREAMS
from tweeter.streaming.channels import API, UNNOTIFIED

TOKEN = "token"  # noqa: S105 (a kind of credentials)


class Writer:
    """Writes Statuses and Notifications. Statuses are the same for all viewers: they show nobody's likes."""

    def __init__(self, people: People, sessions: SessionFactory) -> None:
        self._people = people
        self._sessions = sessions

    def entries(self, base: str, ids: Sequence[int]) -> Mapping[int, str]:
        with self._sessions() as session:
            shown = shown_of(session, None, ids)
        written = {}
        for each in shown:
            for json in write_statuses(base, self._people, self._sessions, [each]):
                written[each.id] = bytes(json).decode()
        return written

    def notices(self, base: str, user_id: int, notices: Sequence[Notice]) -> Sequence[str]:
        found = write_notifications(base, self._people, self._sessions, user_id, notices)
        return [msgspec.json.encode(each).decode() for each in found]


def includeme(config: Configurator) -> None:
    """Lets the publisher write for applications, and check their tokens."""
    streams = config.registry[STREAMS]
    if streams is not None:
        from tweeter.streaming.events import Form

        tokens: Tokens = config.registry["tokens"]
        writer = Writer(config.registry["people"], config.registry.database.read_sessions)
        streams.forms |= {API: Form(writer.entries, writer.notices), UNNOTIFIED: Form(writer.entries)}
        streams.checks[TOKEN] = tokens.valid
