"""The viewer of a page: the current user, their last write, and the authors hidden from them.

The statement that loads the current user returns their `hidden_version`. It is 0 for those who never muted or blocked
anybody. For others a process remembers the hidden authors of that version, so a page takes no statement for them.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import BigInteger, Connection, Engine, bindparam, literal, select, union_all
from sqlalchemy.orm import Session

from tweeter.db.among import Among
from tweeter.models import Block, Mute, User, hidden_from
from tweeter.values import NOBODY, Cursor, Page, Timeline, Viewer

MOST = 250_000  # remembered authors of all viewers: 20 MB
_HIDDEN = hidden_from(bindparam("viewer", type_=BigInteger))


class HiddenAuthors:
    """An LRU cache of the authors hidden from each viewer, of one version each. `statements` is on the primary."""

    def __init__(self, statements: Engine, most: int = MOST) -> None:
        self._statements = statements
        self._most = most
        self._size = 0
        self._versions: OrderedDict[int, tuple[int, frozenset[int]]] = OrderedDict()
        self._lock = Lock()

    def of(self, viewer_id: int, version: int) -> frozenset[int]:
        """The authors hidden from the viewer. `version` was read before: they may be newer than that."""
        with self._lock:
            known, hidden = self._versions.get(viewer_id, (0, frozenset()))
            if known == version:
                if known:
                    self._versions.move_to_end(viewer_id)
                return hidden
        with self._statements.connect() as connection:
            hidden = frozenset(connection.scalars(_HIDDEN, {"viewer": viewer_id}))
        with self._lock:
            self._forget(viewer_id)
            self._versions[viewer_id] = version, hidden
            self._size += len(hidden) + 1
            while self._size > self._most and len(self._versions) > 1:
                self._forget(next(iter(self._versions)))
        return hidden

    def _forget(self, viewer_id: int) -> None:
        if found := self._versions.pop(viewer_id, None):
            self._size -= len(found[1]) + 1


class Relation(NamedTuple):
    """What the current user and another have done about each other."""

    muting: bool = False
    blocking: bool = False
    blocked_by: bool = False

    @property
    def blocked(self) -> bool:
        return self.blocking or self.blocked_by


def viewer(request: Request) -> Viewer:
    """The current user as the viewer of a page; NOBODY if no user is signed in."""
    me = request.identity
    if me is None:
        return NOBODY
    authors: HiddenAuthors = request.registry["hidden_authors"]
    return Viewer(me.id, me.last_write, authors.of(me.id, me.hidden_version))


def relations(request: Request, ids: Iterable[int]) -> Mapping[int, Relation]:
    """{id: Relation} for those of the users whom the current user mutes, blocks, or is blocked by."""
    me = viewer(request)
    hidden = list(me.hidden.intersection(ids))
    if not hidden:
        return {}
    with request.registry.database.statements.connect() as connection:
        return read_relations(connection, me.id, hidden)


def read_relations(connection: Connection | Session, me: int, ids: Sequence[int]) -> Mapping[int, Relation]:
    """{id: Relation} for those of the users whom `me` mutes, blocks, or is blocked by; in one statement."""
    found: dict[int, dict[str, bool]] = {}
    for id_, name in connection.execute(_RELATIONS, {"viewer": me, "ids": ids}):
        found.setdefault(id_, {})[name] = True
    return {id_: Relation(**names) for id_, names in found.items()}


def relation(request: Request, user_id: int) -> Relation:
    """The Relation of the current user and another."""
    return relations(request, [user_id]).get(user_id, Relation())


def blocked_ids(request: Request, people: Iterable[User]) -> set[int]:
    """The ids of those with whom the current user has a block: pages offer no button to follow them."""
    return {id_ for id_, found in relations(request, [person.id for person in people]).items() if found.blocked}


def page_of(request: Request, timeline: Timeline, cursor: Cursor) -> Page:
    """A page as the current user sees it. The timelines of those whom they block, or who block them, are empty."""
    me = viewer(request)
    if timeline.owner in me.hidden and relation(request, timeline.owner).blocked:
        return Page((), None)
    page: Page = request.timelines.page(timeline, cursor, me)
    return page


def _pairs(name: str, mine: Any, theirs: Any) -> Any:
    others = Among(theirs)
    return select(theirs.label("id"), literal(name).label("name")).where(mine == bindparam("viewer"), others)


_RELATIONS = union_all(
    _pairs("muting", Mute.from_user_id, Mute.to_user_id),
    _pairs("blocking", Block.from_user_id, Block.to_user_id),
    _pairs("blocked_by", Block.to_user_id, Block.from_user_id),
)


def includeme(config: Configurator) -> None:
    config.registry["hidden_authors"] = HiddenAuthors(config.registry.database.statements)
