"""Fan-out on read: SQL serves every page; nothing is materialized."""

from zope.interface import implementer

from tweeter import measure
from tweeter.db.sessions import SessionFactory
from tweeter.interfaces import ITimelines
from tweeter.timelines import queries
from tweeter.timelines.kinds import Kinds
from tweeter.values import NOBODY, Cursor, Page, Timeline, Viewer


@implementer(ITimelines)
class PullTimelines:
    """The talk's queries. It needs no events: it is always up to date."""

    def __init__(self, name: str, sessions: SessionFactory, kinds: Kinds) -> None:
        self.name = name
        self._kinds = kinds
        self._sessions = sessions

    def page(self, timeline: Timeline, cursor: Cursor, viewer: Viewer = NOBODY) -> Page:
        measure.served_by(self.name)
        with measure.timeline_read(), self._sessions() as session:
            entries = self._kinds[timeline.kind].read_page(session, timeline.owner, cursor, viewer)
            if not entries:
                self._kinds[timeline.kind].check_owner(session, timeline.owner)
            return queries.marked(session, Page.cut(entries, cursor.limit), viewer.id)
