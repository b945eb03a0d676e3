"""The actions of users: rows and outbox event in one transaction; the relay delivers the event after the commit.

The caller owns the transaction. All business rules are here and in `accounts`, `tweets`, `relationships` and `lists`,
so they apply equally to forms, commands and tests. An action that they do not allow raises Refused, with a message for
the user.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from sqlalchemy.orm import Session

from tweeter import outbox
from tweeter.interfaces import IDelivery
from tweeter.services.accounts import Accounts
from tweeter.services.passwords import Passwords
from tweeter.services.relationships import Relationships
from tweeter.services.tweets import Tweets


class Actions(Accounts, Tweets, Relationships):
    """The actions, within the session's transaction. They take ids and return rows."""


def actions_of(registry: Registry, session: Session) -> Actions:
    """The actions of a site, within the session's transaction."""
    return Actions(session, registry["passwords"], registry.settings["tweeter.message_limit"])


@contextmanager
def acting(registry: Registry) -> Iterator[Actions]:
    """The actions in a transaction of their own, committed at the end of the block. Does not wake the delivery."""
    with registry.database.writing_sessions.begin() as session:
        yield actions_of(registry, session)


def _request_actions(request: Request) -> Actions:
    """The Actions of the request's transaction. Its commit wakes the relays."""
    session, wake = request.dbsession, request.registry.getUtility(IDelivery).wake
    request.tm.get().addAfterCommitHook(
        lambda committed: wake() if committed and outbox.RECORDED in session.info else None
    )
    return actions_of(request.registry, session)


def includeme(config: Configurator) -> None:
    """Adds `request.actions`: the actions within the request's transaction. A commit with an event wakes the relay."""
    config.registry["passwords"] = Passwords.of(config.get_settings())
    config.add_request_method(_request_actions, "actions", reify=True)
