"""Accounts: profiles, followers, follows."""

from typing import Any

from pyramid.request import Request
from sqlalchemy import select

from tweeter import text
from tweeter.api.endpoints import endpoint
from tweeter.api.entities import Account, Me, Nothing, Source, Suggestion
from tweeter.api.entities import Relationship as Related
from tweeter.api.errors import Failure
from tweeter.api.paging import Found, paged
from tweeter.api.parameters import Id
from tweeter.api.timelines import user_of
from tweeter.api.writing import account_values, accounts
from tweeter.db.sessions import time_limit
from tweeter.models import Block, Mute, Relationship, Tweet, User
from tweeter.search.people import find_people
from tweeter.services.people import find_user
from tweeter.values import Cursor
from tweeter.web.viewers import Relation, read_relations, relations
from tweeter.web.views.people import followed, related
from tweeter.web.views.search import SECONDS
from tweeter.web.views.suggestions import people_to_follow

LISTED, MOST = 40, 80


@endpoint("GET", "/api/v1/accounts/verify_credentials", returns=Me, scope="read:me")
def verify_credentials(request: Request) -> Me:
    """The account of the token's user."""
    with request.read_session() as session:
        return _me(session, request)


@endpoint("PATCH", "/api/v1/accounts/update_credentials", returns=Me, scope="write:accounts", limit="settings")
def update_credentials(request: Request, display_name: str | None = None, note: str | None = None) -> Me:
    """Changes the name and the bio. What Tweeter does not have is ignored."""
    me = request.identity
    name, bio = me.display_name if display_name is None else display_name, me.bio if note is None else note
    request.actions.change_profile(me.id, name, bio)
    return _me(request.dbsession, request)


def _me(session: Any, request: Request) -> Me:
    user = session.get(User, request.identity.id)
    newest = select(Tweet.id).where(Tweet.user_id == user.id).order_by(Tweet.id.desc()).limit(1)
    values = account_values(request.application_url, user, session.scalar(newest))
    return Me(**values, source=Source(note=user.bio))


@endpoint("GET", "/api/v1/accounts/lookup", returns=Account, scope="read:accounts", anonymous=True)
def lookup(request: Request, acct: str) -> Any:
    """The account of a name; @host may follow if it is this site's."""
    with request.read_session() as session:
        user = find_user(session, local_name(request, acct))
    if user is None:
        raise Failure(404, "Record not found")
    return accounts(request, [user.id])[0]


def local_name(request: Request, acct: str) -> str:
    """The username in `@ada` or `ada@example.org`; empty if the host is another's."""
    name, _, host = acct.strip().removeprefix("@").partition("@")
    return name if host.lower() in ("", request.host.lower(), request.domain.lower()) else ""


@endpoint("GET", "/api/v1/accounts/search", returns=list[Account], scope="read:accounts", limit="search")
def search(
    request: Request, q: str, limit: int = LISTED, offset: int = 0, resolve: bool = False, following: bool = False
) -> Any:
    """Accounts whose name begins with the text or contains it."""
    return accounts(request, found_people(request, q, following)[max(0, offset) :][: max(1, min(limit, MOST))])


def found_people(request: Request, q: str, following: bool = False) -> list[int]:
    """The ids of the accounts that the page of the search would show."""
    words = text.clean_line(q)
    words = local_name(request, words) if "@" in words else words
    if not words:
        return []
    with request.registry.database.sessions() as session, time_limit(session, SECONDS):
        found = [user.id for user in find_people(session, words)]
    if not following:
        return found
    mine = set(followed(request, found))
    return [id_ for id_ in found if id_ in mine]


@endpoint("GET", "/api/v1/accounts/relationships", returns=list[Related], scope="read:follows")
def relationships(request: Request, id: list[Id] = []) -> list[Related]:
    """How the user and those of these accounts that exist are related."""
    with request.read_session() as session:
        there = set(session.scalars(select(User.id).where(User.id.in_(id[:MOST]), ~User.closed | User.suspended)))
    wanted = [each for each in dict.fromkeys(id[:MOST]) if each in there]
    mine, theirs, hidden = set(followed(request, wanted)), _followers(request, wanted), relations(request, wanted)
    return [_related(each, each in mine, each in theirs, hidden.get(each, Relation())) for each in wanted]


@endpoint("GET", "/api/v1/accounts/familiar_followers", returns=list[Any], scope="read:follows")
def familiar_followers(request: Request, id: list[Id] = []) -> list[Any]:
    """Empty lists."""
    return [{"id": str(each), "accounts": []} for each in id[:MOST]]


@endpoint("GET", "/api/v1/accounts", returns=list[Account], scope="read:accounts", anonymous=True)
def several(request: Request, id: list[Id] = []) -> Any:
    """The accounts of these ids that exist."""
    return accounts(request, list(dict.fromkeys(id))[:LISTED])


@endpoint("GET", "/api/v1/accounts/{id}", returns=Account, scope="read:accounts", anonymous=True)
def show(request: Request, id: Id) -> Any:
    """An account."""
    return accounts(request, [user_of(request, id).id])[0]


@endpoint("GET", "/api/v1/accounts/{id}/followers", returns=list[Account], scope="read:accounts", anonymous=True)
def followers(
    request: Request, id: Id, limit: int = LISTED, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The accounts that follow an account."""
    return _people(request, id, Relationship.from_user_id, Relationship.to_user_id, limit, max_id, since_id, min_id)


@endpoint("GET", "/api/v1/accounts/{id}/following", returns=list[Account], scope="read:accounts", anonymous=True)
def following(
    request: Request, id: Id, limit: int = LISTED, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The accounts that an account follows."""
    return _people(request, id, Relationship.to_user_id, Relationship.from_user_id, limit, max_id, since_id, min_id)


def _people(request: Request, id: int, column: Any, of: Any, limit: int, *window: int | None) -> Any:
    user_of(request, id)
    return listed(request, id, column, of, min(limit, MOST), *window)


def listed(request: Request, id: int, column: Any, of: Any, limit: int, *window: int | None) -> Any:
    """The accounts that a column names in the rows in which the column `of` is the id."""

    def read(cursor: Cursor) -> Found:
        users = related(request, id, column, of, cursor)
        return Found(users[: cursor.limit], len(users) > cursor.limit)

    return accounts(request, [user.id for user in paged(request, read, limit, *window)])


@endpoint("GET", "/api/v1/mutes", returns=list[Account], scope="read:mutes")
def mutes(
    request: Request, limit: int = LISTED, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The accounts that the user mutes."""
    me = request.identity.id
    return listed(request, me, Mute.to_user_id, Mute.from_user_id, min(limit, MOST), max_id, since_id, min_id)


@endpoint("GET", "/api/v1/blocks", returns=list[Account], scope="read:blocks")
def blocks(
    request: Request, limit: int = LISTED, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The accounts that the user blocks."""
    me = request.identity.id
    return listed(request, me, Block.to_user_id, Block.from_user_id, min(limit, MOST), max_id, since_id, min_id)


@endpoint("GET", "/api/v1/suggestions", returns=list[Account], scope="read:accounts")
def suggestions_v1(request: Request, limit: int = LISTED) -> Any:
    """People to follow, as on the pages."""
    return accounts(request, [user.id for user in people_to_follow(request)][: max(1, limit)])


@endpoint("GET", "/api/v2/suggestions", returns=list[Suggestion], scope="read:accounts")
def suggestions(request: Request, limit: int = LISTED) -> list[Suggestion]:
    """People to follow, as on the pages."""
    return [Suggestion(account=account) for account in suggestions_v1(request, limit)]


@endpoint("GET", "/api/v1/accounts/{id}/featured_tags", returns=Nothing, anonymous=True, scope="read:accounts")
def none_of_account(request: Request, id: Id) -> Nothing:
    """An empty list."""
    user_of(request, id)
    return []


@endpoint("POST", "/api/v1/accounts/{id}/follow", returns=Related, scope="write:follows", limit="follow")
def follow(request: Request, id: Id, reblogs: bool = True, notify: bool = False) -> Related:
    """Follows an account."""
    request.actions.follow(request.identity.id, user_of(request, id).username)
    return _related_now(request, id)


@endpoint("POST", "/api/v1/accounts/{id}/unfollow", returns=Related, scope="write:follows", limit="follow")
def unfollow(request: Request, id: Id) -> Related:
    """Unfollows an account."""
    request.actions.unfollow(request.identity.id, user_of(request, id).username)
    return _related_now(request, id)


@endpoint("POST", "/api/v1/accounts/{id}/remove_from_followers", returns=Related, scope="write:follows", limit="follow")
def remove_follower(request: Request, id: Id) -> Related:
    """Ends the follow of the user by an account."""
    request.actions.unfollow(user_of(request, id).id, request.identity.username)
    return _related_now(request, id)


@endpoint("POST", "/api/v1/accounts/{id}/mute", returns=Related, scope="write:mutes", limit="follow")
def mute(request: Request, id: Id, notifications: bool = True, duration: int = 0) -> Related:
    """Hides an account's tweets from the user's timelines, without an end."""
    request.actions.mute(request.identity.id, user_of(request, id).username)
    return _related_now(request, id)


@endpoint("POST", "/api/v1/accounts/{id}/unmute", returns=Related, scope="write:mutes", limit="follow")
def unmute(request: Request, id: Id) -> Related:
    """Ends a mute."""
    request.actions.unmute(request.identity.id, user_of(request, id, suspended=True).username)
    return _related_now(request, id)


@endpoint("POST", "/api/v1/accounts/{id}/block", returns=Related, scope="write:blocks", limit="follow")
def block(request: Request, id: Id) -> Related:
    """Blocks an account: neither sees or follows the other."""
    request.actions.block(request.identity.id, user_of(request, id).username)
    return _related_now(request, id)


@endpoint("POST", "/api/v1/accounts/{id}/unblock", returns=Related, scope="write:blocks", limit="follow")
def unblock(request: Request, id: Id) -> Related:
    """Ends a block."""
    request.actions.unblock(request.identity.id, user_of(request, id, suspended=True).username)
    return _related_now(request, id)


def _followers(request: Request, ids: list[int]) -> set[int]:
    """Those of the accounts that follow the user."""
    mine = Relationship.to_user_id == request.identity.id
    query = select(Relationship.from_user_id).where(mine, Relationship.from_user_id.in_(ids))
    with request.read_session() as session:
        return set(session.scalars(query))


def _related_now(request: Request, id: int) -> Related:
    """Read in the request's transaction, after the action."""
    session, me = request.dbsession, request.identity.id
    one, other = (session.get(Relationship, pair, populate_existing=True) for pair in ((me, id), (id, me)))
    hidden = read_relations(session, me, [id]).get(id, Relation())
    return _related(id, one is not None, other is not None, hidden)


def _related(id: int, following: bool, followed_by: bool, hidden: Relation) -> Related:
    return Related(
        id=str(id), following=following, showing_reblogs=following, followed_by=followed_by, muting=hidden.muting,
        muting_notifications=hidden.muting, blocking=hidden.blocking, blocked_by=hidden.blocked_by,
    )  # fmt: skip
