"""Markers, preferences, and empty lists for what Tweeter does not have: without them clients report errors."""

from typing import Any

from pyramid.request import Request
from sqlalchemy import select, update

from tweeter.api.endpoints import endpoint, iso
from tweeter.api.entities import Marker, Nothing
from tweeter.api.errors import Failure
from tweeter.db.sessions import insert_new, write
from tweeter.ids import MAX_ID
from tweeter.models import Marker as Row
from tweeter.models.base import now
from tweeter.services.notifications import mark_read

MARKED = ("home", "notifications")


@endpoint("GET", "/api/v1/markers", returns=dict[str, Marker], scope="read:statuses")
def markers(request: Request, timeline: list[str] = []) -> dict[str, Marker]:
    """How far the user's applications have read these timelines."""
    with request.read_session() as session:
        rows = session.scalars(select(Row).where(Row.user_id == request.identity.id, Row.timeline.in_(timeline)))
        return {row.timeline: _marker(row) for row in rows}


@endpoint("POST", "/api/v1/markers", returns=dict[str, Marker], scope="write:statuses")
def mark(
    request: Request, home: dict[str, str | int] = {}, notifications: dict[str, str | int] = {}
) -> dict[str, Marker]:
    """Stores how far an application has read. That of notifications also counts on the pages."""
    session, changed = request.dbsession, {}
    for timeline, given in zip(MARKED, (home, notifications), strict=True):
        if "last_read_id" not in given:
            continue
        read = str(given["last_read_id"])
        if not (read.isascii() and read.isdecimal() and len(read) <= 20):
            raise Failure(422, "Validation failed: last_read_id must be an id")
        key = {"user_id": request.identity.id, "timeline": timeline}
        insert_new(session, Row, **key, last_read_id="0", version=0, date=now())
        mine = (Row.user_id == request.identity.id) & (Row.timeline == timeline)
        write(session, update(Row).where(mine).values(last_read_id=read, version=Row.version + 1, date=now()))
        if timeline == "notifications":
            mark_read(session, request.identity.id, min(int(read), MAX_ID))
        changed[timeline] = _marker(session.get_one(Row, tuple(key.values())))
    return changed


def _marker(row: Row) -> Marker:
    return Marker(last_read_id=row.last_read_id, version=row.version, updated_at=iso(row.date))


@endpoint("GET", "/api/v1/preferences", returns=dict[str, Any], scope="read:accounts")
def preferences(request: Request) -> dict[str, Any]:
    """The same for everyone."""
    return {
        "posting:default:visibility": "public",
        "posting:default:sensitive": False,
        "posting:default:language": None,
        "reading:expand:media": "default",
        "reading:expand:spoilers": False,
        "reading:autoplay:gifs": False,
    }


def _empty(path: str, returns: Any, value: Any, **options: Any) -> None:
    def empty(request: Request) -> Any:
        return value

    empty.__doc__ = "Always empty: Tweeter has none."
    endpoint("GET", path, returns=returns, **options)(empty)


for _name, _scope in {
    "announcements": "", "custom_emojis": "",
    "trends": "", "trends/tags": "", "trends/statuses": "", "trends/links": "", "directory": "",
    "instance/rules": "", "instance/peers": "", "instance/activity": "", "instance/domain_blocks": "",
    "bookmarks": "read:bookmarks",
    "domain_blocks": "read:blocks", "follow_requests": "read:follows", "followed_tags": "read:follows",
    "featured_tags": "read:accounts", "featured_tags/suggestions": "read:accounts", "endorsements": "read:accounts",
    "filters": "read:filters", "conversations": "read:statuses",
    "scheduled_statuses": "read:statuses",
}.items():  # fmt: skip
    _empty(f"/api/v1/{_name}", Nothing, [], scope=_scope)
_empty("/api/v2/filters", Nothing, [], scope="read:filters")
_empty("/api/v1/instance/translation_languages", dict[str, list[str]], {})
