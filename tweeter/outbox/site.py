"""The identity of the log: the site's id and restore epoch, and the event that a bulk load owes."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import String, delete, literal_column, select, update
from sqlalchemy.orm import Session

from tweeter.db.sessions import SessionFactory, begin_immediate, insert_new
from tweeter.models import Consumer, Site
from tweeter.models.base import now
from tweeter.outbox import events
from tweeter.values import Reloaded

LOAD_SILENCE = timedelta(seconds=30)  # a bulk load that commits nothing for so long counts as dead


class SiteIdentity(NamedTuple):
    """The site's id and restore epoch."""

    id: str
    epoch: int


def site_identity(sessions: SessionFactory) -> SiteIdentity:
    """The id and the restore epoch; creates the row if there is none, and begins an epoch on another server."""
    with sessions() as session:
        server = _SERVERS[session.get_bind().dialect.name]
        row = session.execute(select(Site.id, Site.epoch, Site.server == server, server)).one_or_none()
    if row is not None and row[2]:
        return SiteIdentity(row[0], row[1])

    def move(session: Session) -> None:
        moved = Site.server.not_in(["", server])
        session.execute(update(Site).where(moved).values(epoch=Site.epoch + 1))
        session.execute(update(Site).values(server=server))

    _write(sessions, move)
    return site_identity(sessions)


def site_id(sessions: SessionFactory) -> str:
    """The id of the database's site; a new one if it has none yet."""
    with sessions() as session:
        found = session.scalar(select(Site.id))
    return found or _write(sessions, lambda session: None)


def renew_site_id(sessions: SessionFactory) -> str:
    """Gives the database another id. Shared stores start cold: their keys under the old id are not read any more.

    Delivery under the old id stops, because the rows of `consumers` are deleted.
    """

    def renew(session: Session) -> None:
        session.execute(update(Site).values(id=_random()))
        session.execute(delete(Consumer))

    return _write(sessions, renew)


def end_load(sessions: SessionFactory, dead: bool = False) -> None:
    """Records the event that bulk loads owe: every materialized timeline is cold. `dead`: only for loads that died.

    Does nothing if no load has written rows.
    """
    owed = Site.loading_until.is_not(None) if not dead else Site.loading_until < now()
    with sessions() as session:
        if session.scalar(select(Site.number).where(owed)) is None:
            return
    with sessions() as session:
        begin_immediate(session)
        result = session.execute(update(Site).where(owed).values(loading_until=None))
        if result.rowcount:  # type: ignore[attr-defined]
            events.record(session, Reloaded())
        session.commit()


def _write(sessions: SessionFactory, work: Callable[[Session], object]) -> str:
    with sessions() as session:
        begin_immediate(session)
        insert_new(session, Site, number=1, id=_random())
        work(session)
        found = session.scalars(select(Site.id)).one()
        session.commit()
        return str(found)


_SERVERS = {
    "postgresql": literal_column("(SELECT system_identifier::text FROM pg_control_system())", String),
    "sqlite": literal_column("'sqlite'", String),
}


def _random() -> str:
    return secrets.token_hex(5)
