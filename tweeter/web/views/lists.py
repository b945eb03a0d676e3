"""Lists of people: their timelines, their members, and the forms that change them."""

from collections.abc import Sequence
from typing import Any

from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tweeter.errors import Refused
from tweeter.models import List, ListMember, User, closed_users
from tweeter.values import Timeline
from tweeter.web.security import SIGNED_IN
from tweeter.web.viewers import relation
from tweeter.web.views.forms import Form, done, onward, posted, refused, see
from tweeter.web.views.pages import timeline_page
from tweeter.web.views.people import canonical, find, followed, people_page


@view_config(route_name="lists", request_method="GET", renderer="lists.jinja2", permission=SIGNED_IN)
def lists(request: Request) -> dict[str, Any]:
    """The lists of the current user."""
    return _own_lists(request, Form())


@view_config(route_name="lists", request_method="POST", renderer="lists.jinja2", permission=SIGNED_IN, limit="settings")
def make(request: Request) -> dict[str, Any] | Response:
    """Makes a list."""
    values = _typed(request)
    try:
        made = request.actions.make_list(request.identity.id, values["name"], bool(values["private"]))
    except Refused as error:
        return _own_lists(request, refused(request, error, values))
    return see(request, f"/lists/{made.id}/members")


@view_config(route_name="lists of", request_method="GET", renderer="lists_of.jinja2")
def lists_of(request: Request) -> dict[str, Any] | Response:
    """The public lists of a user, and which of one's own lists contain the user."""
    user = find(request)
    if elsewhere := canonical(request, user):
        return elsewhere
    me = request.identity.id if request.identity else 0
    hidden = relation(request, user.id).blocked
    with request.read_session() as session:
        theirs = [] if hidden else _lists(session, user.id, private=user.id == me)
        mine = _lists(session, me, private=True) if me not in (0, user.id) else []
        is_on = select(ListMember.list_id).join(List, List.id == ListMember.list_id)
        on = set(session.scalars(is_on.where(List.user_id == me, ListMember.user_id == user.id))) if mine else set()
    return {"title": f"Lists · {user.display_name}", "user": user, "theirs": theirs, "mine": mine, "on": on}


@view_config(route_name="list", request_method="GET", renderer="list.jinja2")
def show(request: Request) -> dict[str, Any]:
    """The tweets and reposts of a list's members."""
    list_, owner = find_list(request)
    return timeline_page(request, Timeline("list", list_.id), list_.name) | {
        "among": "on this list",
        "list": list_,
        "owner": owner,
    }


@view_config(route_name="members", request_method="GET", renderer="members.jinja2")
def members(request: Request) -> dict[str, Any]:
    """The members of a list, and for its owner the forms that change it."""
    list_, owner = find_list(request)
    return _members(request, list_, owner, Form({"name": list_.name, "private": "yes" if list_.private else ""}))


@view_config(
    route_name="members", request_method="POST", renderer="members.jinja2", permission=SIGNED_IN, limit="follow"
)
def change(request: Request) -> dict[str, Any] | Response:
    """Dispatches to one of the page's forms by the field `action`."""
    list_, owner = find_list(request)
    me, action, values, actions = request.identity.id, posted(request, "action"), _typed(request), request.actions
    username, name = values["username"].strip().removeprefix("@"), list_.name
    message = f"The list “{name}” was {action}d."
    try:
        match action:
            case "add":
                message = f"@{actions.add_member(me, list_.id, username).username} is on “{name}” now."
            case "remove":
                member = actions.remove_member(me, list_.id, username)
                message = f"@{member.username} is not on “{name}” any more."
            case "change":
                actions.change_list(me, list_.id, values["name"], bool(values["private"]))
            case "delete":
                actions.delete_list(me, list_.id)
            case _:
                raise HTTPBadRequest("The form contains an unknown action.")
    except Refused as error:
        if list_.user_id != me:
            raise
        return _members(request, list_, owner, refused(request, error, values))
    page = "/lists" if action == "delete" else f"/lists/{list_.id}/members"
    return done(request, message, onward(request, posted(request, "next"), page))


def find_list(request: Request) -> tuple[List, User]:
    """The list in the URL and its owner. Raises HTTPNotFound, also if the current user may not see it."""
    me = request.identity.id if request.identity else 0
    query = select(List, User).join(User, User.id == List.user_id).where(~User.closed)
    with request.read_session() as session:
        found = session.execute(query.where(List.id == int(request.matchdict["id"]))).one_or_none()
    if found is None or (found[0].private and found[1].id != me) or relation(request, found[1].id).blocked:
        raise HTTPNotFound("There is no such list.")
    list_, owner = found
    return list_, owner


def _typed(request: Request) -> dict[str, str]:
    return {name: posted(request, name) for name in ("name", "private", "username")}


def _own_lists(request: Request, form: Form) -> dict[str, Any]:
    with request.read_session() as session:
        return {"title": "Lists", "lists": _lists(session, request.identity.id, private=True), "form": form}


def _lists(session: Session, user_id: int, private: bool) -> Sequence[tuple[List, int]]:
    """The lists of a user, newest first, and the number of their members."""
    members = (ListMember.list_id == List.id, ListMember.user_id.not_in(closed_users))
    count = select(func.count()).where(*members).scalar_subquery()
    query = select(List, count).where(List.user_id == user_id).order_by(List.id.desc())
    return [(list_, number) for list_, number in session.execute(query if private else query.where(~List.private))]


def _members(request: Request, list_: List, owner: User, form: Form) -> dict[str, Any]:
    page = people_page(request, list_.id, ListMember.user_id, ListMember.list_id)
    return page | {
        "title": f"Members · {list_.name}",
        "list": list_,
        "owner": owner,
        "followed": followed(request, [person.id for person in page["people"]]),
        "form": form,
    }
