"""Lists of people, in Mastodon's words. Those that clients make are private."""

from typing import Any

from pyramid.request import Request
from sqlalchemy import ColumnElement, select

from tweeter.api.accounts import LISTED, listed
from tweeter.api.accounts import MOST as MOST_LISTED
from tweeter.api.endpoints import endpoint
from tweeter.api.entities import Account, ListOfAccounts, Status
from tweeter.api.errors import Failure
from tweeter.api.paging import DEFAULT, MOST, paged
from tweeter.api.parameters import Id
from tweeter.api.timelines import reader, user_of
from tweeter.api.writing import statuses
from tweeter.models import List, ListMember
from tweeter.services.lists import MOST_MEMBERS
from tweeter.values import Timeline


@endpoint("GET", "/api/v1/lists", returns=list[ListOfAccounts], scope="read:lists")
def lists(request: Request) -> list[ListOfAccounts]:
    """The lists of the user."""
    return _lists(request)


@endpoint("POST", "/api/v1/lists", returns=ListOfAccounts, scope="write:lists", limit="settings")
def make(request: Request, title: str, replies_policy: str = "list", exclusive: bool = False) -> ListOfAccounts:
    """Makes a private list."""
    return _entity(request.actions.make_list(request.identity.id, title, private=True))


@endpoint("GET", "/api/v1/lists/{id}", returns=ListOfAccounts, scope="read:lists")
def show(request: Request, id: Id) -> ListOfAccounts:
    """A list of the user."""
    return _own(request, id)


@endpoint("PUT", "/api/v1/lists/{id}", returns=ListOfAccounts, scope="write:lists", limit="settings")
def rename(request: Request, id: Id, title: str, replies_policy: str = "list", exclusive: bool = False) -> Any:
    """Renames a list."""
    return _entity(request.actions.change_list(request.identity.id, id, title))


@endpoint("DELETE", "/api/v1/lists/{id}", returns=dict[str, Any], scope="write:lists", limit="settings")
def delete(request: Request, id: Id) -> dict[str, Any]:
    """Deletes a list."""
    request.actions.delete_list(request.identity.id, id)
    return {}


@endpoint("GET", "/api/v1/lists/{id}/accounts", returns=list[Account], scope="read:lists")
def members(
    request: Request, id: Id, limit: int = LISTED, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The accounts on a list. With the limit 0 they are all on one page."""
    _own(request, id)
    limit = min(limit, MOST_LISTED) or MOST_MEMBERS
    return listed(request, id, ListMember.user_id, ListMember.list_id, limit, max_id, since_id, min_id)


@endpoint("POST", "/api/v1/lists/{id}/accounts", returns=dict[str, Any], scope="write:lists", limit="follow")
def add(request: Request, id: Id, account_ids: list[Id] = []) -> dict[str, Any]:
    """Adds accounts to a list."""
    for each in account_ids[:MOST]:
        request.actions.add_member(request.identity.id, id, user_of(request, each).username)
    return {}


@endpoint("DELETE", "/api/v1/lists/{id}/accounts", returns=dict[str, Any], scope="write:lists", limit="follow")
def remove(request: Request, id: Id, account_ids: list[Id] = []) -> dict[str, Any]:
    """Removes accounts from a list."""
    for each in account_ids[:MOST]:
        request.actions.remove_member(request.identity.id, id, user_of(request, each, suspended=True).username)
    return {}


@endpoint("GET", "/api/v1/accounts/{id}/lists", returns=list[ListOfAccounts], scope="read:lists")
def of_account(request: Request, id: Id) -> list[ListOfAccounts]:
    """The lists of the user that contain an account."""
    user_of(request, id)
    return _lists(request, List.id.in_(select(ListMember.list_id).where(ListMember.user_id == id)))


@endpoint("GET", "/api/v1/timelines/list/{id}", returns=list[Status], scope="read:lists")
def timeline(
    request: Request, id: Id, limit: int = DEFAULT, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The tweets and reposts of the accounts on a list."""
    _own(request, id)
    read = reader(request, Timeline("list", id))
    return statuses(request, paged(request, read, min(limit, MOST), max_id, since_id, min_id))


def _own(request: Request, id: int) -> ListOfAccounts:
    """The list. Raises Failure if it is not the user's."""
    if not (found := _lists(request, List.id == id)):
        raise Failure(404, "Record not found")
    return found[0]


def _lists(request: Request, *where: ColumnElement[bool]) -> list[ListOfAccounts]:
    query = select(List).where(List.user_id == request.identity.id, *where).order_by(List.id.desc())
    with request.read_session() as session:
        return [_entity(each) for each in session.scalars(query)]


def _entity(each: List) -> ListOfAccounts:
    return ListOfAccounts(id=str(each.id), title=each.name)
