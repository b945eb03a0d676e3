"""Timelines as rows in the site's own database, SQLite or PostgreSQL: `tweeter.timelines = table`.

    tweeter.table.idle_days = 7    # after which a timeline that is not read is deleted

What many sites do before they add a server: a table of owners and tweets, written on each post. A page is read by one
index scan, however many accounts the reader follows; tweets are read from SQL.

On PostgreSQL the tables are unlogged. A crash empties them, and then every timeline is cold. Where they should survive
one, run `ALTER TABLE … SET LOGGED` for `timeline_runs`, `timelines` and `timeline_entries`; fan-out is slower then.
"""

from pyramid.config import Configurator

from tweeter.backends.table.cache import NoCache
from tweeter.backends.table.store import TableTimelineStore
from tweeter.settings import Setting

DAY = 86_400
SETTINGS = {
    "tweeter.table.idle_days": Setting(int, 7, 1, "Days until a timeline that is not read is deleted."),
}


def includeme(config: Configurator) -> None:
    settings = config.get_settings()
    store = TableTimelineStore(
        config.registry.database, settings["tweeter.capacity"], settings["tweeter.table.idle_days"] * DAY
    )
    config.add_timeline_store(__name__, store=store, cache=NoCache())
